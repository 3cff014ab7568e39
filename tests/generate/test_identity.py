"""Who is who in a stream: what its accounts and its CRM show, against the truth."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import orjson
import polars as pl
import pytest

from pipeline.generate.crm import HEADER, SEPARATOR, write_crm
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.identity.evidence import evidence
from pipeline.identity.graph import customers
from pipeline.identity.rules_file import RulesFile
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.memory import MemoryTable
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas.contacts import DEFAULT
from schemas.identity import account_key

pytestmark = pytest.mark.slow

PLAN = Plan(40_000, sample_brands(), days=14.0)
PRIVACY = Pseudonymise(b"key", "", DEFAULT)
SOURCE = "earshot generate"
Event = dict[str, Any]


class Made:
    """A stream and its CRM as evidence, and its truth."""

    def __init__(self) -> None:
        file = io.BytesIO()
        self.written = write_crm(PLAN.seed, file)
        self.crm = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
        blocks = list(Stream(PLAN).blocks())
        self.values = list(chain.from_iterable(block.values for block in blocks))
        truth = [orjson.loads(line) for line in chain.from_iterable(block.truth for block in blocks)]
        self.people = [line for line in truth if line["kind"] == "person"]
        self.person = {key(name): line["person"] for line in self.people for name in line["accounts"]}
        records = {account_key("crm", record["id"]): int(record["id"].removeprefix("K")) for record in self.crm}
        self.with_crm = self.person | records
        self.rows, self.of_crm = rows_of(self.values), rows_of(list(crm_events(self.crm)))

    def linked(self, rules: RulesFile, crm: bool = False) -> set[frozenset[int]]:
        """The pairs of profiles that are one customer."""
        edges = pl.concat([evidence(rows, rules, 1) for rows in (self.rows, *([self.of_crm] if crm else []))])
        found = customers(edges, [], rules.compiled(1, PRIVACY.hashes)).assignments
        return pairs(found.group_by("customer").agg("profile").get_column("profile").to_list())

    def wrong(self, linked: set[frozenset[int]]) -> int:
        """Pairs of different persons. An account that did nothing in the stream is nobody's: the truth does not know it."""
        owners = [{self.with_crm[each] for each in pair if each in self.with_crm} for pair in linked]
        return sum(len(each) > 1 for each in owners)

    def recall(self, linked: set[frozenset[int]]) -> float:
        of_person: dict[int, list[int]] = defaultdict(list)
        for profile, person in self.person.items():
            of_person[person].append(profile)
        true = pairs(of_person.values())
        return len(true & linked) / len(true)


def key(name: str) -> int:
    return account_key(*name.split(":"))


def pairs(groups: Any) -> set[frozenset[int]]:
    return {frozenset(pair) for group in groups for pair in combinations(group, 2)}


def rows_of(values: list[bytes]) -> pl.DataFrame:
    batch = batch_of(values)
    dedup = Dedup(RevisionIndex(KeySet(1_000_000, 1e9)))
    for step in (Decode(), PRIVACY, dedup, Mentions(Brands(brands=())), Completion(MemoryTable(), waiting_s=1e9)):
        batch = step.process(batch)
    assert "broken_account" not in batch.notes
    return batch.events


def crm_events(records: list[dict[str, str]]) -> Iterator[bytes]:
    """The records as profiles of platform crm."""
    for record in records:
        author: Event = {name: record[name] or None for name in ("id", "name", "email", "phone")}
        author |= {"accounts": record["accounts"].split(SEPARATOR) if record["accounts"] else None}
        yield orjson.dumps(
            {"id": record["id"], "platform": "crm", "kind": "profile", "created_at": "2026-01-01T00:00:00Z", "author": author}
        )


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


GIVEN: Event = {"sources": {SOURCE: {"given": ["email", "login"]}}}
CLAIMS: Event = {"platforms": {"twitter": {"bases": ["consent", "given", "public"]}}}


@pytest.mark.parametrize(
    ("rules", "crm", "recall"), [({}, False, 0.07), ({}, True, 0.07), (GIVEN, False, 0.09), (GIVEN | CLAIMS, True, 0.18)]
)
def test_no_two_persons_are_linked_and_accounts_are_that_show_it(made: Made, rules: Event, crm: bool, recall: float) -> None:
    linked = made.linked(RulesFile.model_validate(rules), crm)
    assert made.wrong(linked) == 0
    assert made.recall(linked) >= recall, "of the pairs of a person's accounts; most people reveal nothing"
    assert len(linked) > (2_000 if crm else 200)


def test_phones_alone_would_link_families(made: Made) -> None:
    linked = made.linked(RulesFile.model_validate({"types": {"phone": {"link": "automatic"}}}))
    assert made.wrong(linked) >= 8


def test_accounts_show_logins_claims_and_addresses_of_roles(made: Made) -> None:
    found = evidence(made.rows, RulesFile(), 1)
    counts = Counter(found.select("rule").to_series().to_list())
    assert min(counts[rule] for rule in ("email", "phone", "login", "accounts", "url", "bio", "bears", "page")) > 20
    decoded = Decode().process(batch_of(made.values)).events
    roles = decoded.filter(pl.col("author_email") == "info@example.org")
    assert roles.select("platform", "author_id").n_unique() > 20
    assert (
        made.rows.filter(pl.col("event_key").is_in(roles.get_column("event_key").implode()))
        .get_column("author_email")
        .null_count()
        > 20
    )


def test_the_crm_is_about_people_of_the_truth(made: Made) -> None:
    assert tuple(made.crm[0]) == HEADER
    assert made.written == len(made.crm) == len({record["id"] for record in made.crm})
    by_person = {line["person"]: line for line in made.people}
    seen = Counter[str]()
    for record in made.crm:
        line = by_person.get(int(record["id"].removeprefix("K")), {})
        if "@" in record["email"] and "email" in line and not record["email"].startswith("info@"):
            assert record["email"].lower() == line["email"]
            seen["email"] += 1
        if record["phone"] and "phone" in line:
            assert record["phone"].replace(" ", "") == line["phone"]
            seen["phone"] += 1
        for account in record["accounts"].split(SEPARATOR):
            if account in line.get("accounts", ()):
                seen["account"] += 1
            seen["handle"] += ":@" in account
    assert min(seen.values()) > 100, seen
    again = io.BytesIO()
    write_crm(PLAN.seed, again)
    assert list(csv.DictReader(io.StringIO(again.getvalue().decode()))) == made.crm
