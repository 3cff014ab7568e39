"""The shipped mappings on recorded exports of forums. The files hold real people's words: an assertion prints none of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.sources.platforms.observation import Observation
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from tests.support.platform_events import RECORDED, check, needs_recorded

pytestmark = needs_recorded

EXPECTED = {
    "reddit/nyc_reddit_comments.json": {"comment": 289},
    "community_forum/uservoice_new_comment.json": {"idea": 1, "reply": 1, "comment": 1},
    "community_forum/uservoice_new_kudo.json": {"message": 1, "reaction": 1},
    "community_forum/uservoice_new_suggestion.json": {"idea": 1},
    "community_forum/uservoice_new_ticket.json": {"message": 4},
    "community_forum/uservoice_new_ticket_admin_reply.json": {"message": 1},
    "community_forum/uservoice_new_ticket_reply.json": {"message": 1},
    "community_forum/uservoice_suggestion_status_update.json": {"idea": 1, "reply": 1},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_is_valid_events(name: str) -> None:
    path: Path = RECORDED / "platforms" / name
    items = list(read_events(path, find_mapping(path)))
    events = [item.event for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]
    assert len(events) == len(items)
    assert dict(Counter(event["kind"] for event in events)) == EXPECTED[name]
    for event in events:
        check(str(event["platform"]), Observation(event))
    assert {event["visibility"] for event in events if event["kind"] in ("message", "reaction")} <= {"private"}
