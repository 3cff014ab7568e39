"""Privacy: what a row must not say in clear."""

from __future__ import annotations

import re

import polars as pl
import pytest

from pipeline.clickhouse.migrations import read_migrations
from pipeline.embedded.analyst_names import READABLE
from pipeline.processors.dedup import revisions
from pipeline.processors.privacy import HASHED, Pseudonymise
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas.events import BY_COLUMN
from tests.support.bad_records import event
from tests.support.isolation import ROOT


def test_addresses_are_hashed_and_equal_ones_stay_equal() -> None:
    people = [{"email": " Ann@Example.org ", "phone": "+1 (555) 01-02"}, {"email": "ann@example.org", "phone": "+15550102"}, {}]
    batch = Decode().process(batch_of([event(author=person) for person in people]))
    frame = Pseudonymise(b"key").process(batch).events
    first, second, none = frame.select("author_email", "author_phone").rows()
    assert first == second
    assert none == (None, None)
    assert all(len(value) == 64 and "555" not in value[:3] for value in first)
    other = Pseudonymise(b"other").process(Decode().process(batch_of([event(author=people[0])]))).events
    assert other.get_column("author_email")[0] != first[0]


@pytest.mark.parametrize("column", HASHED)
def test_each_hashed_column_is_hashed(column: str) -> None:
    author = {BY_COLUMN[column].path.removeprefix("author."): "in clear"}
    frame = Pseudonymise(b"key").process(Decode().process(batch_of([event(author=author)]))).events
    assert len(frame.get_column(column)[0]) == 64
    assert f"\n| `{BY_COLUMN[column].path}` | HMAC-SHA256 " in (ROOT / "docs/privacy.md").read_text()


def test_the_page_says_of_each_table_who_reads_it() -> None:
    page = (ROOT / "docs/privacy.md").read_text()
    analysts, others = (
        set(re.findall(r"`(\w+)`", page.partition(f"\n| {who} `{user}` | ")[2].partition(" | ")[0].partition(";")[0]))
        for who, user in (("user", "analyst"), ("nobody but", "default"))
    )
    ddl = " ".join(statement for migration in read_migrations() for statement in migration.statements)
    assert analysts == set(READABLE)
    assert analysts | others == {"schema_migrations", *re.findall(r"CREATE TABLE (\w+)", ddl)}


def test_a_sealed_hash_stays_and_what_looks_like_a_hash_is_an_address() -> None:
    privacy = Pseudonymise(b"key")

    def emails(*values: str) -> list[str]:
        batch = Decode().process(batch_of([event(author={"email": value}) for value in values]))
        return privacy.process(batch).events.get_column("author_email").to_list()

    [known] = emails("ann@example.org")
    forged = Pseudonymise(b"other").seal(known)
    sealed, bare, wrong = emails(privacy.seal(known), known, forged)
    assert sealed == known
    assert known not in (bare, wrong), "who reads a hash in a table could pass for its owner"


def test_nobody_finds_a_phone_number_by_trying_them_all() -> None:
    """Who reads a row knows all that its revision is made of, and may put in one number after the other."""
    number = "+1 555 0147"
    row = Pseudonymise(b"key").process(Decode().process(batch_of([event(author={"id": "1", "phone": number})]))).events
    stored = revisions(row)[0]
    guesses = pl.concat([row] * 300).with_columns(
        author_phone=pl.format("+1 555 {}", pl.int_range(300).cast(pl.String).str.zfill(4))
    )
    assert number in guesses.get_column("author_phone").to_list()
    assert stored not in revisions(guesses).to_list()
    for guess in ("+15550147", "5550147"):
        assert stored not in revisions(row.with_columns(author_phone=pl.lit(guess))).to_list()


def test_a_revision_knows_of_an_address_its_keyed_hash_only() -> None:
    spellings = ["+1 (555) 01-47", "+15550147"]
    batch = batch_of([event(author={"id": "1", "phone": spelling}) for spelling in spellings])
    one, other = revisions(Pseudonymise(b"key").process(Decode().process(batch)).events)
    assert one == other
