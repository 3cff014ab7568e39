"""One payload that can't be read costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.listen.payloads import MOST_KINDS, MOST_PARTS, Payloads
from pipeline.listen.sources_file import parse_sources
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable

FILE = b"sources: [{name: blog, platform: rss, url: 'https://example.com', original: true}]"
(SOURCE,) = parse_sources(FILE, Path("sources.yaml")).sources


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    if payload == "unreadable":
        raise Unreadable("it is no feed")
    yield Observation({"platform": "rss", "id": f"{payload}", "kind": "post"}, original={"it": payload})
    if payload == "broken":
        raise KeyError("a fault of the mapper")
    yield LeftOut(f"{payload}")


def test_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    payloads = Payloads(SOURCE, observe)
    seen = payloads.observed(["a", "unreadable", "broken", "\ud800", "b"], Origin())
    assert [each.event["id"] for each in seen] == ["a", "broken", "b"], "no text with half a character"
    event = {
        "platform": "rss",
        "id": "a",
        "kind": "post",
        "source": {"name": "blog"},
        "original": '{"it":"a"}',
    }
    assert seen[0].event == event
    assert payloads.left_out == {"a": 1, "b": 1, "other": 1, "unreadable": 3}
    assert "it is no feed" in caplog.text and "fault of the mapper" not in caplog.text


def test_a_stranger_can_name_only_so_many_kinds() -> None:
    payloads = Payloads(SOURCE, observe)
    payloads.observed([*range(10 * MOST_KINDS)], Origin())
    assert len(payloads.left_out) == MOST_KINDS + 1 and payloads.left_out.total() == 10 * MOST_KINDS


def test_an_event_without_json_costs_no_others_of_its_payload() -> None:
    def page(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
        for key in ("a", "\ud800", "b"):
            yield Observation({"platform": "rss", "id": key, "kind": "post"})

    payloads = Payloads(SOURCE, page)
    assert [each.event["id"] for each in payloads.observed([{}], Origin())] == ["a", "b"]
    assert payloads.left_out == {"unreadable": 1}


def test_a_payload_too_deep_to_be_written_is_left_out_of_its_event() -> None:
    def deep(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
        inner: object = "x"
        for _ in range(1_000):
            inner = [inner]
        yield Observation({"platform": "rss", "id": "a", "kind": "post"}, original={"it": inner})

    payloads = Payloads(SOURCE, deep)
    (seen,) = payloads.observed([{}], Origin())
    assert "original" not in seen.event and payloads.left_out == {"original": 1}


def test_a_payload_without_end_has_one() -> None:
    payloads = Payloads(SOURCE, lambda payload, origin: (LeftOut("more") for _ in range(10 * MOST_PARTS)))
    assert payloads.observed([{}], Origin()) == []
    assert payloads.left_out == {"more": MOST_PARTS, f"parts beyond {MOST_PARTS:,}": 1}
