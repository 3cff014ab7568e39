"""A data folder that `earshot up` of an earlier release made opens with this one: nothing is lost, nothing doubles.

old_folder/make.py made it with the code of commit fa00ca8, before there were terms, passwords and the mark of a folder. Its
JSON file says what the tables held, and how large the backlog was that no worker had read.
"""

from __future__ import annotations

import json
import signal
import stat
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import read_migrations
from pipeline.config.load import load
from pipeline.embedded.folder import MARKER
from pipeline.embedded.stack import Stack
from tests.support.control import Webhook
from tests.support.topics import lag
from tests.support.up import Up

HERE = Path(__file__).parent / "old_folder"
BEFORE: dict[str, Any] = json.loads((HERE / "fa00ca8.json").read_text())
HOOK = "27105"
"""The port of the receiver in the folder's rules."""
LATER = "later-"
"""The ids of the backlog begin so."""
OLD = {
    "interactions": f"id NOT LIKE '{LATER}%'",
    "dead_letters": "form = 0",
    "alerts": "term = 0",
    "alert_deliveries": "term = 0",
    "alert_silences": "1",
}
"""Which rows were there before, by table."""
KEPT = date.today() - date.fromisoformat(BEFORE["made"]) < timedelta(days=360)
"""Kafka keeps offsets for a year, a silence lasts a year, and most tables keep rows for 400 days."""


class Opened(NamedTuple):
    up: Up
    hook: Webhook
    client: Client

    def number(self, sql: str) -> int:
        return int(self.client.query(sql).result_rows[0][0])

    def ask(self, sql: str, user: str = "analyst") -> tuple[int, str]:
        """Status and answer to a user who gives no password."""
        request = urllib.request.Request(f"{self.up.clickhouse_url}/?user={user}", sql.encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def opened(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """`earshot up` in the folder, once the worker has committed the backlog."""
    if stack.broker_kind != "kafka":
        pytest.skip("the light broker is in use (Kafka's jars can't be had): it reads no folder")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(HERE / "fa00ca8.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    hook = Webhook()
    rules = folder / "alerts.yaml"
    rules.write_text(rules.read_text().replace(HOOK, str(hook.port)))
    up = Up(folder / "data", "--broker", "kafka", "--no-sample", EARSHOT_ALERTS=str(rules), EARSHOT_SENTIMENT__MODEL="off")
    try:
        up.wait_for(lambda: "in another terminal" in up.text())
        settings = load(folder / "data/secrets/settings.toml")
        up.wait_for(lambda: not lag(settings.kafka))
        with clickhouse_client(settings.clickhouse) as client:
            yield Opened(up, hook, client)
    finally:
        up.end(signal.SIGTERM)
        hook.stop()


def test_all_rows_are_there_as_they_were(opened: Opened) -> None:
    for table, names in BEFORE["columns"].items():
        found = opened.client.query(f"SELECT count(), groupBitXor(sipHash64({names})) FROM {table} FINAL WHERE {OLD[table]}")
        count, content = map(str, found.result_rows[0])
        if KEPT or table == "interactions":
            assert f"{count},{content}" == BEFORE["content"][table], table


def test_the_tables_are_those_of_this_release(opened: Opened) -> None:
    assert opened.number("SELECT count() FROM schema_migrations FINAL WHERE finished_at > started_at") == len(read_migrations())
    released = "SELECT released FROM leaders WHERE name = 'control' AND term = 0"
    assert opened.number(released) == 0, "the old control may still have written when it was killed"
    opened.up.wait_for(lambda: opened.number("SELECT max(term) FROM leaders WHERE name = 'control'") > 0)


def test_the_worker_goes_on_where_the_old_one_committed(opened: Opened) -> None:
    """The backlog: three redeliveries, twenty posts, the create of a change that waited, and a broken record."""
    new = f"FROM interactions WHERE id LIKE '{LATER}%' AND id != '{LATER}waiting'"
    assert opened.number(f"SELECT count() {new}") == opened.number(f"SELECT uniqExact(id) {new}") == 20
    assert opened.number("SELECT count() FROM interactions FINAL") == BEFORE["rows"]["interactions"] + 21
    assert opened.number("SELECT count() FROM dead_letters FINAL WHERE form = 1") == 1
    if KEPT:
        assert opened.up.metric("earshot_events_read_total") == BEFORE["backlog"]


def test_a_change_that_waited_meets_its_create(opened: Opened) -> None:
    text = f"SELECT text FROM interactions FINAL WHERE id = '{LATER}waiting'"
    opened.up.wait_for(lambda: opened.client.command(text) == "The Fernbrook app works again")
    opened.up.wait_for(lambda: opened.number("SELECT count() FROM pending_changes FINAL WHERE done = 0") == 0)


def test_known_people_are_recognised(opened: Opened) -> None:
    """By the hash key of the folder; and no revision is made of an address."""
    people = "SELECT uniqExact(author_email), count() FROM interactions FINAL WHERE author_handle = 'ann'"
    assert opened.client.query(people).result_rows == [(1, 22)]
    opened.up.wait_for(lambda: opened.number("SELECT count() FROM system.mutations WHERE NOT is_done") == 0)


def test_alerts_and_silences_go_on(opened: Opened) -> None:
    """Nobody is notified once more that they fire."""
    opened.up.wait_for(opened.up.control_ready)
    assert "Kestrelpay" in opened.up.earshot("alerts", "list", "--all")
    if KEPT:
        assert "planned" in opened.up.earshot("alerts", "silences")
    keys = "SELECT DISTINCT lower(leftPad(hex(alert_key), 16, '0')) FROM alerts WHERE term = 0"
    known = {key for (key,) in opened.client.query(keys).result_rows}
    assert len(known) >= 3
    assert not known & {notice.alert["key"] for notice in opened.hook.notices if notice.alert["state"] == "firing"}


def test_the_analyst_reads_without_a_password_and_default_does_not(opened: Opened) -> None:
    everyone = (
        "SELECT count() FROM interactions FINAL WHERE visibility != 'private' AND kind NOT IN ('message', 'email', 'call')"
    )
    assert opened.ask("SELECT count() FROM interactions") == (200, str(opened.number(everyone)))
    assert opened.ask("SELECT count() FROM dead_letters")[0] == 403
    assert opened.ask("SELECT 1", user="default")[0] == 403
    assert "Mobiqo" in opened.up.earshot("query", "brands", "--from", "2006-01-01")


def test_the_folder_is_marked_and_its_owners_alone(opened: Opened) -> None:
    data = opened.up.folder / "data"
    assert (data / MARKER).is_file()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
