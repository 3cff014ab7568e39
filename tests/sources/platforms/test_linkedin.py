"""LinkedIn's mapper: three payloads with all their events, payloads that are none. No recorded ones were at hand."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.linkedin import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Unreadable
from tests.sources.platforms.linkedin_payloads import ELEMENTS, OF_ELEMENTS, OF_SINGLE, OF_WEBHOOK, OURS, SINGLE, WEBHOOK
from tests.support.garbled import garbled
from tests.support.platform_events import check


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, OURS))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(ELEMENTS, OF_ELEMENTS), (WEBHOOK, OF_WEBHOOK), (SINGLE, OF_SINGLE)],
    ids=["elements", "webhook", "single"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("linkedin", each)


def test_an_answer_without_notifications_is_no_event() -> None:
    assert seen({"elements": [], "paging": {}}) == seen([]) == []


@pytest.mark.parametrize(
    "payload",
    [None, "<html>502</html>", 17, {}, [1, {}], {"elements": 1}, {"elements": [{"id": 1}]}, {"status": 403, "code": "NO"}],
)  # fmt: skip
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [ELEMENTS, WEBHOOK, SINGLE], ids=["elements", "webhook", "single"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 60 if isinstance(each, LeftOut) else orjson.dumps(each.event)
