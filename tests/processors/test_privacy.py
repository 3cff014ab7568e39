"""Privacy: what a row must not say in clear."""

from __future__ import annotations

import hmac

import polars as pl
import pytest

from pipeline.config.keys import HashKeys
from pipeline.errors import SettingsError
from pipeline.processors.dedup import revisions
from pipeline.processors.privacy import HASHED, Pseudonymise
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas.contacts import DEFAULT, blocked
from schemas.events import BY_COLUMN
from schemas.hashes import STORED
from tests.support.bad_records import event
from tests.support.isolation import ROOT


def test_addresses_are_hashed_and_equal_ones_stay_equal() -> None:
    people = [{"email": " Ann@Example.org ", "phone": "+1 (555) 01-02"}, {"email": "ann@example.org", "phone": "+15550102"}, {}]
    batch = Decode().process(batch_of([event(author=person) for person in people]))
    frame = Pseudonymise(b"key", "", DEFAULT).process(batch).events
    first, second, none = frame.select("author_email", "author_phone").rows()
    assert first == second
    assert none == (None, None)
    assert all(len(value) == 64 and "555" not in value[:3] for value in first)
    other = Pseudonymise(b"other", "", DEFAULT).process(Decode().process(batch_of([event(author=people[0])]))).events
    assert other.get_column("author_email")[0] != first[0]


@pytest.mark.parametrize("column", HASHED)
def test_each_hashed_column_is_hashed(column: str) -> None:
    author = {BY_COLUMN[column].path.removeprefix("author."): "in clear"}
    frame = Pseudonymise(b"key", "", DEFAULT).process(Decode().process(batch_of([event(author=author)]))).events
    assert len(frame.get_column(column)[0]) == 64
    assert f"\n| `{BY_COLUMN[column].path}` | HMAC-SHA256 " in (ROOT / "docs/privacy.md").read_text()


def test_a_sealed_hash_stays_and_what_looks_like_a_hash_is_an_address() -> None:
    privacy = Pseudonymise(b"key", "", DEFAULT)

    def emails(*values: str) -> list[str]:
        batch = Decode().process(batch_of([event(author={"email": value}) for value in values]))
        return privacy.process(batch).events.get_column("author_email").to_list()

    [known] = emails("ann@example.org")
    forged = Pseudonymise(b"other", "", DEFAULT).seal(known)
    sealed, bare, wrong = emails(privacy.seal(known), known, forged)
    assert sealed == known
    assert known not in (bare, wrong), "who reads a hash in a table could pass for its owner"


def test_nobody_finds_a_phone_number_by_trying_them_all() -> None:
    """Who reads a row knows all that its revision is made of, and may put in one number after the other."""
    number = "+1 555 0147"
    row = (
        Pseudonymise(b"key", "", DEFAULT)
        .process(Decode().process(batch_of([event(author={"id": "1", "phone": number})])))
        .events
    )
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
    one, other = revisions(Pseudonymise(b"key", "", DEFAULT).process(Decode().process(batch)).events)
    assert one == other


def phones(privacy: Pseudonymise, *values: str) -> list[str | None]:
    batch = Decode().process(batch_of([event(id=str(number), author={"phone": value}) for number, value in enumerate(values)]))
    return privacy.process(batch).events.get_column("author_phone").to_list()


def test_one_number_has_one_hash_however_it_is_written() -> None:
    spellings = ["+49 30 901820", "+49 (0)30 90-18-20", "0049 30/901820", "(030) 901820", "030.901820", "tel:+4930901820"]
    assert len(set(phones(Pseudonymise(b"key", "DE", DEFAULT), *spellings))) == 1
    assert len(set(phones(Pseudonymise(b"key", "", DEFAULT), *spellings))) == 3, "without a region nobody knows whose 030 it is"


def test_a_number_that_is_none_keeps_its_hash() -> None:
    values = ["+999 123 123456789", "in clear", "+1 555 0147"]
    plain = [hmac.digest(b"key", value.encode(), "sha256").hex() for value in ("+999123123456789", "inclear", "+15550147")]
    assert phones(Pseudonymise(b"key", "DE", DEFAULT), *values) == plain


def test_numbers_that_come_again_have_the_same_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.processors.privacy.KNOWN_NUMBERS", 2)
    privacy = Pseudonymise(b"key", "DE", DEFAULT)
    values = ["030 901820", "030 901821", "030 901822", "030 901823"]
    first = phones(privacy, *values)
    assert phones(privacy, *values) == first
    assert len(set(first)) == 4


def test_a_blocked_contact_is_blank_and_its_neighbours_stay() -> None:
    privacy = Pseudonymise(b"key", "DE", DEFAULT)
    [front], [desk] = privacy.hashes("author_email", ["Front@hotel.example"]), privacy.hashes("author_phone", ["030 901820"])
    people = [
        {"email": "Info@Example.org", "phone": "000-0000"},
        {"email": "front@hotel.example", "phone": "+4930901820"},
        {"email": privacy.seal(front), "phone": privacy.seal(desk)},
        {"email": "ann@example.org", "phone": "+4930901821"},
    ]

    def kept() -> list[tuple[bool, ...]]:
        batch = Decode().process(batch_of([event(id=str(n), author=person) for n, person in enumerate(people)]))
        frame = privacy.process(batch).events
        return frame.select(pl.col("author_email", "author_phone").is_not_null()).rows()

    assert kept() == [(False, False), (True, True), (True, True), (True, True)]
    privacy.block(blocked((), frozenset({front, desk})))
    assert kept() == [(True, True), (False, False), (False, False), (True, True)]


def test_a_region_that_is_none_ends_the_start() -> None:
    with pytest.raises(SettingsError, match="privacy.region: there is no 'UK'"):
        Pseudonymise(b"key", "UK", DEFAULT)


ONE, TWO, THREE = (HashKeys(("key", "later", "newest")[:count]) for count in (1, 2, 3))


def test_a_later_key_hashes_what_an_earlier_one_made() -> None:
    address = "ann@example.org"
    [old], [new], [newest] = (Pseudonymise(keys, "", DEFAULT).hashes("author_email", [address]) for keys in (ONE, TWO, THREE))
    assert old == hmac.digest(b"key", address.encode(), "sha256").hex()
    assert new == "2-" + hmac.digest(b"later", old.encode(), "sha256").hex()
    assert newest == "3-" + hmac.digest(b"newest", new.encode(), "sha256").hex()
    privacy = Pseudonymise(THREE, "", DEFAULT)
    assert privacy.hashes(STORED, [old, new, newest, "", "none"]) == [newest, newest, newest, "", "none"]
    assert privacy.each("author_email", " Ann@example.org") == [newest, new, old]
    assert Pseudonymise(TWO, "", DEFAULT).hashes(STORED, [newest]) == [newest], "a process with the keys of before"


def test_a_number_has_a_hash_of_each_key_however_it_is_written() -> None:
    step = Pseudonymise(TWO, "DE", DEFAULT)
    [new], [old] = phones(step, "030 901820"), phones(Pseudonymise(ONE, "DE", DEFAULT), "+49 30 901820")
    assert step.each("author_phone", "(030) 901820") == [new, old]


def test_a_seal_of_an_earlier_key_is_good_and_its_hash_is_raised() -> None:
    address, number = "ann@example.org", "+15550147"
    steps = [Pseudonymise(keys, "", DEFAULT) for keys in (ONE, TWO, THREE)]
    newest = steps[-1]
    for step in steps:
        sealed = {
            "email": step.seal(*step.hashes("author_email", [address])),
            "phone": step.seal(*step.hashes("author_phone", [number])),
        }
        row = newest.process(Decode().process(batch_of([event(author=sealed)]))).events
        assert row.get_column("author_email").to_list() == newest.hashes("author_email", [address])
        assert row.get_column("author_phone").to_list() == newest.hashes("author_phone", [number])


def test_who_has_an_earlier_key_alone_seals_no_hash_of_a_later_one() -> None:
    one, newest = Pseudonymise(ONE, "", DEFAULT), Pseudonymise(THREE, "", DEFAULT)
    known, *earlier = newest.each("author_email", "ann@example.org")
    forged = [one.seal(known), one.seal(earlier[0]), newest.seal(known).replace("hmac:3:", f"hmac:{'3' * 5_000}:")]
    assert not {known, *earlier} & set(newest.hashes("author_email", forged))


def test_what_quotes_a_hash_gets_no_seal_of_it() -> None:
    """Else who reads hashes in tables, and may send events, would make a seal: it would stand in the row of another event."""
    privacy = Pseudonymise(b"key", "", DEFAULT)
    [known] = privacy.hashes("author_email", ["ann@example.org"])
    seal = privacy.seal(known).rpartition(":")[2]
    for column in HASHED:
        assert seal not in privacy.hashes(column, [f"hmac:{known}"])[0]


def test_rows_of_before_a_rotation_are_raised_where_they_land_again() -> None:
    before, after = Pseudonymise(ONE, "", DEFAULT), Pseudonymise(TWO, "", DEFAULT)
    people = [{"email": "ann@example.org", "phone": "+15550147"}, {"email": "ann@example.org"}, {}]
    old, new = (
        step.process(Decode().process(batch_of([event(author=one) for one in people]))).events for step in (before, after)
    )
    assert not old.equals(new) and after.raised(old).equals(new) and after.raised(new).equals(new)
    assert before.raised(old) is old
