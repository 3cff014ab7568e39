"""Instagram's payloads in each form."""

from __future__ import annotations

from tests.sources.platforms.instagram_payloads import MAPPED, MEDIA, OF_MEDIA

seen = MAPPED.seen


def test_objects_come_in_each_form_of_the_graph_apis_answers() -> None:
    one = MEDIA["data"][1]
    (expected,) = seen(one)
    for payload in ({"data": [one]}, [one], {"3003": one}):
        assert seen(payload) == [expected]
    assert seen({"id": "3001", "comments": MEDIA["data"][0]["comments"]}) == OF_MEDIA[1:5]
    assert seen({"data": []}) == seen([]) == []
