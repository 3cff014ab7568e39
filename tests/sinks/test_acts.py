"""Table acts: each act once, whatever comes of it, and before anybody is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import ConflictError, UnreachableError
from pipeline.sinks.acts import acting, record
from schemas.acts import Act

NEWEST = "SELECT actor, toString(way), act, subject, before, after, comment, outcome FROM acts FINAL ORDER BY at, id"


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def test_an_act_is_there_on_return_and_twice_is_once(client: Client) -> None:
    act = Act("ines", "console", "pause source", "our-blog", 'it "spams"', {"state": "running"}, {"state": "paused"})
    for _ in range(2):
        record(client, act)
    assert client.command("SELECT count() FROM acts") == 1
    [row] = client.query(NEWEST).result_rows
    assert row[:4] == ("ines", "console", "pause source", "our-blog") and row[6:] == ('it "spams"', "done")
    assert [json.loads(text) for text in row[4:6]] == [{"state": "running"}, {"state": "paused"}]
    [(at,)] = client.query("SELECT at FROM acts", query_tz="UTC", tz_mode="aware").result_rows
    assert at == act.at


def test_what_is_done_and_what_fails_is_on_record(client: Client) -> None:
    with acting(client, Act("ines", "command line", "rematch", "Acme")) as act:
        act.after = {"rows": 3}
    for error in (ConflictError("it is taken"), ValueError("of a secret"), KeyboardInterrupt()):
        with pytest.raises(type(error)), acting(client, Act("ines", "command line", "rematch")):
            raise error
    assert [row[5] + row[7] for row in client.query(NEWEST).result_rows] == [
        '{"rows": 3}done', "it is taken", "it failed: ValueError", "stopped by Ctrl-C"
    ]  # fmt: skip


class Failing:
    """A client whose first requests fail; with `taken` the first was done all the same, with `lost` by a server that was
    killed in its midst: it knows the request, and has no row of it."""

    def __init__(self, client: Client, times: int, taken: bool = False, lost: bool = False) -> None:
        self._client, self._times, self._taken, self._lost = client, times, taken or lost, lost

    def insert(self, *args: object, **more: object) -> None:
        self._times -= 1
        if self._times < 0 or self._taken:
            self._taken = False
            self._client.insert(*args, **more)  # type: ignore[arg-type]  # as record gives them
        if self._lost:
            self._lost = False
            self._client.command("DELETE FROM acts WHERE true")
        if self._times >= 0:
            raise OperationalError("Connection reset by peer")


@pytest.mark.parametrize("lost", [False, True])
def test_an_answer_that_is_lost_makes_no_second_act_and_loses_none(client: Client, lost: bool) -> None:
    record(Failing(client, 2, True, lost), Act("ines", "api", "lift"))  # type: ignore[arg-type]  # it only inserts
    assert client.command("SELECT count() FROM acts FINAL") == 1


def test_what_can_not_be_recorded_is_said_and_hides_no_error_of_the_act(client: Client) -> None:
    away: Client = Failing(client, 9)  # type: ignore[assignment]  # it only inserts
    with pytest.raises(UnreachableError, match="^lift 7: done, and not on record: Connection reset by peer$"):
        record(away, Act("ines", "api", "lift", "7"))
    with pytest.raises(ConflictError, match="^taken$"), acting(away, Act("ines", "api", "take")):
        raise ConflictError("taken")
    assert client.command("SELECT count() FROM acts") == 0
