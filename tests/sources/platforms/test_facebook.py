"""Facebook's payloads in each form, and their originals."""

from __future__ import annotations

from pipeline.sources.platforms.facebook import observe
from pipeline.sources.platforms.observation import Observation
from tests.sources.platforms.facebook_payloads import FEED, MAPPED, OURS, comment, post

seen = MAPPED.seen


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
