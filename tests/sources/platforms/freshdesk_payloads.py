"""Freshdesk's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

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
OF_TICKETS: Seen = [
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
OF_ANSWERS: Seen = [
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
OF_ONE: Seen = [
    Observation(
        PRIVATE | {
            "id": "acme.example:16", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z", "text": "Kettle\nIt leaks",
            "conversation_id": "acme.example:16", "author": {"id": "acme.example:7"}, "thread": {"status": "Open"},
        }
    )
]  # fmt: skip
WHOLE = [TICKETS, ANSWERS, ONE]


MAPPED = Mapped(
    "freshdesk",
    {
        "tickets": (TICKETS, OF_TICKETS),
        "answers": (ANSWERS, OF_ANSWERS),
        "one": (ONE, OF_ONE),
    },
    [None, 17, "<html>", {}, {"code": "invalid_credentials"}, [1], [{"id": 1}]],
    origin=DESK,
    folder="helpdesk",
    recorded={
        "freshdesk_all_tickets.json": {"message": 1},
        "freshdesk_conversations.json": {"-private note": 1, "message": 1},
        "freshdesk_search_tickets.json": {"message": 2},
        "freshdesk_ticket_1.json": {"message": 1},
    },
)
