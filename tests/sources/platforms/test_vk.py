"""VK's payloads in each form."""

from __future__ import annotations

from pipeline.sources.platforms.observation import Origin
from tests.sources.platforms.vk_payloads import MAPPED, event, post

seen = MAPPED.seen


def test_payloads_come_in_each_form() -> None:
    one = event("wall_post_new", **post(6))
    assert seen(one) == seen({"ts": 1, "updates": [one]}) == seen(one, Origin()) != []
    assert seen({"response": [post(6)]}) == seen({"response": {"items": [post(6)]}}) == seen({"items": [post(6)]})
    assert seen({"ts": 1, "updates": []}) == seen({"response": {"items": []}}) == []
