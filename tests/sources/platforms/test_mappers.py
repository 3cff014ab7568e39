"""Each mapper: three payloads with all their events, payloads of another shape, broken ones, recorded ones."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms.observation import Unreadable
from tests.sources.platforms import (
    app_store_payloads,
    facebook_payloads,
    freshdesk_payloads,
    google_play_payloads,
    instagram_payloads,
    linkedin_payloads,
    telegram_payloads,
    vk_payloads,
    youtube_payloads,
)
from tests.support.mapped import Mapped
from tests.support.platform_events import needs_recorded

ALL = (
    app_store_payloads.MAPPED, facebook_payloads.MAPPED, freshdesk_payloads.MAPPED, google_play_payloads.MAPPED,
    instagram_payloads.MAPPED, linkedin_payloads.MAPPED, telegram_payloads.MAPPED, vk_payloads.MAPPED, youtube_payloads.MAPPED,
)  # fmt: skip
EACH = pytest.mark.parametrize(
    ("mapped", "name"),
    [pytest.param(mapped, name, id=f"{mapped.platform} {name}") for mapped in ALL for name in mapped.payloads],
)


@EACH
def test_a_payload_is_these_events(mapped: Mapped, name: str) -> None:
    mapped.check(name)


@EACH
def test_whatever_is_broken_in_a_payload_raises_nothing_else(mapped: Mapped, name: str) -> None:
    mapped.check_garbled(name)


@pytest.mark.parametrize(
    ("mapped", "payload"),
    [pytest.param(mapped, payload, id=f"{mapped.platform} {payload!r:.40}") for mapped in ALL for payload in mapped.unreadable],
)
def test_a_payload_of_another_shape_is_unreadable(mapped: Mapped, payload: object) -> None:
    with pytest.raises(Unreadable):
        mapped.seen(payload)


@needs_recorded
@pytest.mark.parametrize("mapped", [mapped for mapped in ALL if mapped.folder], ids=lambda mapped: mapped.platform)
def test_recorded_payloads_are_so_many_events(mapped: Mapped) -> None:
    mapped.check_recorded()
