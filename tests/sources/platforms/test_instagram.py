"""Instagram's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.instagram import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from tests.sources.platforms.instagram_payloads import (
    CONVERSATIONS,
    HASHTAG,
    MEDIA,
    OF_CONVERSATIONS,
    OF_HASHTAG,
    OF_MEDIA,
    OURS,
)
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

WHOLE = pytest.mark.parametrize("payload", [MEDIA, HASHTAG, CONVERSATIONS], ids=["media", "hashtag", "conversations"])


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, OURS))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(MEDIA, OF_MEDIA), (HASHTAG, OF_HASHTAG), (CONVERSATIONS, OF_CONVERSATIONS)],
    ids=["media", "hashtag", "conversations"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("instagram", each)


def test_objects_come_in_each_form_of_the_graph_apis_answers() -> None:
    one = MEDIA["data"][1]
    (expected,) = seen(one)
    for payload in ({"data": [one]}, [one], {"3003": one}):
        assert seen(payload) == [expected]
    assert seen({"id": "3001", "comments": MEDIA["data"][0]["comments"]}) == OF_MEDIA[1:5]
    assert seen({"data": []}) == seen([]) == []


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
                check("instagram", each)


EXPECTED = {
    "ig_comments_p1.json": {"comment": 2},
    "ig_hashtag_top_medias_p1.json": {"post": 25},
    "ig_hashtag_top_medias_p2.json": {"post": 25},
}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/instagram").iterdir()):
        observed = list(observe(orjson.loads(path.read_bytes()), Origin()))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("instagram", each)
    assert found == EXPECTED
