"""Persons in everything that sources send, with a marker in each text: what an erasure has to find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from schemas.identity import CRM, account_key
from schemas.untyped import JsonObject

MARK = re.compile(rb"(?i)zq(\d{3})qz(_bird|-shared-\d|-talk-\d|-\d| comment)?|4930990(\d{3})77")
"""Group 1: whose marker; group 2: how others name the person: a handle, a conversation, a post, what a colleague says of a
conversation. Group 3: a phone number."""
UNREADABLE = 900_001
"""Of a record that does not say whose it is."""
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=4)
FAR = 2_000_000
SHAPES = 16


@dataclass(frozen=True)
class Person:
    """Accounts: one with an id and a handle, rows with the handle alone, one on a forum, rows with nothing but an address, a
    record of a CRM."""

    number: int

    @property
    def mark(self) -> str:
        return f"zq{self.number:03d}qz"

    @property
    def name(self) -> str:
        return f"twitter:{self.mark}-id"

    @property
    def phone(self) -> str:
        return f"+4930990{self.number:03d}77"

    @property
    def email(self) -> str:
        return f"{self.mark}@example.org"

    @property
    def bird(self) -> int:
        return account_key("twitter", f"{self.mark}-id")

    @property
    def record(self) -> int:
        return account_key(CRM, f"{self.mark}-crm")

    @property
    def accounts(self) -> tuple[int, ...]:
        handle = account_key("twitter", None, f"{self.mark}_bird")
        return self.bird, handle, account_key("forum", f"{self.mark}-forum"), self.record

    @property
    def author(self) -> JsonObject:
        texts = {name: f"{self.mark} {name}" for name in ("name", "bio")}
        links = {"url": f"https://example.org/{self.mark}", "accounts": [f"forum:{self.mark}-forum"]}
        address = {"email": self.email, "phone": self.phone}
        return {"id": f"{self.mark}-id", "handle": f"{self.mark}_bird", "followers": 9, **texts, **links, **address}

    def event(self, number: int, shape: int, other: Person) -> JsonObject:
        """What the person does; `other` is whom they talk with."""
        at = BEGIN + timedelta(seconds=number * 7 % 7_000)
        texts = {name: f"{self.mark} {name}" for name in ("location", "campaign", "original")}
        lists = {
            "hashtags": [f"{self.mark}tag"],
            "mentions": [f"{self.mark}_friend"],
            "urls": [f"https://example.org/{self.mark}"],
        }
        event = {
            "id": f"{self.mark}-{number}", "platform": "twitter", "kind": "post", "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "text": f"acme {self.mark} says {number}", "conversation_id": f"{self.mark}-talk-{number // SHAPES % 8}",
            "author": self.author, "thread": {"team": f"{self.mark} team", "assignee": f"{self.mark} assignee"},
            **texts, **lists,
        }  # fmt: skip
        return {name: value for name, value in (event | self._of(shape, number, other)).items() if value is not None}

    def _of(self, shape: int, number: int, other: Person) -> JsonObject:
        """What differs in an event of this shape."""
        later = {"operation": "update", "occurred_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        nothing = dict.fromkeys(("author", "created_at", "conversation_id", "thread", "location", "campaign", "original"))
        address = {"author": {"email": self.email, "phone": self.phone}, "visibility": "private"}
        shared, theirs = f"{self.mark}-shared-{number // SHAPES % 4}", f"{other.mark}-shared-{number // SHAPES % 4}"
        shapes: Mapping[int, JsonObject] = {
            1: {"author": {"handle": f"@{self.mark}_Bird", "name": f"{self.mark} name"}},
            2: {"platform": "forum", "author": self.author | {"id": f"{self.mark}-forum", "handle": f"{self.mark}_owl"}},
            3: {"platform": "form", "kind": "message", **address},
            4: {"kind": "comment", "conversation_id": shared},
            5: {"kind": "reply", "conversation_id": theirs, "text": f"acme @{other.mark}_bird, {self.mark} answers"},
            7: {"kind": "like", "target": f"{self.mark} post"},
            8: {"kind": "follow", "target": f"{other.mark}_bird"},
            9: {"kind": "order", "order": {"id": f"{self.mark} order", "amount": 9.5, "currency": "EUR"}},
            10: {"kind": "measure", "measure": {"name": f"{self.mark} measure", "value": 3.0}, "target": f"{self.mark} page"},
            11: {"kind": "review", "rating": 2.0, "visibility": "private"},
            12: {**later, "id": f"{self.mark}-{number - 12}"},
            13: {**nothing, **later, "id": f"{self.mark}-{number - 9}"},
            14: {**nothing, **later, "operation": "delete", "id": f"{self.mark}-{number - 13}"},
        }
        if shape == 15 and number < 2 * SHAPES:
            claim = ("instagram.com", f"{self.mark}_gram") if number < SHAPES else ("x.com", f"{other.mark}_bird")
            return {"author": self.author | {"followers": FAR, "url": "https://{}/{}".format(*claim)}}
        return shapes.get(shape, {})

    def answer(self, number: int) -> JsonObject:
        """A brand's, which names the person."""
        at = BEGIN + timedelta(seconds=number * 7 % 7_000 + 60)
        return {
            "id": f"acme-{self.number}-{number}", "platform": "twitter", "kind": "reply", "direction": "outbound",
            "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "in_reply_to": f"{self.mark}-{number - 6}", "brands": ["Acme"],
            "conversation_id": f"{self.mark}-talk-{number // SHAPES % 8}", "text": f"hello @{self.mark}_bird, acme answers",
            "author": {"id": "acme", "handle": "acme", "kind": "staff"},
        }  # fmt: skip

    def waiting(self, before: bool) -> Iterator[JsonObject]:
        """Changes that come before their events (of `before` False), and one whose event never comes."""
        if before:
            later = {"operation": "update", "occurred_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "platform": "twitter"}
            yield {**later, "id": f"{self.mark}-never", "text": f"{self.mark} waits never", "author": {"id": f"{self.mark}-id"}}
            yield {**later, "id": f"{self.mark}-800000", "text": f"acme {self.mark} waits"}
        else:
            yield self.event(800_000, 0, self)

    def letters(self) -> Iterator[bytes]:
        """Records that are no events, of each shape by which one says whose it is."""
        whole = self.event(900_000, 0, self)
        for change in (
            {"rating": f"{self.mark} rating"},
            {"id": None, "author": {"handle": f"{self.mark}_bird", "bio": f"{self.mark} bio"}},
            {"platform": "form", "kind": f"{self.mark} kind", "author": {"email": self.email}},
            {"platform": "form", "text": 5, "author": {"phone": self.phone}},
            {"text": 5, "author": {"accounts": [f"forum:{self.mark}-forum"]}},
            {"id": f"{self.mark}-0", "text": 5, "author": None},
            {"visibility": f"{self.mark} visibility"},
            {"platform": f"{self.mark} site", "visibility": f"{self.mark} visibility"},
        ):
            yield orjson.dumps(whole | change)

    def unreadable(self) -> Iterator[bytes]:
        """Records that do not say whose they are: they go after 90 days."""
        whole = self.event(UNREADABLE, 0, self)
        yield orjson.dumps(whole)[:-3]
        yield orjson.dumps(whole | {"kind": f"{self.mark} kind", "author": self.mark})


def events(persons: list[Person], first: int, last: int) -> Iterator[JsonObject]:
    """What all of them do, and the answers of a brand; each person talks with the next one."""
    for number in range(first, last):
        shape = number % SHAPES
        for place, person in enumerate(persons):
            other = persons[(place + 1) % len(persons)]
            yield person.answer(number) if shape == 6 else person.event(number, shape, other)
