"""The recorded persons with their accounts, as a stream of evidence. Nothing here or in its tests prints what it reads."""

from __future__ import annotations

import csv
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from pipeline.identity.graph import Graph
from schemas.identity import EDGE_COLUMNS, Customers, Policy, Rules, TypeRule, account_key, value_key

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data")).absolute() / "identity"
MOST_ACCOUNTS = 14
ROLES = tuple(value_key("email", f"role {number}") for number in range(10))
BY_CONSENT = Policy(frozenset({"consent", "given"}))
PUBLIC = Rules(
    1,
    {"email": TypeRule(1), "handle": TypeRule(2), "phone": TypeRule(3, automatic=False), "page": TypeRule(4, automatic=False)},
    blocked=frozenset(ROLES),
)
DEFAULT = Rules(1, PUBLIC.types, {"twitter": BY_CONSENT}, blocked=PUBLIC.blocked)

Account = tuple[str, str]
"""Platform and the part of the URL that names the account."""


@dataclass(frozen=True, repr=False)
class Persons:
    """Without a repr: no failing test shows a name."""

    accounts: dict[str, list[Account]]
    """By person; those of nobody else, or the shared ones too."""
    shared: set[Account]
    """Accounts that several persons name."""

    def counts(self) -> tuple[int, int, int]:
        """Accounts, persons with two or more, shared accounts."""
        several = sum(len(listed) > 1 for listed in self.accounts.values())
        return sum(map(len, self.accounts.values())), several, len(self.shared)


def persons(file: Path, with_shared: bool = False) -> Persons:
    """All with at most 14 accounts, shared ones not counted."""
    found: defaultdict[str, dict[Account, None]] = defaultdict(dict)
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        for row in csv.DictReader(lines):
            for column in row:
                if column.endswith(("_page", "_account")):
                    found[row["person_UUID"]] |= dict.fromkeys(accounts(column.split("_")[1], row[column] or ""))
    named = Counter(account for listed in found.values() for account in listed)
    shared = {account for account, times in named.items() if times > 1}
    alone = {person: [account for account in listed if account not in shared] for person, listed in found.items()}
    kept = {person: listed for person, listed in alone.items() if len(listed) <= MOST_ACCOUNTS}
    return Persons({person: list(found[person]) if with_shared else listed for person, listed in kept.items()}, shared)


def accounts(platform: str, cell: str) -> Iterable[Account]:
    """The accounts that a cell names: URLs, made equal."""
    for url in re.split(r"[,;\s]+", cell.strip().lower()):
        name = re.sub(r"^https?://", "", url).partition("#")[0]
        name = name if "profile.php?id=" in name else name.partition("?")[0]
        name = name.partition("/")[2].replace("//", "/").strip("/").removeprefix("@")
        if name:
            yield platform, name


def stream(of: Persons, chance: random.Random) -> pl.DataFrame:
    """EDGE_COLUMNS, shuffled. Each account bears its handle, and shows each other one of its person with probability 1/2. Half
    of the persons have an e-mail on all their accounts; 40 addresses of organisations are on 11 to 60 strangers, 10 role
    addresses on 2 to 10."""
    edges: list[tuple[object, ...]] = []

    def add(kind: str, type_: str, account: Account, b: int, platform: str = "", basis: str = "public") -> None:
        edges.append((kind, key(account), b, type_, account[0], platform, "test", 1, basis, len(edges), len(edges), 0))

    listed = [listed for listed in of.accounts.values() if listed]
    for account in {account for one in listed for account in one}:
        add("value", "handle", account, handle(account))
    for one in listed:
        for a, b in combinations(one, 2):
            for claimant, claimed in (a, b), (b, a):
                if chance.random() < 0.5:
                    add("profile", "handle", claimant, handle(claimed), claimed[0])
    for number, one in enumerate(chance.sample(listed, len(listed) // 2)):
        for account in one:
            add("value", "email", account, value_key("email", f"person {number}"), basis="given")
    for number in range(40):
        for one in chance.sample(listed, chance.randint(11, 60)):
            add("value", "email", chance.choice(one), value_key("email", f"organisation {number}"), basis="given")
    for role in ROLES:
        for one in chance.sample(listed, chance.randint(2, 10)):
            add("value", "email", chance.choice(one), role, basis="given")
    chance.shuffle(edges)
    return pl.DataFrame(edges, schema=EDGE_COLUMNS, orient="row")


def key(account: Account) -> int:
    return account_key(account[0], account[1])


def handle(account: Account) -> int:
    return account_key(account[0], None, account[1])


def streamed(edges: pl.DataFrame, rules: Rules, batches: int) -> Customers:
    """The customers after the edges came in batches."""
    graph = Graph(rules)
    for start in range(0, len(edges), -(-len(edges) // batches)):
        graph.take(edges[start : start + -(-len(edges) // batches)])
    return graph.customers()


@dataclass(frozen=True)
class Quality:
    pairs: int
    false: frozenset[tuple[int, int]]
    """Pairs of profiles in one customer that belong to no person together."""
    recall: float

    @property
    def precision(self) -> float:
        return 1 - len(self.false) / self.pairs


def quality(found: Customers, truth: Iterable[Iterable[int]]) -> Quality:
    """Of the pairs of profiles in one customer, against the profiles of each person."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for profile, customer in found.assignments.iter_rows():
        members[customer].append(profile)
    linked, true = (
        {pair for one in sets for pair in combinations(sorted(one), 2)} for sets in (members.values(), map(set, truth))
    )
    return Quality(len(linked), frozenset(linked - true), len(linked & true) / len(true))
