"""The shipped mappings of forums, on placeholders of the same shape: all events by hand."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from schemas.untyped import JsonObject

AT = {"created_at": "2024-05-01T10:00:00.000Z", "updated_at": "2024-05-02T10:00:00.000Z"}
VERA: JsonObject = {"id": 7, "name": "Vera", "email": "vera@kettle.example", "title": None, "karma_score": 3, **AT}
CARE: JsonObject = {"id": 1, "name": "Care", "email": "care@acme.example", "title": None, "karma_score": 9, **AT}
IDEA: JsonObject = {
    "id": 41, "state": "approved", "title": "A blue kettle", "text": "Please.", "vote_count": 5, "supporters_count": 30,
    "comments_count": 2, "topic": {"id": 3, "forum": {"id": "3", "name": "Kettles"}, **AT}, "status": {"id": 2,
    "name": "planned"},
    "creator": VERA, "response": {"text": "Soon.", "creator": CARE, "created_at": "2024-05-03T10:00:00.000Z"}, **AT,
}  # fmt: skip
TICKET: JsonObject = {"id": 90, "ticket_number": 22, "subject": "Late", "state": "open", "contact": VERA}
ASKED: JsonObject = {
    "id": 501, "channel": "email", "body": "Where is it?", "plaintext_body": "Where is it?", "is_admin_response": False,
    "sender": VERA, "attachments": [], **AT,
}  # fmt: skip
ANSWERED = ASKED | {"id": 502, "body": "Here.", "plaintext_body": "Here.", "is_admin_response": True, "sender": CARE}

CREATED = {"platform": "uservoice", "created_at": "2024-05-01T10:00:00Z"}
PUBLIC = {"visibility": "public", "direction": "inbound", "author": {"id": "7", "name": "Vera", "email": "vera@kettle.example"}}
OF_IDEA = [
    CREATED | PUBLIC | {
        "id": "suggestion/41", "kind": "idea", "text": "A blue kettle\nPlease.", "conversation_id": "suggestion/41",
        "thread": {"status": "planned"}, "metrics": {"likes": 30, "replies": 2},
    },
    {
        "platform": "uservoice", "id": "suggestion/41/response", "kind": "reply", "direction": "outbound",
        "visibility": "public",
        "created_at": "2024-05-03T10:00:00Z", "text": "Soon.", "author": {"id": "1", "name": "Care", "kind": "staff"},
        "in_reply_to": "suggestion/41", "conversation_id": "suggestion/41",
    },
]  # fmt: skip
OF_ASKED = CREATED | {
    "id": "message/501", "kind": "message", "direction": "inbound", "visibility": "private", "text": "Where is it?",
    "author": {"id": "7", "name": "Vera", "email": "vera@kettle.example", "kind": "person"}, "conversation_id": "ticket/90",
    "thread": {"status": "open"},
}  # fmt: skip
OF_ANSWERED = OF_ASKED | {
    "id": "message/502", "direction": "outbound", "text": "Here.",
    "author": {"id": "1", "name": "Care", "email": "care@acme.example", "kind": "staff"},
}  # fmt: skip


def read(folder: Path, name: str, document: object) -> list[JsonObject]:
    """Events without their source."""
    path = folder / name
    path.write_text(json.dumps(document, indent=1))
    mapping = find_mapping(path)
    assert mapping is not None
    events: list[JsonObject] = []
    for item in read_events(path, mapping):
        assert isinstance(item, Mapped) and isinstance(item.event, dict)
        events.append({key: value for key, value in item.event.items() if key != "source"})
    return events


def test_comments_of_reddit(tmp_path: Path) -> None:
    row = {
        "comment_id": "k1", "post_id": "p1", "author": "Vera_Steam", "created_utc": "2025-12-03T23:40:21", "score": -2,
        "text": "It **leaks**", "scraped_at": "2025-12-04T02:00:00.000001",
    }  # fmt: skip
    assert read(tmp_path, "nyc_reddit_comments.json", [row]) == [
        {
            "id": "t1_k1", "platform": "reddit", "kind": "comment", "direction": "inbound",
            "created_at": "2025-12-03T23:40:21Z",
            "text": "It leaks", "visibility": "public", "author": {"handle": "Vera_Steam"}, "conversation_id": "t3_p1",
            "metrics": {"likes": -2},
        }
    ]  # fmt: skip


def test_suggestions_and_comments_of_uservoice(tmp_path: Path) -> None:
    comment = {"id": 8, "state": "approved", "text": "Me, too.", "suggestion": IDEA, "creator": VERA, **AT}
    of_comment = CREATED | PUBLIC | {"id": "comment/8", "kind": "comment", "text": "Me, too.", "in_reply_to": "suggestion/41"}
    assert read(tmp_path, "uservoice_new_suggestion.json", {"suggestion": IDEA | {"response": None}}) == OF_IDEA[:1]
    assert (
        read(tmp_path, "uservoice_status.json", {"audit_status": {"suggestion": IDEA, "user": CARE, "id": 5, **AT}}) == OF_IDEA
    )
    assert read(tmp_path, "uservoice_new_comment.json", {"comment": comment}) == [
        *OF_IDEA,
        of_comment | {"conversation_id": "suggestion/41"},
    ]


def test_tickets_and_kudos_of_uservoice(tmp_path: Path) -> None:
    ticket = TICKET | {"messages": [ANSWERED, ASKED], "notes": [], "assignee": CARE, **AT}
    kudo = {"id": 6, "ticket": TICKET, "message": ANSWERED, "sender": VERA, **AT}
    assert read(tmp_path, "uservoice_new_ticket.json", {"ticket": ticket}) == [OF_ANSWERED, OF_ASKED]
    assert read(tmp_path, "uservoice_reply.json", {"ticket": TICKET, "message": ASKED}) == [OF_ASKED]
    assert read(tmp_path, "uservoice_new_kudo.json", {"kudo": kudo}) == [
        OF_ANSWERED,
        CREATED | PUBLIC | {
            "id": "kudo/6", "kind": "reaction", "reaction": "kudo", "visibility": "private", "target": "message/502",
            "conversation_id": "ticket/90",
        },
    ]  # fmt: skip
