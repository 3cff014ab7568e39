"""Freshdesk: tickets and what was said in them, as the API gives them: lists, searches, single tickets, conversations.

| Freshdesk | event |
|---|---|
| a ticket | message, private, inbound |
| an answer, also one that was sent on; one that comes in | message, private, outbound; inbound |
| `id`, before it the helpdesk's host | id: acme.freshdesk.com:7; of an answer acme.freshdesk.com:c:81 |
| `subject` and `description_text`, else `description`; `body_text`, else `body` | text, without HTML |
| the ticket, `ticket_id` | conversation_id; in_reply_to of an answer |
| `requester`, `requester_id`, `requester_name`; `user_id` | author.id, author.name, author.email; author.kind staff |
| `status_name`, else `status` | thread.status |
| `group_id`; `responder_name`, else `responder_id` | thread.team; thread.assignee |
| `deleted`, `spam` | a delete |

Left out: private notes, which no customer sees; attachments, priority, custom fields. A ticket's `updated_at` moves with every
change, so an edit counts from the poll.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.values import event, id_of, name_of, object_of, text_of, time_of
from pipeline.sources.recorded.markup import without_html
from schemas.untyped import JsonObject

_STATES = {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed", 6: "Waiting on Customer", 7: "Waiting on Third Party"}
"""Of every helpdesk; others are its own."""
_LONGEST_ID = 30


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """In the order of the payload, what was said of a ticket behind it. Raises Unreadable for a payload of another shape."""
    found = payload.get("results", payload) if isinstance(payload, dict) else payload
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise Unreadable(f"a {type(found).__name__}, where Freshdesk sends a list")
    yield from readable(found, lambda item: list(_observed(item, origin)))


def _observed(item: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    if "ticket_id" in item or "incoming" in item:
        yield _answer(item, origin)
        return
    if "subject" not in item or "status" not in item:
        raise Unreadable("an object that is no ticket or answer of Freshdesk")
    yield _ticket(item, origin)
    said = item.get("conversations")
    for each in said if isinstance(said, list) else ():
        yield _answer({"ticket_id": item.get("id"), **object_of(each)}, origin)


def _ticket(item: JsonObject, origin: Origin) -> Observation | LeftOut:
    ident, created = _id(item.get("id")), time_of(item.get("created_at"))
    if ident is None or created is None:
        return LeftOut(f"ticket without {'an id' if ident is None else 'a time'}")
    whole = _local(ident, origin)
    if item.get("deleted") is True or item.get("spam") is True:
        return Observation(event(id=whole, platform="freshdesk", created_at=created), deleted=True, original=item)
    who = object_of(item.get("requester"))
    author = _id(who.get("id")) or _id(item.get("requester_id"))
    words = _said(item.get("description_text"), item.get("description_html") or item.get("description"))
    status = item.get("status")
    seen = event(
        id=whole,
        platform="freshdesk",
        kind="message",
        direction="inbound",
        created_at=created,
        visibility="private",
        text="\n".join(part for part in (text_of(item.get("subject")), words) if part) or None,
        conversation_id=whole,
        author=event(
            id=_local(author, origin) if author else None,
            name=text_of(who.get("name")) or text_of(item.get("requester_name")),
            email=name_of(who.get("email")),
        ),
        thread=event(
            status=name_of(item.get("status_name")) or (_STATES.get(status, str(status)) if type(status) is int else None),
            team=_id(item.get("group_id")),
            assignee=name_of(item.get("responder_name")) or _id(item.get("responder_id")),
        ),
    )
    lacks = {name for name, part in (("text", words is None), ("author", not who and "requester_name" not in item)) if part}
    return Observation(seen, partial=frozenset(lacks), original=item)


def _answer(item: JsonObject, origin: Origin) -> Observation | LeftOut:
    ident, ticket, created = _id(item.get("id")), _id(item.get("ticket_id")), time_of(item.get("created_at"))
    if ident is None or created is None:
        return LeftOut(f"answer without {'an id' if ident is None else 'a time'}")
    if item.get("private") is True:
        return LeftOut("private note")
    comes_in, author = item.get("incoming") is True, _id(item.get("user_id"))
    thread = _local(ticket, origin) if ticket else None
    seen = event(
        id=_local(f"c:{ident}", origin),
        platform="freshdesk",
        kind="message",
        direction="inbound" if comes_in else "outbound",
        created_at=created,
        visibility="private",
        text=_said(item.get("body_text"), item.get("body")),
        in_reply_to=thread,
        conversation_id=thread,
        author=event(id=_local(author, origin) if author else None, kind=None if comes_in else "staff"),
    )
    return Observation(seen, original=item)


def _said(text: object, markup: object) -> str | None:
    return text_of(text) or (text_of(without_html(markup)) if isinstance(markup, str) else None)


def _id(value: object) -> str | None:
    ident = id_of(value)
    return ident if ident is not None and len(ident) <= _LONGEST_ID and ident.isascii() and ident.isdigit() else None


def _local(ident: str, origin: Origin) -> str:
    return f"{origin.host}:{ident}" if origin.host else ident
