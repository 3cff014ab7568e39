"""The recorded persons with their accounts, as a stream of events. Nothing here or in its tests prints what it reads.

The events take the way of a worker: decode, privacy, dedup, completion, evidence, records of topic identity; then the graph.
"""

from __future__ import annotations

import csv
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import polars as pl

from pipeline.identity.evidence import evidence
from pipeline.identity.graph import Graph
from pipeline.identity.profile_urls import accounts_in
from pipeline.identity.rules_file import RulesFile
from schemas.evidence import dump, parse
from schemas.identity import Customers, account_key
from tests.identity.rows import PRIVACY, Event, rows_of

DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data")).absolute() / "identity"
MOST_ACCOUNTS = 14
SOURCE = "campaigns"
DEFAULT = RulesFile.model_validate({"sources": {SOURCE: {"given": ["email"]}}})
PUBLIC = RulesFile.model_validate(
    {"platforms": {"twitter": {"bases": ["consent", "given", "public"]}}, "sources": {SOURCE: {"given": ["email"]}}}
)
"""Public profiles may link on X, too."""
ROLES = ("info", "office", "support", "contact", "marketing", "sales", "admin", "abuse", "webmaster", "noreply")
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)

Account = tuple[str, str]
"""Platform, and its id there or @handle, whatever its page's address has."""


@dataclass(frozen=True, repr=False)
class Persons:
    """Without a repr: no failing test shows a name."""

    accounts: dict[str, list[Account]]
    """By person; those of nobody else, or the shared ones too."""
    shared: set[Account]
    """Accounts that several persons name."""
    pages: dict[Account, str]
    """An address of each, as somebody wrote it."""

    def counts(self) -> tuple[int, int, int]:
        """Accounts, persons with two or more, shared accounts."""
        several = sum(len(listed) > 1 for listed in self.accounts.values())
        return sum(map(len, self.accounts.values())), several, len(self.shared)


def persons(file: Path, with_shared: bool = False) -> Persons:
    """All with at most 14 accounts, shared ones not counted."""
    owners, urls = [], []
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        for row in csv.DictReader(lines):
            for column in row:
                if column.endswith(("_page", "_account")):
                    found = re.split(r"[,;\s]+", (row[column] or "").strip())
                    urls += found
                    owners += [row["person_UUID"]] * len(found)
    listed: defaultdict[str, dict[Account, None]] = defaultdict(dict)
    pages: dict[Account, str] = {}
    for at, platform, handle, id_ in accounts_in(pl.Series(urls, dtype=pl.String)).iter_rows():
        account = platform, id_ or f"@{handle}"
        listed[owners[at]][account] = None
        pages.setdefault(account, urls[at])
    named = Counter(account for each in listed.values() for account in each)
    shared = {account for account, times in named.items() if times > 1}
    alone = {person: [account for account in each if account not in shared] for person, each in listed.items()}
    kept = {person: each for person, each in alone.items() if len(each) <= MOST_ACCOUNTS}
    return Persons({person: list(listed[person]) if with_shared else each for person, each in kept.items()}, shared, pages)


def stream(of: Persons, chance: random.Random) -> list[Event]:
    """Events, shuffled. In its bio each account shows each other one of its person with probability 1/2. Half of the persons
    have an e-mail on all their accounts; 40 addresses of organisations are on 11 to 60 strangers, 10 role addresses on 2 to 10.
    """
    listed = [each for each in of.accounts.values() if each]
    shown: defaultdict[Account, list[str]] = defaultdict(list)
    for each in listed:
        for a, b in combinations(each, 2):
            for claimant, claimed in (a, b), (b, a):
                if chance.random() < 0.5:
                    shown[claimant].append(of.pages[claimed])
    emails: defaultdict[Account, list[str]] = defaultdict(list)
    for number, each in enumerate(chance.sample(listed, len(listed) // 2)):
        for account in each:
            emails[account].append(f"p{number}@example.org")
    for address, strangers in [
        *((f"front@organisation{number}.example", chance.randint(11, 60)) for number in range(40)),
        *((f"{role}@example.org", chance.randint(2, 10)) for role in ROLES),
    ]:
        for each in chance.sample(listed, strangers):
            emails[chance.choice(each)].append(address)
    # An account that several addresses were seen on says one today and another one tomorrow.
    said = [
        _author(account, address) | {"bio": " ".join(["me elsewhere:", *shown[account]])}
        for account in dict.fromkeys(account for each in listed for account in each)
        for address in emails[account] or [""]
    ]
    chance.shuffle(said)
    return [
        {"id": str(at), "platform": who.pop("platform"), "source": {"name": SOURCE}, "author": who, "created_at": _time(at)}
        for at, who in enumerate(said)
    ]


def key(account: Account) -> int:
    return account_key(account[0], _author(account)["id"])


def _author(account: Account, email: str = "") -> Event:
    """The platform knows an id of it whatever its page's address has."""
    platform, name = account
    who = {"id": f"id of {name}", "handle": name[1:]} if name.startswith("@") else {"id": name}
    return who | {"platform": platform} | ({"email": email} if email else {})


def _time(minutes: int) -> str:
    return (BEGIN + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def streamed(events: Sequence[Event], rules: RulesFile, batches: int) -> Customers:
    """The customers after the events came in batches."""
    graph = Graph(rules.compiled(1, PRIVACY.hashes))
    for batch in slices(events, batches):
        for record in dump(evidence(rows_of(*batch), rules, 1)):
            graph.take(parse(record)[0])
    return graph.customers()


def slices(events: Sequence[Event], count: int) -> Iterator[Sequence[Event]]:
    size = -(-len(events) // count)
    return (events[start : start + size] for start in range(0, len(events), size))


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
