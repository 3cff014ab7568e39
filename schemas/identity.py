"""Who is who, as it crosses processes: keys of profiles, values and edges, the columns of edges, commands of stewards, rules,
and the result: the customers.

- A **profile** is an account on a platform, or a record of a CRM (platform `crm`). Its key: `account_key`.
- A **value** is something that profiles share: an e-mail address, a number, a page. Its key: `value_key`.
- An **edge** says that a profile has a value, or that two profiles belong to one person, with evidence. Its key: `edge_keys`.
- A **customer** is a set of profiles. Its id is the key of one of them, so each id ever published names a profile, whose
  customer today is one look-up away.

What an edge says, by kind and type:

| kind | type | a | b | says |
|---|---|---|---|---|
| value | email, phone, login, page | profile | value | the profile has the value |
| value | handle | profile | profile key of the handle | the profile bears the handle: a fact, which links nobody by itself |
| value | handle | profile | the same profile | the profile is known: a claim may name its id |
| profile | login | profile | profile | a source knows that both belong to one person |
| profile | handle | profile | profile key of the handle | the profile claims the handle (in its page or bio) to be its own |
| profile | hand | profile | profile | a steward linked them: made from commands alone, never a row of evidence |

A claim of a handle that exactly one profile bears is about that profile; if that profile claims the first, it is mutual.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import polars as pl
from xxhash import xxh3_64_intdigest

KINDS = ("value", "profile")
TYPES = ("hand", "login", "email", "handle", "phone", "page")
BASES = ("consent", "given", "public", "unknown")
"""What an edge rests on: the person's consent, data that the customer gave, public data, or nobody knows."""
CRM = "crm"
"""The platform of records of a CRM: two of them are never one customer, unless a steward confirms it."""

REASONS = (
    "own account",  # a brand's own, staff, or a bot
    "blocked",  # the value is one of the rules' blocked ones
    "basis",  # the platform's policy forbids the basis, or takes no evidence
    "withdrawn",  # the person withdrew consent
    "rejected",  # a steward rejected the edge
    "ambiguous handle",  # several profiles bore the claimed handle
    "over limit",  # too many profiles have the value
    "suggestion",  # waits for a steward to accept it
    "held",  # the breaker holds it until a release
    "two CRM records",
    "never",  # it would join profiles that a steward keeps apart, or split
    "too large",  # the customer would have too many profiles
)
"""Why an edge links nobody, in the order in which they are looked for: an edge has the first that holds."""

EDGE_COLUMNS: dict[str, pl.DataType] = {
    "kind": pl.Enum(KINDS),
    "a": pl.UInt64(),
    "b": pl.UInt64(),
    "type": pl.Enum(TYPES),
    "a_platform": pl.String(),
    "b_platform": pl.String(),
    "rule": pl.String(),
    "rule_version": pl.UInt32(),
    "basis": pl.Enum(BASES),
    "at": pl.Int64(),
    "event": pl.UInt64(),
    "held": pl.UInt64(),
}
"""No column is null. `b_platform`: blank for a value, of a claim the platform of the handle. `at`: when the event happened, ms
since 1970. `event`: its key. `held`: 0, or the least sequence of a release that frees what the breaker holds."""


ERASED = (1 << 64) - 1
"""`held` of an edge whose profile was erased: `a` is a key that names nobody. It links nobody, and goes on counting for the
limits of what it names: an address that many shared begins to link nobody because one of them was erased."""
HANDLE_SQL = "lower(if(startsWith(author_handle, '@'), substring(author_handle, 2), author_handle))"
"""The handle of a row of table interactions, as claims name it: index `handles` is of this expression."""


# --- keys -------------------------------------------------------------------------------------------------------------
def account_key(platform: str, author_id: str | None, handle: str | None = None) -> int:
    """The key of a profile: XXH3-64 of `platform:author_id`, else of `platform:@handle` in small letters, 0 without both.

    A handle counts without one @ before it. Small letters are those of ASCII, as ClickHouse's `lower` makes them: column
    `account_key` of table interactions is the same number.
    """
    if author_id:
        return xxh3_64_intdigest(f"{platform}:{author_id}".encode())
    bare = (handle or "").removeprefix("@")
    return xxh3_64_intdigest(f"{platform}:@{bare}".encode().lower()) if bare else 0


def bare(handle: pl.Expr) -> pl.Expr:
    """A handle as `account_key` takes it, the one form in which handles are compared."""
    return handle.str.strip_prefix("@").str.replace_many(list(string.ascii_uppercase), list(string.ascii_lowercase))


def account_keys(platform: pl.Series, author_id: pl.Series, handle: pl.Series) -> pl.Series:
    """`account_key` of each row, UInt64."""
    if not author_id.null_count() and (author_id != "").all():  # most batches: a third of the time
        return _hashed(platform + ":" + author_id)
    frame = pl.DataFrame([platform.alias("platform"), author_id.alias("id"), handle.alias("handle")])
    named = frame.select(pl.col("platform") + pl.when(pl.col("id") != "").then(":" + pl.col("id"))).to_series()
    if not named.null_count():
        return _hashed(named)
    name = bare(pl.col("handle"))
    others = frame.filter(named.is_null()).select(pl.col("platform") + pl.when(name != "").then(":@" + name)).to_series()
    keys = _hashed(named).to_numpy(writable=True)
    keys[named.is_null().to_numpy()] = _hashed(others).to_numpy()
    return pl.Series("key", keys)


def value_key(type_: str, digest: str) -> int:
    """The key of a value: XXH3-64 of `type:hash`; of an address or a number the hash is that of step privacy."""
    return xxh3_64_intdigest(f"{type_}:{digest}".encode())


def value_keys(type_: str, digests: pl.Series) -> pl.Series:
    """`value_key` of each row, UInt64; 0 for null."""
    return _hashed(pl.select(pl.lit(f"{type_}:") + digests).to_series())


def edge_keys(edges: pl.DataFrame) -> pl.Series:
    """The key of each edge, UInt64: XXH3-64 of `kind:type:a:b`, with decimal numbers. Rows of a key are one edge: of each basis
    the oldest counts, by (at, event). Of a login or a link by hand the smaller profile comes first; a claim has a direction.
    """
    a, b = pl.col("a"), pl.col("b")
    both = (pl.col("kind") == "profile") & (pl.col("type") != "handle")
    first = pl.when(both).then(pl.min_horizontal(a, b)).otherwise(a)
    second = pl.when(both).then(pl.max_horizontal(a, b)).otherwise(b)
    return _hashed(edges.select(pl.format("{}:{}:{}:{}", pl.col("kind"), pl.col("type"), first, second)).to_series())


def _hashed(texts: pl.Series) -> pl.Series:
    """XXH3-64 of each text, 0 for null."""
    there = texts.drop_nulls().cast(pl.Binary).to_list()
    hashed = np.fromiter(map(xxh3_64_intdigest, there), np.uint64, len(there))
    if len(there) == len(texts):
        return pl.Series("key", hashed)
    keys = np.zeros(len(texts), np.uint64)
    keys[texts.is_not_null().to_numpy()] = hashed
    return pl.Series("key", keys)


# --- commands ---------------------------------------------------------------------------------------------------------
Action = Literal[
    "link", "unlink", "never", "lift", "split", "consent", "withdraw", "accept", "reject", "release", "apply", "erase"
]
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True, slots=True)
class Command:
    """One decision, on record. `sequence` orders them, from 1 on, and names each: a command with a known sequence is the same.

    | action | a | b | is undone by |
    |---|---|---|---|
    | link: belong to one person | profile | profile | unlink |
    | never: are different persons | profile | profile | lift |
    | split: a comes off its customer, the rest stays together | profile | id of the customer | lift |
    | consent, withdraw: of profile a, for `type`, blank: for all | profile | 0 | each other |
    | accept, reject: the edge links, or does not | edge | 0 | each other |
    | release: of what the breaker holds until now | 0 | 0 | |
    | apply: of rules; on record here only where it was refused | 0 | 0 | |
    | erase: profile a was erased: earlier commands of it count no more | profile | 0 | |

    A link, unlink, never or lift means the same with a and b exchanged. A lift undoes the newest never or split of its pair.
    A withdrawal takes every edge of the profile away, whatever its basis, links by hand only if it is for all types.
    """

    sequence: int
    action: Action
    a: int = 0
    b: int = 0
    at: int = 0
    """ms since 1970. Of a split the later of now and the newest edge of profile a: edges until then stay with the customer,
    later ones are the profile's own."""
    type: str = ""
    a_platform: str = ""
    b_platform: str = ""
    """Of a link: the platforms of a and b."""
    confirmed: bool = False
    """Of a link: it may join two CRM records."""
    by: str = ""
    """Who."""
    why: str = ""


# --- rules ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class TypeRule:
    """Rule of a type of edges."""

    priority: int
    """Edges of a lower number come first. (A steward's links come before all.)"""
    limit: int = 10
    """A value that more profiles have links nobody."""
    platform_limit: int = 2
    """The same, for the profiles of one platform."""
    automatic: bool = True
    """Else its edges are suggestions, which link when a steward accepts them. A claim that is not mutual always is one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a platform permits."""

    bases: frozenset[str] = frozenset(BASES)
    """An edge of another basis links nobody."""
    evidence: bool = True
    """False: edges of its profiles link nobody, whatever their basis."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force. Keys of values and profiles, never the values themselves."""

    version: int
    types: Mapping[str, TypeRule]
    """By type; a type without a rule links nobody: its edges are suggestions."""
    platforms: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy = Policy()
    """Of platforms that `platforms` does not name."""
    blocked: frozenset[int] = frozenset()
    """Keys of values that link nobody."""
    largest: int = 50
    """Profiles of a customer at most."""


# --- the result -------------------------------------------------------------------------------------------------------
ASSIGNMENT_COLUMNS: dict[str, pl.DataType] = {"profile": pl.UInt64(), "customer": pl.UInt64()}
REFUSAL_COLUMNS: dict[str, pl.DataType] = {"edge": pl.UInt64(), "reason": pl.Enum(REASONS)}


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers: a pure function of edges, commands, rules and own accounts, whatever the order in which they arrived.

    The id of a customer is the key of the profile that was linked first: the older one of its oldest link. So a customer that
    grows keeps its id, and of two that become one the one that was linked first gives it.
    """

    assignments: pl.DataFrame
    """ASSIGNMENT_COLUMNS: each profile that shares its customer, once, sorted. Any other is a customer by itself."""
    refusals: pl.DataFrame
    """REFUSAL_COLUMNS: each edge that links nobody, and why, sorted: the review queue."""
