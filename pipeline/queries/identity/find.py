"""Finds customers by what a person types: an address, a number, a page, a handle, an account, a record of a CRM, a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.errors import EarshotError, SettingsError
from pipeline.identity.profile_urls import accounts_in, pages
from pipeline.queries.identity.names import Name, bearers_of, checked, parse_name, slip
from pipeline.queries.identity.profiles import profiles
from schemas.identity import CRM, account_key, value_key

Hashes = Callable[[str, str], Sequence[str]]
"""Step privacy's: a value of a column by each key."""
_VALUES = {"email": r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+", "phone": r"[+(\d][\d\s.()/+\u2010-\u2015\u2212-]{4,}"}
_CONTACT = re.compile(r"(?is)(?:.*<)?(?:mailto:|tel:)?([^<>]*)>?")
"""An address or number as mail programs and web pages write it: `Ines <ines@example.org>`, `tel:+4930901820`."""

MOST_SHARERS = 10_000
"""Profiles of one value that are looked at, ten times what a rule may let link: ClickHouse refuses a query with a million."""


def find(query: Query, what: str, hashes: Hashes) -> list[int]:
    """The ids of the customers whom the text may mean.

    An address or number is looked for by its hashes, by each key that it was ever hashed with: the query holds it in no other
    form. `hashes` is called for these alone.
    Raises EarshotError if nobody is known by the text, SettingsError if it is blank.
    """
    text = checked(what)
    if not text.strip("@ "):  # each profile without a handle would be found
        raise SettingsError(f"{what!r} names nobody: write an address, a number, a handle, an account, a record or a key")
    keys = list(dict.fromkeys(_meant(query, text, hashes)))
    known = profiles(query, keys)
    if not known:
        nobody = "nobody is known by this: neither as an address or number, nor as a handle, account, record or key"
        raise EarshotError(nobody + (slip(text) if _named_in(_contact(text)).id else ""))
    customer = assigned(query, known)
    return list(dict.fromkeys(customer[key] for key in keys if key in known))


def assigned(query: Query, keys: Iterable[int]) -> dict[int, int]:
    """The customer of each profile."""
    alone = {key: key for key in keys}
    listed = ", ".join(map(str, alone)) or "0"
    return alone | dict(query(f"SELECT profile, customer FROM assignments FINAL WHERE profile IN ({listed})").iter_rows())


def _meant(query: Query, what: str, hashes: Hashes) -> Iterator[int]:
    """The profiles, in the order of how surely they are meant."""
    contact = _contact(what)
    for type_, form in _VALUES.items():
        if re.fullmatch(form, contact):
            yield from _having(query, type_, hashes(f"author_{type_}", contact))
    for page in pages(pl.Series([what])).drop_nulls():
        yield from _having(query, "page", [page])
    for _, platform, handle, id_ in accounts_in(pl.Series([what])).iter_rows():
        yield from _named(query, platform, id_ or "", handle or "")
    name = _named_in(what)
    if name.key:
        yield name.key
    yield from _named(query, name.platform, name.id, name.handle)
    yield account_key(CRM, what)  # its id may look like a key, or have a colon
    if not name.platform:
        yield from (bearer.key for bearer in bearers_of(query, what.removeprefix("@")))


def contact_of(text: str) -> tuple[str, str] | None:
    """The type, `email` or `phone`, and the address or number that the text is; None: it is none. Raises SettingsError for
    what is no UTF-8."""
    if re.fullmatch("[0-9a-fA-F]{16}", its := _contact(checked(text))):  # a key
        return None
    return next(((type_, its) for type_, form in _VALUES.items() if re.fullmatch(form, its)), None)


def _contact(text: str) -> str:
    """The address or number that the text may be, without what is written around it."""
    written = _CONTACT.fullmatch(text)
    return written[1].strip() if written else text


def _named_in(text: str) -> Name:
    """The profile that the text names; a blank one: none."""
    try:
        return parse_name(text)
    except SettingsError:
        return Name()


def _having(query: Query, type_: str, digests: Sequence[str]) -> pl.Series:
    """The profiles that have the value, MOST_SHARERS at most."""
    keys = ", ".join(str(value_key(type_, digest)) for digest in digests)
    where = f"kind = 'value' AND type = '{type_}' AND b IN ({keys})"
    return query(f"SELECT DISTINCT a FROM identity_edges WHERE {where} ORDER BY a LIMIT {MOST_SHARERS}").get_column("a")


def _named(query: Query, platform: str, id_: str, handle: str) -> Iterator[int]:
    if id_:
        yield account_key(platform, id_)
    elif handle:  # whoever bore it, and its own key, since evidence may name it
        yield from (bearer.key for bearer in bearers_of(query, handle, platform))
        yield account_key(platform, None, handle)
