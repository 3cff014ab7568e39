"""What is there of a person, as lines of plain text: `earshot person show`, and the page of an export."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.privacy.held import Held
from pipeline.privacy.person import Account, Person
from schemas.erasures import Erasure

Row = Mapping[str, Any]

_SAID = {
    **dict.fromkeys(("rating", "reaction", "target", "location"), ""),
    "order_id": "order",
    "order_amount": "amount",
    "order_currency": "currency",
    "measure_name": "measure",
    "measure_value": "value",
    "in_reply_to": "answers",
}
"""Beside the text, what a row may say, and in which word; blank: that of the column."""
_PROFILE = {"author_bio": "bio", "author_url": "page"}
_RECORD = {"name": "name", "email": "e-mail address", "phone": "phone number", "basis": "basis"}
_STEERS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What may steer a terminal, or turn what follows. Emoji, and scripts that join letters, need others that have no form."""
_WORDS = """All times are UTC.
A customer is all accounts that are taken to be one person's; an account is a profile on a platform, or a record of a CRM.
A key is a number that stands for an account or an event in the files. A hash stands for an e-mail address or a phone number:
it shows that two are the same, and nothing turns it back. Each file is a list of rows, a row a line."""


def accounts(person: Person) -> Iterator[str]:
    """A line for each account, and for the addresses and numbers: what sources and CRMs name can't steer a terminal."""
    yield from map(plain, _accounts(person))


def _accounts(person: Person) -> Iterator[str]:
    yield f"customer {person.customer:016x}{'' if person.accounts else ': no account, known by the address or number alone'}"
    for each in person.accounts:
        yield f"account {each.name}, key {each.key:016x}{_handles(each)}"
        if each.first and each.last:
            name = f"named {each.shown}, " if each.shown else ""
            events = "1 event" if each.events == 1 else f"{each.events:,} events"
            yield f"    {name}{events}, from {each.first:%Y-%m-%d} to {each.last:%Y-%m-%d}"
    for each in person.accounts:
        for handle in each.shared:
            yield f"handle @{handle} of {each.name} was another account's, too: rows that name it alone are left out"
    for type_, word in (("email", "e-mail address"), ("phone", "phone number")):
        its = [each for each in person.values if each.type == type_]
        shared = sum(each.shared for each in its)
        if its:
            found = "by --shared they find rows, too" if person.shared else "alone they find nothing without --shared"
            also = f", {shared} of them another account's, too: {found}" if shared else ""
            yield f"{word}es, as hashes: {len(its)}{also}" if type_ == "email" else f"{word}s, as hashes: {len(its)}{also}"
    if person.left:
        yield f"the customer has other accounts, which are left out: {', '.join(person.left)}"


def _handles(account: Account) -> str:
    return f", handles {', '.join('@' + handle for handle in account.handles)}" if account.handles else ""


def others(places: Sequence[Held]) -> str:
    """A line on what others wrote; blank: nothing that names the person."""
    named = [f"{each.place.name} {each.others:,}" for each in places if each.others]
    return f"rows of others that name the person: {', '.join(named)}: they are theirs, and stay" if named else ""


def erased(receipt: Erasure) -> str:
    """A line on one of whom nothing but keys is left."""
    return f"erased already, and nothing has come since: {named(receipt)}; what stays of the person stays by keys"


def named(receipt: Erasure) -> str:
    """A receipt in a few words."""
    waits = f"; it waits for {', '.join(receipt.waits)}: control goes on with it" if receipt.waits else ""
    return f"receipt {receipt.id:016x} of {receipt.asked_at:%Y-%m-%d %H:%M} UTC, {receipt.events:,} events{waits}"


def until(topics: Mapping[str, str]) -> str:
    """A line on what topics hold."""
    return f"topics may hold records of the person: {', '.join(f'{name} {at}' for name, at in topics.items())}"


def head(now: datetime, about: Sequence[str], places: Sequence[Held]) -> list[str]:
    """The beginning of an export's page: when it was made, what words mean, of whom it is, which files there are."""
    files = [f"{each.place.name}.json: {_rows(each.rows)}: {each.place.holds}" for each in places if each.rows]
    return [f"What Earshot holds of a person, {now:%Y-%m-%d %H:%M} UTC", "", _WORDS, "", *about, "", *files]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _event(row: Row) -> str:
    author = f"@{row['author_handle'].removeprefix('@')}" if row["author_handle"] else row["author_id"]
    name = f" ({row['author_name']})" if row["author_name"] else ""
    by = f", by {author}{name}" if author or name else ""
    private = ", private" if row["visibility"] == "private" else ""
    said = _named(row, _SAID | (_PROFILE if row["kind"] == "profile" else {}))
    return _entry(row["created_at"], f"{row['platform']} {row['kind']} {row['id']}{by}{private}", *said, row["text"])


def _letter(row: Row) -> str:
    return _entry(row["rejected_at"], f"not taken: {row['reason']}", row.get("raw") or "")


def _record(row: Row) -> str:
    return _entry(row["imported_at"], f"record {row['id']}", *_named(row, _RECORD))


ENTRIES: dict[str, tuple[str, Callable[[Row], str]]] = {
    "interactions": ("What the person wrote and did, in order of time", _event),
    "dead_letters": ("Records that were not taken, as they came", _letter),
    "customers": ("Records of the CRM, by the time of their import", _record),
}
"""Tables whose rows stand on an export's page: a heading, and how a row is written."""


def _named(row: Row, words: Mapping[str, str]) -> Iterator[str]:
    for name, word in words.items():
        if row[name] not in (None, ""):
            yield f"{word or name}: {row[name]}"


def _entry(at: str, what: str, *said: str) -> str:
    lines = (line for text in said for line in text.splitlines())
    return "\n    ".join(map(_readable, (f"{at[:19].replace('T', ' ')} UTC  {what}", *lines)))


def _readable(text: str) -> str:
    """In one line."""
    return _STEERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain(text: str) -> str:
    """In one line: what can't be printed as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
