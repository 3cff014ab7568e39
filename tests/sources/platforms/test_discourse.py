"""Discourse's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.discourse import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from schemas.untyped import JsonObject
from tests.sources.platforms.discourse_payloads import (
    LATEST,
    OF_LATEST,
    OF_TOPIC,
    OF_WEBHOOK,
    OURS,
    TOPIC,
    WEBHOOK,
    post,
)
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table


def seen(payload: object, origin: Origin = OURS) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, origin))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


def one(payload: object, origin: Origin = OURS) -> Observation:
    [found] = seen(payload, origin)
    assert isinstance(found, Observation)
    return found


@pytest.mark.parametrize(
    ("payload", "observed"), [(LATEST, OF_LATEST), (TOPIC, OF_TOPIC), (WEBHOOK, OF_WEBHOOK)], ids=["latest", "topic", "webhook"]
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("discourse", each)


def test_posts_come_in_each_form_of_discourses_answers() -> None:
    reply = post(50, 11, 2)
    expected = one(reply)
    for payload in ({"latest_posts": [reply]}, [reply], {"post": reply}, {"post_stream": {"posts": [reply]}}):
        assert seen(payload) == [expected]
    assert seen({"latest_posts": []}) == seen([]) == seen({"post_stream": {}}) == []


def test_a_first_post_without_its_topics_title_is_a_part_of_the_text() -> None:
    assert one(post(50, 11, 1)).partial == {"text"}
    assert one(post(50, 11, 2)).partial == one(post(50, 11, 1, topic_title="A kettle")).partial == set()


def test_private_posts_are_messages() -> None:
    found = one({"private_posts": [post(50, 11, 2)]}).event
    assert (found["kind"], found["visibility"]) == ("message", "private")
    assert one(TOPIC | {"archetype": "private_message", "post_stream": {"posts": [post(50, 11, 2)]}}).event["kind"] == "message"


def test_without_a_host_ids_have_no_prefix() -> None:
    found = one(post(50, 11, 2), Origin()).event
    assert (found["id"], found["conversation_id"], found["author"]["id"]) == ("50", "t:11", "7")


@pytest.mark.parametrize(
    ("payload", "observed"),
    [
        ({"topic_list": {"topics": [{"id": 1, "title": "A kettle"}, {"id": 2}, 3]},
        "users": []}, [LeftOut("topic"), LeftOut("topic")]),
        ({"topic": {"id": 11, "title": "A kettle"}}, [LeftOut("topic")]),
        ({"ping": "OK"}, [LeftOut("ping")]),
        ({"like": {"post": post(50, 11, 2), "user": {"id": 9}}}, [LeftOut("like"), one(post(50, 11, 2))]),
    ],
)  # fmt: skip
def test_all_that_is_no_post_is_left_out(payload: JsonObject, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed


@pytest.mark.parametrize(
    "payload",
    [None, "<html>502</html>", 17, {}, [1], [{}], {"errors": ["not found"],
    "error_type": "not_found"}, {"suggestion": {"id": 1}},
     {"topic": {}, "data": []}],
)  # fmt: skip
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [LATEST, TOPIC, WEBHOOK], ids=["latest", "topic", "webhook"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)


EXPECTED = {
    "discourse_latest.json": {"-topic": 3},
    "discourse_posts_latest.json": {"post": 3, "reply": 1},
    "discourse_topic.json": {"post": 1, "reply": 3},
}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/community_forum").glob("discourse*.json")):
        observed = list(observe(orjson.loads(path.read_bytes()), Origin("forum.example")))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("discourse", each)
    assert found == EXPECTED
