"""Telegram's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.telegram import observe
from tests.sources.platforms.telegram_payloads import (
    BUSINESS,
    CHANNEL,
    EXPORT,
    OF_BUSINESS,
    OF_EXPORT,
    OF_UPDATES,
    OURS,
    UPDATES,
    message,
    post,
    update,
)
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table


def seen(payload: object, origin: Origin = OURS) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, origin))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(UPDATES, OF_UPDATES), (BUSINESS, OF_BUSINESS), (EXPORT, OF_EXPORT)],
    ids=["updates", "business", "export"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("telegram", each)


def test_updates_come_in_each_form() -> None:
    one = update(1, channel_post=post(10))
    assert seen(one) == seen([one]) == seen({"ok": True, "result": [one]}) != []
    assert seen({"ok": True, "result": []}) == seen([]) == seen({"messages": []}) == []
    assert seen({"chats": {"list": [EXPORT]}}) == OF_EXPORT


def test_a_post_of_a_channel_is_one_event_live_and_in_files() -> None:
    (live,) = seen(update(1, channel_post=post(10)))
    dumped = {"message_id": 10, "sender_id": CHANNEL["id"], "date": "2026-03-01T10:00:00+00:00", "text": "**It** leaks."}
    (in_dump,) = seen([{**dumped, "channel": "Acme News", "category": "x"}])
    assert isinstance(live, Observation) and isinstance(in_dump, Observation) and isinstance(OF_EXPORT[0], Observation)
    same = ("id", "kind", "created_at", "visibility", "conversation_id")
    assert len({tuple(each.event[name] for name in same) for each in (live, in_dump, OF_EXPORT[0])}) == 1
    assert live.event["text"] == in_dump.event["text"] == "It leaks."


def test_a_topic_and_a_small_group_are_private_conversations() -> None:
    topic = {"id": -1003, "type": "supergroup", "title": "Team", "is_forum": True}
    first = message(5, topic, None, forum_topic_created={"name": "Kettles"})
    (found,) = seen(update(1, message=message(6, topic, message_thread_id=5, reply_to_message=first)))
    assert isinstance(found, Observation) and found.event["kind"] == "message" and found.event["visibility"] == "private"
    assert found.event["conversation_id"] == "-1003:t:5" and "in_reply_to" not in found.event
    (small,) = seen(update(1, message=message(6, {"id": -44, "type": "group", "title": "Few"})))
    assert isinstance(small, Observation) and small.event["id"] == "5550:-44:6"


@pytest.mark.parametrize("payload", [None, "<html>502</html>", 17, {}, [1], [{}], {"ok": False, "error_code": 409}])
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [UPDATES, BUSINESS, EXPORT], ids=["updates", "business", "export"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)


EXPECTED = {"1001003313758_messages.json": {"post": 672}, "result.json": {"post": 6}}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/telegram").glob("*.json")):
        observed = list(observe(orjson.loads(path.read_bytes()), Origin()))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("telegram", each)
    assert found == EXPECTED
