"""What is there of a person, as lines of plain text: `earshot person show`, and the page of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pipeline.privacy.held import Held
from pipeline.privacy.person import Account, Person

_SAID = ("order_id", "order_amount", "order_currency", "rating", "reaction", "target", "location")
"""Beside the text, what a row may say."""


def accounts(person: Person) -> Iterator[str]:
    """A line for each account, and for the addresses and numbers: what sources and CRMs name can't steer a terminal."""
    yield from map(plain, _accounts(person))


def _accounts(person: Person) -> Iterator[str]:
    yield f"customer {person.customer:016x}"
    for each in person.accounts:
        yield f"account {each.name}, key {each.key:016x}{_handles(each)}"
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


def until(topics: Mapping[str, str]) -> str:
    """A line on what topics hold."""
    return f"topics may hold records of the person: {', '.join(f'{name} {at}' for name, at in topics.items())}"


def head(now: datetime, about: Sequence[str], places: Sequence[Held]) -> list[str]:
    """The beginning of an export's page: when it was made, of whom it is, which files there are."""
    files = [f"{each.place.name}.json: {each.rows:,} rows: {each.place.holds}" for each in places if each.rows]
    return [f"What Earshot holds of a person, {now:%Y-%m-%d %H:%M} UTC", "", *about, "", *files]


def entry(row: Mapping[str, object]) -> str:
    """A row of interactions, for the page of an export."""
    head = f"{row['created_at']}  {row['platform']} {row['kind']} {row['id']}"
    said = [f"{name} {row[name]}" for name in _SAID if row.get(name)]
    return "\n    ".join(plain(line) for line in (head, *said, *str(row["text"]).splitlines()))


def plain(text: str) -> str:
    """In one line: what can't be printed as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
