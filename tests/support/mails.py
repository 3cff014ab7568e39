"""Mails for tests of the mapper of e-mails."""

from __future__ import annotations

from pipeline.sources.platforms.email import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.platform_events import check

OWN = Origin(own=frozenset({"help@shop.example"}))
DATE = "Date: Mon, 2 Mar 2026 10:00:00 +0100"
HEAD = f"From: Ada <ada@mail.example>\n{DATE}\nMessage-ID: <1@mail.example>\nSubject: Kettle"


def seen(payload: bytes | str) -> list[Observation | LeftOut]:
    """All that comes of a payload; each event would be taken."""
    found = list(observe(payload.encode() if isinstance(payload, str) else payload, OWN))
    for each in found:
        if isinstance(each, Observation):
            check("email", each)
    return found


def event(payload: bytes | str) -> JsonObject:
    """The event of a payload of one mail."""
    first = seen(payload)[0]
    assert isinstance(first, Observation)
    return first.event


def text(payload: bytes | str) -> str:
    """Without the subject."""
    return str(event(payload)["text"]).partition("\n\n")[2]
