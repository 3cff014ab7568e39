"""Whom an address or number names: a customer who has it, or somebody who is known by it alone, as who fills in a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import EarshotError, SettingsError
from pipeline.identity.rules_file import Hashes
from pipeline.privacy.person import Person, Value
from pipeline.privacy.values import became
from pipeline.queries.identity.find import assigned, contact_of
from pipeline.queries.identity.profiles import profiles
from schemas.identity import value_key

SHOWN = 5


class Contact(NamedTuple):
    """An address or number, hashed."""

    type: str
    """email or phone."""
    hashes: Sequence[str]
    """By each key that rows may have it by."""


def contact(query: Query, name: str, hashes: Hashes | None) -> Contact | None:
    """The address or number that the name is, if it is one. `hashes` are those of step privacy, and may raise SettingsError."""
    if (its := contact_of(name)) is None:
        return None
    if hashes is None:
        raise SettingsError(f"{name} names no profile: it is an address or number, and these can't be looked for here")
    type_, text = its
    newest = hashes(f"author_{type_}", [text])
    return Contact(type_, sorted({*newest, *became(query, newest)}))


def customers_of(query: Query, its: Contact) -> list[int]:
    """The customers who have it; a handle without an id may be one of them."""
    texts, keys = ", ".join(map(quoted, its.hashes)), ", ".join(str(value_key(its.type, each)) for each in its.hashes)
    found = query(f"""
SELECT DISTINCT account_key AS profile FROM interactions WHERE author_{its.type} IN ({texts}) AND account_key != 0
UNION DISTINCT SELECT DISTINCT profile FROM customers WHERE {its.type}_hash IN ({texts})
UNION DISTINCT SELECT DISTINCT a FROM identity_edges WHERE kind = 'value' AND type = '{its.type}' AND b IN ({keys})""")
    return sorted(set(assigned(query, found.get_column("profile")).values()))


def alone(its: Contact) -> Person:
    """Somebody without an account: as no customer has it, rows without an author are theirs."""
    values = tuple(Value(its.type, each, shared=False) for each in its.hashes)
    return Person(values[0].key, (), values)


def several(query: Query, name: str, customers: Sequence[int]) -> EarshotError:
    """It names some of them."""
    known = profiles(query, customers[:SHOWN])
    names = [known[key].name if key in known else f"{key:016x}" for key in customers[:SHOWN]]
    listed = ", ".join(each if each.isprintable() else repr(each) for each in names)
    more = f" and {len(customers) - SHOWN} more" if len(customers) > SHOWN else ""
    return EarshotError(f"{name} is several customers': {listed}{more}; name the one that is meant by one of these")
