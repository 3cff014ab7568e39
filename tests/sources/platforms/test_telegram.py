"""Telegram's payloads in each form, and the ids that they share."""

from __future__ import annotations

from pipeline.sources.platforms.observation import Observation
from tests.sources.platforms.telegram_payloads import CHANNEL, EXPORT, MAPPED, OF_EXPORT, message, post, update

seen = MAPPED.seen


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
