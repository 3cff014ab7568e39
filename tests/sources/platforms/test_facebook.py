"""Facebook's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.facebook import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from tests.sources.platforms.facebook_payloads import (
    COMMENTS,
    CONVERSATIONS,
    FEED,
    OF_COMMENTS,
    OF_CONVERSATIONS,
    OF_FEED,
    OURS,
    comment,
    post,
)
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

WHOLE = pytest.mark.parametrize("payload", [FEED, COMMENTS, CONVERSATIONS], ids=["feed", "comments", "conversations"])


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, OURS))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(FEED, OF_FEED), (COMMENTS, OF_COMMENTS), (CONVERSATIONS, OF_CONVERSATIONS)],
    ids=["feed", "comments", "conversations"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("facebook", each)


def test_objects_come_in_each_form_of_the_graph_apis_answers() -> None:
    one = post(21, message="It leaks")
    (expected,) = seen(one)
    for payload in ({"data": [one]}, [one], {"100_21": one}):
        assert seen(payload) == [expected]
    said = {"id": "100_21", "comments": {"data": [comment("21_31")]}}
    assert [each.event["in_reply_to"] for each in seen(said) if isinstance(each, Observation)] == ["100_21"]
    assert seen({"data": []}) == seen([]) == []


def test_an_original_has_nobodys_reactions_and_no_other_items() -> None:
    (first, *_) = observe(FEED, OURS)
    assert isinstance(first, Observation) and isinstance(first.original, dict)
    assert not {"reactions", "comments"} & first.original.keys() and first.original["shares"] == {"count": 3}


@pytest.mark.parametrize(
    "payload",
    [None, 17, "<html>", {}, {"data": [{"x": 1}]}, [1], {"error": {"message": "No", "code": 190}}, {"x": {"id": "y"}}],
)
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@WHOLE
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)
            if isinstance(each, Observation):
                check("facebook", each)


EXPECTED = {
    "comments_p1.json": {"comment": 6, "reply": 4},
    "comments_p2.json": {"comment": 4, "reply": 1},
    "feeds_default_fields_p1.json": {"post": 5},
    "feeds_default_fields_p2.json": {"post": 5},
    "messages_info.json": {"message": 2},
    "multi_posts_data.json": {"post": 2, "comment": 16},
}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/facebook_graph").iterdir()):
        observed = list(observe(orjson.loads(path.read_bytes()), Origin()))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("facebook", each)
    assert found == EXPECTED
