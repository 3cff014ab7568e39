"""The driver of VK against a server on loopback that speaks its Bots Long Poll and the methods of the wall."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.config.settings import Settings
from pipeline.http.outgoing import Limits
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.vk_server import GROUP, SERVICE, TOKEN, VkServer
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = float(int(time.time()))
WITH_WALL: JsonObject = {"wall_token_env": "VK_SERVICE_KEY"}


@pytest.fixture
def vk() -> Iterator[VkServer]:
    server = VkServer()
    with server.running():
        yield server


def fill(vk: VkServer, first: int, last: int, text: str = "post", at: float = 0.0) -> None:
    for number in range(first, last + 1):
        vk.world.post(number, (at or NOW - 100_000) + number, f"{text} {number}")


def hears(vk: VkServer, token: str = TOKEN, **keys: object) -> Driven:
    found = source_of(**{"platform": "vk", "group": GROUP, "server": vk.url, **keys})
    return Driven(found, token, beside=frozenset({"a"}), environ={"VK_SERVICE_KEY": SERVICE})


def begun(vk: VkServer, wall: bool = False) -> Driven:
    """A source that has begun."""
    source = hears(vk, **WITH_WALL) if wall else hears(vk)
    source.run(lambda: source.pages > 0)
    return source


def heard(source: Driven, events: int, starts: int = 50) -> None:
    """Runs until so many events came."""
    source.run(lambda: len(source.events) >= events, starts=starts)
    assert len(source.events) == events


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def test_begins_with_what_is_new_then_edits_deletes_and_messages(vk: VkServer) -> None:
    fill(vk, 1, 3)
    source = begun(vk)
    assert source.events == []
    fill(vk, 4, 5)
    fill(vk, 6, 7, "re 4:")
    fill(vk, 8, 8, "m:")
    vk.world.edit(6, "re 4: edited", NOW)
    vk.world.delete(7)
    vk.add("group_join", {"user_id": 9})
    heard(source, 7)
    assert source.operations == {"create": 5, "update": 1, "delete": 1} and not source.gaps
    wall = f"wall-{GROUP}_4"
    assert ids(source.events) == {wall, f"wall-{GROUP}_5", f"{wall}_r6", f"{wall}_r7", f"im{GROUP}:7:8"}
    assert TOKEN not in str(source.cursors) and "k1" not in str(source.cursors)


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
def test_a_fault_costs_one_request(vk: VkServer, fault: Fault) -> None:
    source = begun(vk)
    vk.held_s = 60.0
    fill(vk, 1, 20)
    before = vk.requests.total()
    vk.faults.plan[:] = [fault]
    heard(source, 20)
    assert vk.requests.total() - before <= 3  # the fault, its repetition, and the request that the end broke off


def test_what_comes_after_the_first_start_is_heard_though_its_long_poll_failed(vk: VkServer) -> None:
    source = hears(vk)
    vk.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    source.shared.clear()  # another listener goes on
    fill(vk, 1, 2)
    heard(source, 2)


def test_a_long_poll_whose_requests_fail_again_and_again_is_begun_anew(vk: VkServer) -> None:
    """VK may have moved it to another server."""
    source = begun(vk)
    fill(vk, 1, 2)
    calls = vk.calls["groups.getLongPollServer"]
    vk.faults.plan[:] = ["500"] * 4
    heard(source, 2)
    assert vk.calls["groups.getLongPollServer"] - calls == 1 and not source.gaps


def test_a_key_that_ended_loses_nothing(vk: VkServer) -> None:
    source = begun(vk)
    fill(vk, 1, 2)
    vk.key = 2
    heard(source, 2)
    fill(vk, 3, 3)
    heard(source, 3)
    assert not source.gaps


@pytest.mark.parametrize("forgets", [False, True], ids=["failed 1", "failed 3"])
def test_without_a_service_key_lost_events_are_a_gap(vk: VkServer, forgets: bool) -> None:
    source = begun(vk)
    fill(vk, 1, 5)
    vk.kept, vk.forgets = 0 if not forgets else 10, forgets
    source.run(lambda: bool(source.gaps))
    vk.kept = 10
    fill(vk, 6, 6)
    heard(source, 1)
    (gap,) = source.gaps
    assert gap.since <= gap.until and "posts and comments among them" in gap.reason


@pytest.mark.parametrize("forgets", [False, True], ids=["failed 1", "failed 3"])
def test_with_a_service_key_lost_posts_and_comments_are_read_again(vk: VkServer, forgets: bool) -> None:
    fill(vk, 1, 150)
    source = begun(vk, wall=True)
    fill(vk, 200, 450, at=NOW)
    fill(vk, 500, 640, "re 300:", at=NOW)
    fill(vk, 700, 701, "re 120:", at=NOW)  # of an older post on the page that reaches back so far
    vk.world.delete(450)
    vk.kept, vk.forgets = 0 if not forgets else 1_000, forgets
    vk.faults.plan[:] = ["", "", "500", "", "half"]
    source.run(lambda: bool(source.gaps) and "missed" not in source.cursors["live"])
    news = {f"wall-{GROUP}_{number}" for number in range(200, 450)}
    comments = {f"wall-{GROUP}_300_r{number}" for number in range(500, 641)} | {f"wall-{GROUP}_120_r{n}" for n in (700, 701)}
    assert ids(source.events) >= news | comments and source.operations.keys() == {"create"}
    author = source.events[0]["author"]
    assert author == {"id": "7", "handle": "ines_k", "name": "Ines K"}
    (gap,) = source.gaps
    assert "wall are read again" in gap.reason and SERVICE not in str(source.cursors)
    vk.kept = 1_000
    fill(vk, 800, 800)
    count = len(source.events)
    source.run(lambda: len(source.events) > count)
    assert source.texts[-1] == "post 800"


def test_a_long_poll_that_only_fails_rests(vk: VkServer) -> None:
    source = begun(vk)
    vk.kept = -1  # each place is too old
    source.run(lambda: bool(source.errors))
    assert "again and again" in str(source.errors[-1]) and vk.calls["poll"] < 9


def test_the_past_of_the_wall_back_to_a_time_and_on_after_faults(vk: VkServer) -> None:
    fill(vk, 1, 350)
    fill(vk, 400, 520, "re 200:")
    source = hears(vk, **WITH_WALL)
    vk.faults.plan[:] = ["", "500", "", "half"]
    found = ids(source.backfill(NOW - 100_000 + 180, starts=3))
    posts = {f"wall-{GROUP}_{number}" for number in range(154, 351)}  # to the page that reaches it, which overlaps
    assert found >= posts | {f"wall-{GROUP}_200_r{number}" for number in range(400, 521)}
    calls = vk.calls.total()
    assert source.backfill(NOW - 100_000 + 180) == [] and vk.calls.total() == calls


def test_the_past_without_a_service_key_is_a_gap(vk: VkServer) -> None:
    source = hears(vk)
    assert source.backfill(NOW - 1_000) == [] and source.backfill(NOW - 1_000) == []
    (gap,) = source.gaps
    assert "wall_token_env" in gap.reason and not vk.calls


@pytest.mark.parametrize(
    ("error", "line"),
    [(5, "key is refused"), (15, "access is denied"), (27, "may not call"), (203, "of another community")],
)
def test_what_vk_refuses_is_a_state_with_its_reason(vk: VkServer, error: int, line: str) -> None:
    vk.error = error
    with pytest.raises(NoCredentials, match=line) as raised:
        hears(vk).poll()
    assert TOKEN not in str(raised.value)


def test_what_is_missing_or_switched_off_is_said(vk: VkServer) -> None:
    with pytest.raises(NoCredentials, match="community's access key"):
        hears(vk, "").poll()
    without = hears(vk, **WITH_WALL)
    without.environ = {}
    with pytest.raises(NoCredentials, match="variable VK_SERVICE_KEY is not set"):
        without.poll()
    vk.off = {"wall_reply_new"}
    assert "switched off: wall_reply_new" in hears(vk).check()
    vk.off = {"all"}
    with pytest.raises(Failed, match="Long Poll API is switched off"):
        hears(vk).check()
    tried = Driven(source_of(platform="vk", group=GROUP, server=vk.url), TOKEN)
    assert tried.poll() == []  # it ends, though it is a stream


@pytest.mark.parametrize(("error", "seconds"), [(6, 1), (9, 60), (29, 3_600)])
def test_waits_as_long_as_vk_asks(vk: VkServer, error: int, seconds: float) -> None:
    source = begun(vk)
    vk.error, vk.key = error, 2
    with pytest.raises(Waiting) as raised:
        source.poll()
    assert raised.value.until == pytest.approx(time.time() + seconds, abs=5)
    calls = vk.requests.total()
    source.timer.ahead = 0.0
    if seconds > 60:
        with pytest.raises(Waiting):
            source.poll()
        assert vk.requests.total() == calls


def test_a_server_that_stalls(vk: VkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = begun(vk)
    fill(vk, 1, 5)
    vk.faults.plan[:] = ["stall"]
    with monkeypatch.context() as patched, pytest.raises(Failed, match="no answer within"):
        patched.setattr("pipeline.listen.api.LIMITS", Limits(total_s=0.3))  # nothing has to succeed within it
        source.poll()
    vk.faults.plan.clear()  # a busy machine may have sent nothing
    heard(source, 5)


def test_each_item_once_in_its_last_state_whatever_fails(vk: VkServer) -> None:
    random, number = Random(7), 1
    source, vk.held_s = begun(vk, wall=True), 0.01
    fill(vk, 1, 1)
    vk.faults.share, vk.faults.retry_after = 0.2, "9"
    vk.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(15):
        count = random.choice((1, 5, 40))
        fill(vk, number + 1, number + count, random.choice(("post", "re 1:", "m:")), at=NOW)
        number += count
        vk.key += random.choice((0, 0, 1))
        source.run(lambda: source.cursors["live"]["ts"] == str(len(vk.events)), starts=random.choice((1, 3, 60)))
    vk.faults.share = 0.0
    source.run(lambda: source.cursors["live"]["ts"] == str(len(vk.events)))
    assert source.operations == {"create": number} and not source.gaps


@pytest.mark.timeout(120)
def test_a_listener_sends_each_item_once(settings: Settings, vk: VkServer, tmp_path: Path) -> None:
    migrate(settings)
    (tmp_path / "token").write_text(TOKEN)
    source: JsonObject = {"name": "community", "platform": "vk", "group": GROUP, "server": vk.url, "token_file": "token"}
    write_sources(tmp_path / "sources.yaml", [source])
    listens = listening(settings, tmp_path / "sources.yaml")
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("it listens", lambda: vk.calls["poll"] > 0)
    fill(vk, 1, 3)
    fill(vk, 4, 5, "re 1:")
    vk.world.edit(4, "re 1: edited", time.time())
    vk.world.delete(5)
    wait_for("all came", lambda: len(sent(listens)) == 7)
    assert listener.stop() == 0
    fill(vk, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 8)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 6, "update": 1, "delete": 1}
