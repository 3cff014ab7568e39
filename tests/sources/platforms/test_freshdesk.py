"""Freshdesk's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.freshdesk import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from schemas.untyped import JsonObject
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

DESK = Origin("acme.example")
PRIVATE = {"platform": "freshdesk", "kind": "message", "visibility": "private"}


def ticket(number: int, **more: object) -> JsonObject:
    return {
        "id": number, "subject": "Kettle", "status": 2, "created_at": "2026-03-01T10:00:00Z", "requester_id": 7, "priority": 1,
        "updated_at": "2026-03-05T10:00:00Z", "spam": False, "group_id": None, "responder_id": None, "tags": ["a"],
    } | more  # fmt: skip


def answer(number: int, **more: object) -> JsonObject:
    return {
        "id": number, "ticket_id": 11, "incoming": True, "private": False, "user_id": 7, "body_text": "It still leaks",
        "body": "<div>It still leaks</div>", "created_at": "2026-03-02T10:00:00Z", "attachments": [],
    } | more  # fmt: skip


TICKETS: JsonObject = {
    "total": 5,
    "results": [
        ticket(
            11, description_text="It leaks", description="<p>It <b>leaks</b></p>", group_id=3, responder_name="Otto",
            requester={"id": 7, "name": "Ines Melt", "email": "ines@example.com"},
            conversations=[answer(81, ticket_id=None), answer(82, incoming=False, user_id=2)],
        ),
        ticket(12, status=9, subject=None, description="<p>It <b>leaks</b></p>", responder_id=2, requester_name="Ines"),
        ticket(13, status_name="Being Processed"),
        ticket(14, spam=True),
        ticket(15, created_at=None),
    ],
}  # fmt: skip
OF_TICKETS = [
    Observation(
        PRIVATE | {
            "id": "acme.example:11", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z", "text": "Kettle\nIt leaks",
            "conversation_id": "acme.example:11",
            "author": {"id": "acme.example:7", "name": "Ines Melt", "email": "ines@example.com"},
            "thread": {"status": "Open", "team": "3", "assignee": "Otto"},
        }
    ),
    Observation(
        PRIVATE | {
            "id": "acme.example:c:81", "direction": "inbound", "created_at": "2026-03-02T10:00:00Z", "text": "It still leaks",
            "author": {"id": "acme.example:7"},
        }
    ),
    Observation(
        PRIVATE | {
            "id": "acme.example:c:82", "direction": "outbound", "created_at": "2026-03-02T10:00:00Z", "text": "It still leaks",
            "in_reply_to": "acme.example:11", "conversation_id": "acme.example:11",
            "author": {"id": "acme.example:2", "kind": "staff"},
        }
    ),
    Observation(
        PRIVATE | {
            "id": "acme.example:12", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z", "text": "It leaks",
            "conversation_id": "acme.example:12", "author": {"id": "acme.example:7", "name": "Ines"},
            "thread": {"status": "9", "assignee": "2"},
        }
    ),
    Observation(
        PRIVATE | {
            "id": "acme.example:13", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z", "text": "Kettle",
            "conversation_id": "acme.example:13", "author": {"id": "acme.example:7"}, "thread": {"status": "Being Processed"},
        },
        partial=frozenset({"text", "author"}),
    ),
    Observation(
        {"platform": "freshdesk", "id": "acme.example:14", "created_at": "2026-03-01T10:00:00Z"}, deleted=True,
    ),
    LeftOut("ticket without a time"),
]  # fmt: skip

ANSWERS = [answer(83, body_text=" "), answer(84, private=True), answer(85, created_at="soon")]
OF_ANSWERS = [
    Observation(
        PRIVATE | {
            "id": "acme.example:c:83", "direction": "inbound", "created_at": "2026-03-02T10:00:00Z", "text": "It still leaks",
            "in_reply_to": "acme.example:11", "conversation_id": "acme.example:11", "author": {"id": "acme.example:7"},
        }
    ),
    LeftOut("private note"),
    LeftOut("answer without a time"),
]  # fmt: skip

ONE = ticket(16, description_text="It leaks", requester={"id": 7})
OF_ONE = [
    Observation(
        PRIVATE | {
            "id": "acme.example:16", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z", "text": "Kettle\nIt leaks",
            "conversation_id": "acme.example:16", "author": {"id": "acme.example:7"}, "thread": {"status": "Open"},
        }
    )
]  # fmt: skip
WHOLE = [TICKETS, ANSWERS, ONE]


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, DESK))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(TICKETS, OF_TICKETS), (ANSWERS, OF_ANSWERS), (ONE, OF_ONE)],
    ids=["tickets", "answers", "one"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("freshdesk", each)


@pytest.mark.parametrize("payload", [None, 17, "<html>", {}, {"code": "invalid_credentials"}, [1], [{"id": 1}]])
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", WHOLE, ids=["tickets", "answers", "one"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)
            if isinstance(each, Observation):
                check("freshdesk", each)


EXPECTED = {
    "freshdesk_all_tickets.json": {"message": 1},
    "freshdesk_conversations.json": {"-private note": 1, "message": 1},
    "freshdesk_search_tickets.json": {"message": 2},
    "freshdesk_ticket_1.json": {"message": 1},
}


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/helpdesk").iterdir()):
        observed = list(observe(orjson.loads(path.read_bytes()), DESK))
        found[path.name] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("freshdesk", each)
    assert found == EXPECTED
