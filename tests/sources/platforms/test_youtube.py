"""YouTube's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.youtube import observe
from tests.sources.platforms.youtube_payloads import ANSWERS, OF_ANSWERS, OF_SINGLE, OF_THREADS, OURS, SINGLE, THREADS
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, OURS))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(THREADS, OF_THREADS), (ANSWERS, OF_ANSWERS), (SINGLE, OF_SINGLE)],
    ids=["threads", "answers", "single"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("youtube", each)


def test_all_that_is_no_comment_is_left_out() -> None:
    results = {"kind": "youtube#searchListResponse", "items": [{"kind": "youtube#searchResult", "id": {"videoId": "v1"}}]}
    assert seen(results) == [LeftOut("searchResult")]
    assert seen({"kind": "youtube#commentThreadListResponse", "items": []}) == []


@pytest.mark.parametrize(
    "payload",
    [None, "<html>502</html>", 17, {}, [1], {"error": {"code": 403}}, {"kind": "youtube#commentListResponse"},
     {"kind": "customsearch#search", "items": [{"kind": "customsearch#result"}]}, {"kind": 1, "items": []}],
)  # fmt: skip
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [THREADS, ANSWERS, SINGLE], ids=["threads", "answers", "single"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)


EXPECTED = {
    "comment_threads_by_video_paged_1.json": {"comment": 5},
    "comment_threads_by_video_paged_2.json": {"comment": 5},
}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/youtube").glob("*.json")):
        observed = list(observe(orjson.loads(path.read_bytes()), Origin()))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("youtube", each)
    assert found == EXPECTED
