"""The driver of LinkedIn against a server on loopback that speaks its documented protocol."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from pipeline.config.settings import Settings
from pipeline.http.outgoing import Limits
from pipeline.listen.drivers.linkedin import KEPT_S
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.linkedin_server import PAGE, TOKEN, LinkedInServer, number_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = float(int(time.time()))


@pytest.fixture(params=[False, True], ids=["newest first", "oldest first"])
def linkedin(request: pytest.FixtureRequest) -> Iterator[LinkedInServer]:
    server = LinkedInServer(oldest_first=request.param)
    with server.running():
        yield server


def fill(linkedin: LinkedInServer, first: int, last: int, at: float = 0.0, text: str = "comment") -> None:
    for number in range(first, last + 1):
        linkedin.world.post(number, at or NOW, f"{text} {number}")


def polls(linkedin: LinkedInServer, token: str = TOKEN, **keys: object) -> Driven:
    return Driven(source_of(**{"platform": "linkedin", "page": PAGE, "server": linkedin.url, **keys}), token)


def ids(linkedin: LinkedInServer, first: int, last: int) -> set[str]:
    return {f"urn:li:comment:{number_of(linkedin.world.items()[number])}" for number in range(first, last + 1)}


def found(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def test_begins_with_what_is_new_then_edits_and_deletes(linkedin: LinkedInServer) -> None:
    fill(linkedin, 1, 3, NOW - 5_000)
    source = polls(linkedin)
    assert source.poll() == []
    fill(linkedin, 4, 6)
    fill(linkedin, 7, 7, text="share:")
    linkedin.world.edit(4, "edited", NOW + 1)
    linkedin.world.delete(5)
    source.timer.ahead += 10
    source.poll()
    newest_first, oldest_first = {"create": 3, "delete": 1}, {"create": 4, "update": 1, "delete": 1}
    assert source.operations == (oldest_first if linkedin.oldest_first else newest_first)
    texts = {event["id"]: event["text"] for event in source.events if "text" in event}
    (edited,) = ids(linkedin, 4, 4)
    assert texts[edited] == "edited" and source.poll() == [] and not source.gaps


def test_news_of_many_pages(linkedin: LinkedInServer) -> None:
    source = polls(linkedin)
    source.poll()
    fill(linkedin, 1, 250)
    source.timer.ahead += 10
    assert found(source.poll()) == ids(linkedin, 1, 250) and linkedin.requests.total() == 1 + 3 and not source.gaps


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(3))
def test_a_fault_costs_one_request(linkedin: LinkedInServer, fault: Fault, position: int) -> None:
    source = polls(linkedin)
    source.poll()
    fill(linkedin, 1, 250)
    source.timer.ahead += 10
    broken: list[Fault] = ["", "", fault]
    linkedin.faults.plan[:] = broken[2 - position :]
    assert found(source.poll(starts=2)) == ids(linkedin, 1, 250) and linkedin.requests.total() == 1 + 3 + 1
    assert source.poll() == []


def test_what_comes_late_is_found_for_ten_minutes(linkedin: LinkedInServer) -> None:
    source = polls(linkedin)
    source.poll()
    source.timer.ahead += 300
    source.poll()
    fill(linkedin, 1, 1, NOW - 100)
    assert found(source.poll()) == ids(linkedin, 1, 1)


def test_more_than_sixty_days_away_are_a_gap(linkedin: LinkedInServer) -> None:
    source = polls(linkedin)
    source.poll()
    fill(linkedin, 1, 1)
    source.timer.ahead += KEPT_S - 3_600
    assert found(source.poll()) == ids(linkedin, 1, 1) and not source.gaps
    source.timer.ahead += 2 * KEPT_S
    source.poll()
    (gap,) = source.gaps
    assert gap.since < gap.until and "60 days" in gap.reason


def test_the_past_of_sixty_days_and_on_after_faults(linkedin: LinkedInServer) -> None:
    for day in range(80):
        fill(linkedin, 1 + day * 10, 10 + day * 10, NOW - 100 - day * 86_400)
    source = polls(linkedin)
    linkedin.faults.plan[:] = ["", "500", "", "half"]
    assert found(source.backfill(NOW - 20 * 86_400, starts=3)) == ids(linkedin, 1, 200)
    requests = linkedin.requests.total()
    assert requests < 20 and source.backfill(NOW - 20 * 86_400) == [] and linkedin.requests.total() == requests
    further = polls(linkedin)
    assert found(further.backfill(NOW - 80 * 86_400)) == ids(linkedin, 1, 600)
    assert "60 days" in further.gaps[0].reason


def test_pages_that_never_end_are_a_gap(linkedin: LinkedInServer) -> None:
    source = polls(linkedin)
    source.poll()
    fill(linkedin, 1, 150)
    linkedin.endless = True
    source.timer.ahead += 10
    source.poll()
    assert len(source.gaps) == 1 and linkedin.requests.total() < 120


@pytest.mark.parametrize(
    ("status", "body", "state", "line"),
    [
        (401, {"serviceErrorCode": 65601}, NoCredentials, "end after 60 days"),
        (403, {"code": "ACCESS_DENIED"}, NoCredentials, "no administrator"),
        (404, {}, Failed, "was deleted"),
        (426, {"code": "NONEXISTENT_VERSION"}, Failed, "set key version"),
        (500, {}, Failed, "status 500"),
    ],
)
def test_what_linkedin_refuses_is_a_state_with_its_reason(
    linkedin: LinkedInServer, status: int, body: JsonObject, state: type[Exception], line: str
) -> None:
    linkedin.refuse = status, body
    with pytest.raises(state, match=line):
        polls(linkedin).poll()


def test_tokens_and_pages(linkedin: LinkedInServer) -> None:
    with pytest.raises(NoCredentials, match="access token of an administrator"):
        polls(linkedin, "").poll()
    with pytest.raises(NoCredentials, match="refuses the access token") as error:
        polls(linkedin, "wr0ng").poll()
    assert "wr0ng" not in str(error.value)
    with pytest.raises(NoCredentials, match="no administrator"):
        polls(linkedin, page=99).poll()
    fill(linkedin, 1, 3)
    source = polls(linkedin)
    source.timer.ahead += 10
    assert "3 notifications" in source.check() and len(source.poll()) == 3 and TOKEN not in str(source.cursors)


def test_a_limit_of_the_day_waits_until_midnight(linkedin: LinkedInServer) -> None:
    source = polls(linkedin)
    linkedin.refuse = 429, {"serviceErrorCode": 101}
    with pytest.raises(Waiting, match="of the day") as error:
        source.poll()
    until = datetime.fromtimestamp(error.value.until, UTC)
    assert (until.hour, until.minute) == (0, 0) and 0 < error.value.until - time.time() <= 86_400
    source.timer.ahead = 0.0
    with pytest.raises(Waiting):
        source.poll()
    linkedin.refuse, linkedin.faults.retry_after = None, "3600"
    other, linkedin.faults.plan[:] = polls(linkedin), ["429"]
    with pytest.raises(Waiting) as error:
        other.poll()
    assert error.value.until == pytest.approx(time.time() + 3_600, abs=5) and linkedin.requests.total() == 2


def test_a_server_that_stalls(linkedin: LinkedInServer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = polls(linkedin)
    linkedin.faults.plan[:] = ["stall"]
    with monkeypatch.context() as patched, pytest.raises(Failed, match="no answer within"):
        patched.setattr("pipeline.listen.api.LIMITS", Limits(total_s=0.3))  # nothing has to succeed within it
        source.poll()
    linkedin.faults.plan.clear()  # a busy machine may have sent nothing
    assert source.poll() == []


def test_each_comment_once_in_its_last_state_whatever_fails(linkedin: LinkedInServer) -> None:
    random, number = Random(7), 0
    source = polls(linkedin)
    source.poll()
    linkedin.faults.share, linkedin.faults.retry_after = 0.2, "9"
    linkedin.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(30):
        source.timer.ahead += 60
        now = source.timer.now()
        count = random.choice((0, 1, 5, 130)) if number else 5
        fill(linkedin, number + 1, number + count, now - 5)
        number += count
        for each in random.sample(range(max(1, number - 50), number), min(number - 1, 3)):
            linkedin.world.edit(each, f"edited {random.randrange(1_000)}", now - 2)
        source.run(starts=random.choice((1, 1, 9)))
    linkedin.faults.share = 0.0
    source.timer.ahead += 60
    source.poll()
    texts: dict[str, str] = {event["id"]: event["text"] for event in source.events}
    assert source.operations["create"] == number and not source.gaps
    assert texts == {f"urn:li:comment:{number_of(item)}": item.text for item in linkedin.world.items().values()}


@pytest.mark.timeout(120)
def test_a_listener_sends_each_comment_once(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    (tmp_path / "token").write_text(TOKEN)
    linkedin = LinkedInServer()
    with linkedin.running():
        source = {"name": "page", "platform": "linkedin", "page": PAGE, "server": linkedin.url, "every": "1s"}
        write_sources(tmp_path / "sources.yaml", [{**source, "token_file": "token"}])
        listens = listening(settings, tmp_path / "sources.yaml")
        fill(linkedin, 1, 3, time.time() - 5)
        listener = start_listener(listens, tmp_path / "1.log")
        wait_for("the comments came", lambda: len(sent(listens)) == 3)
        linkedin.world.edit(2, "edited", time.time())
        wait_for("the edit came", lambda: len(sent(listens)) == 4)
        assert listener.stop() == 0
        fill(linkedin, 4, 4, time.time())
        listener = start_listener(listens, tmp_path / "2.log")
        wait_for("the new comment came", lambda: len(sent(listens)) == 5)
        assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 4, "update": 1}
