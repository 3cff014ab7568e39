"""The driver of Instagram against an account on loopback; what it shares with Facebook is tested there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from pipeline.listen.states import Failed, NoCredentials
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.graph_server import TOKEN
from tests.support.instagram_server import InstagramServer

pytestmark = pytest.mark.slow

NOW = time.time()


@pytest.fixture
def instagram() -> Iterator[InstagramServer]:
    server = InstagramServer()
    with server.running():
        yield server


def fill(instagram: InstagramServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        instagram.world.post(number, NOW - 100_000 + number, f"media {number}")


def talk(instagram: InstagramServer, media: int, first: int, last: int) -> None:
    for number in range(first, last + 1):
        instagram.comment(media, number, NOW - 50_000 + number, f"comment {number}")


def polls(instagram: InstagramServer, token: str = TOKEN, **more: object) -> Driven:
    return Driven(source_of(platform="instagram", account="200", server=instagram.url, **more), token)


def numbers(events: list[JsonObject]) -> list[int]:
    return sorted(int(event["id"].removeprefix("m_")) for event in events if event["operation"] == "create")


def test_media_and_comments_from_the_first_start_to_changes(instagram: InstagramServer) -> None:
    fill(instagram, 1, 40)
    talk(instagram, 40, 1_001, 1_060)
    source = polls(instagram)
    assert numbers(source.poll()) == [*range(1, 41), *range(1_011, 1_061)] and instagram.requests.total() == 2
    fill(instagram, 41, 80)
    talk(instagram, 78, 1_061, 1_180)
    talk(instagram, 40, 1_181, 1_181)
    instagram.world.edit(20, "edited", NOW)
    instagram.world.like(39, 5)
    instagram.faults.plan[:] = ["", "500", "half"]
    assert numbers(source.poll(starts=3)) == [*range(41, 81), *range(1_061, 1_182)]
    assert instagram.requests.total() == 2 + 2 + 2 + 1 + 2  # pages of media, of comments, older media, the faults
    source.poll()
    assert Counter(event["operation"] for event in source.events)["update"] == 2
    assert source.poll() == [] and not source.gaps


def test_tags_and_conversations(instagram: InstagramServer) -> None:
    fill(instagram, 1, 2)
    instagram.tag(301, NOW - 900, "tagged 301")
    instagram.message(9, 401, NOW - 800, "message 401")
    source = polls(instagram, tagged=True, page="100")
    assert numbers(source.poll()) == [1, 2, 301, 401]
    instagram.tag(302, NOW - 700, "tagged 302")
    instagram.message(9, 402, NOW - 600, "answer 402", author="us")
    assert numbers(source.poll()) == [302, 402] and source.poll() == []
    assert {event["id"]: event["direction"] for event in source.events}["m_402"] == "outbound"
    assert "platform=instagram" in instagram.asked[2]
    assert source.check() == "acme_coffee (200): media, tags, conversations"


def test_the_past(instagram: InstagramServer) -> None:
    fill(instagram, 1, 70)
    talk(instagram, 60, 1_001, 1_080)
    source = polls(instagram)
    assert numbers(source.backfill(0)) == [*range(1, 71), *range(1_001, 1_081)] and instagram.requests.total() == 3 + 1
    assert source.backfill(0) == []


def test_an_account_that_became_private_and_a_permission_that_was_lost(instagram: InstagramServer) -> None:
    source = polls(instagram)
    instagram.error = {"code": 100, "error_subcode": 33}
    with pytest.raises(Failed, match="it became private"):
        source.poll()
    instagram.error = {"code": 10, "message": "needs instagram_manage_comments"}
    with pytest.raises(NoCredentials, match="instagram_manage_comments"):
        source.poll()
    assert instagram.requests.total() == 2
