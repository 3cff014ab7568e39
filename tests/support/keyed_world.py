"""People as all tables know them by keyed hashes and encryption, planted under the first keys, and how they are found again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.batch import Rejected
from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.keys import DataKeys
from pipeline.config.settings import PrivacySettings, Settings
from pipeline.fence import OpenFence
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.monitoring.health import Vitals
from pipeline.queries.letters import matching, select
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from schemas.hashes import Chain
from schemas.times import TIME, utc_now
from tests.support.letters import DATA_KEY, DATA_KEYS, PRIVACY

NEW = "e" * 64
"""The next key, of both names."""
ALONE = DataKeys((NEW,))
PIECE, STEP = 20_000, 1_000_000
COLUMNS = (
    "event_key, revision, version, id, platform, kind, operation, direction, created_at, occurred_at, visibility, author_id, "
    "author_email"
)
INTERACTIONS = f"""
INSERT INTO interactions ({COLUMNS})
SELECT number + 1, number + 1, 1, toString(number), 'x', 'post', 'create', 'inbound',
    toDateTime64('2026-11-01 00:00:00', 3, 'UTC') - toIntervalSecond(number % 5000000) AS created_at, created_at, 'public',
    toString(number % {{people}}), old
FROM numbers({{first}}, {{count}}) AS these INNER JOIN planted ON planted.n = these.number % {{people}}"""
EDGES = """
INSERT INTO identity_edges (edge, kind, a, b, type, a_platform, rule, rule_version, basis, at, event, written_at)
SELECT xxh3(concat('value:email:', toString(a), ':', toString(b))), 'value', a, xxh3(concat('email:', old)) AS b, 'email',
    platform, 'email', 1, 'given', toDateTime64('2026-10-01', 3) + n % 3600 + (platform = 'x') * 3600, n + 1, '2026-10-01'
FROM (SELECT n, old, arrayJoin(['x', 'facebook']) AS platform, xxh3(concat(platform, ':', toString(n))) AS a
    FROM planted WHERE n < {linked})"""
WRONG = {
    "interactions": "interactions AS i FINAL LEFT JOIN planted AS p ON toUInt64(i.author_id) = p.n WHERE author_email != new",
    "customers": "customers AS c FINAL LEFT JOIN planted AS p ON c.profile - 1 = p.n WHERE email_hash != new",
    "dead_letters": "dead_letters AS d FINAL LEFT JOIN planted AS p ON toUInt64(d.offset) = p.n WHERE contacts != [new]",
    "suppressions": "suppressions FINAL WHERE value NOT IN (SELECT new FROM planted)",
    "identity_edges": "identity_edges WHERE b NOT IN (SELECT xxh3(concat('email:', new)) FROM planted)",
    "raised_hashes": "raised_hashes",
}
"""The rows of each table that are not by the newest key, or not of the person that they were of."""
LINKS = "SELECT count(), groupBitXor(sipHash64(profile, customer)) FROM assignments FINAL WHERE is_deleted = 0"


class Size(NamedTuple):
    people: int
    """Each has a record and interactions."""
    interactions: int
    letters: int
    linked: int
    """People with two accounts, which their address links."""
    erased: int
    """People of whom nothing is known but that they are suppressed."""
    kills: int


class KeyedWorld:
    """What is planted. `settings` have the first keys."""

    def __init__(self, settings: Settings, client: Client, size: Size) -> None:
        self.settings, self.client, self.size = settings, client, size
        self._inserter = Inserter(client, OpenFence(), Vitals(), "test")
        self._key = settings.privacy.hash_keys.newest

    def later(self, *names: str) -> Settings:
        """The settings once these keys have a next generation."""
        given = {"hash_key": self._key, "data_key": DATA_KEY}
        older = {f"older_{name}s": (given[name],) for name in names}
        privacy = PrivacySettings.model_validate({**given, **dict.fromkeys(names, NEW), **older})
        return self.settings.model_copy(update={"privacy": privacy})

    def plant(self) -> None:
        """Table planted: each person's hashes by the key of before and by the next one."""
        fingerprints.check_keys(self.settings.clickhouse, self.settings.privacy.hash_keys, self.settings.privacy.data_keys)
        self.client.command("CREATE TABLE planted (n UInt64, old String, new String) ENGINE = MergeTree ORDER BY n")
        size, encryption = self.size, Encryption(DATA_KEYS)
        for numbers in _pieces(size.people + size.erased):
            old = self._plant_people(numbers)
            if numbers.start < size.people:
                self._plant_records(encryption, numbers[: size.people - numbers.start], old)
        letters = LetterRows(LetterEncryption(DATA_KEYS), PRIVACY)
        for numbers in _pieces(size.letters):
            rejected = [Rejected("decode", "no", "t", 0, n, None, _letter(n)) for n in numbers]
            self._inserter.insert_all("dead_letters", letters.of(rejected), 0)
        for first in range(0, size.interactions, STEP):
            count = min(STEP, size.interactions - first)
            self.client.command(INTERACTIONS.format(people=size.people, first=first, count=count))
        self.client.command(EDGES.format(linked=size.linked))
        suppressed = f"SELECT 'value', old, 1, now64(3) FROM planted WHERE n >= {size.people}"
        self.client.command(f"INSERT INTO suppressions (kind, value, erasure, at) {suppressed}")

    def _plant_people(self, numbers: Sequence[int]) -> list[str]:
        """Returns the hashes by the key of before."""
        before, after = Chain([self._key.encode()]), Chain([self._key.encode(), NEW.encode()])
        old = [before.hash(text("email", n)) for n in numbers]
        planted = pl.DataFrame({"n": numbers, "old": old, "new": after.all_raised(old)}, schema_overrides={"n": pl.UInt64})
        self.client.insert_arrow("planted", planted.to_arrow())
        return old

    def _plant_records(self, encryption: Encryption, numbers: Sequence[int], hashes: list[str]) -> None:
        rows = pl.DataFrame(
            {
                "profile": [n + 1 for n in numbers],
                "id": [str(n) for n in numbers],
                **{name: [encryption.encrypt(n + 1, name, text(name, n)) for n in numbers] for name in ENCRYPTED},
                "email_hash": hashes[: len(numbers)],
                "sealed_by": [encryption.sealed_by] * len(numbers),
            },
            schema_overrides={"profile": pl.UInt64, "sealed_by": pl.UInt32},
        )
        self._inserter.insert_all("customers", rows.with_columns(imported_at=pl.lit(utc_now(), TIME)), 0)

    # --- how it is found again ----------------------------------------------------------------------------------------
    def found(self, hashes: str) -> dict[str, int]:
        """How many rows, persons and records are found by the hashes of all: column old or new."""
        planted = f"(SELECT {hashes} FROM planted)"
        of_rows = f"SELECT count(), uniqExact(author_email) FROM interactions FINAL WHERE author_email IN {planted}"
        rows, persons = self.client.query(of_rows).result_rows[0]
        records = self._count(f"customers FINAL WHERE email_hash IN {planted}")
        letters = self._count(f"(SELECT arrayJoin(contacts) AS each FROM dead_letters FINAL) WHERE each IN {planted}")
        erased = self._count(f"suppressions FINAL WHERE value IN {planted}")
        return {"rows": int(rows), "persons": int(persons), "records": records, "letters": letters, "erased": erased}

    def planted(self) -> dict[str, int]:
        """What `found` is to find."""
        size = self.size
        counts = {"rows": size.interactions, "persons": size.people, "records": size.people}
        return {**counts, "letters": size.letters, "erased": size.erased}

    def wrong(self) -> dict[str, int]:
        """How many rows of a table are not those of their persons by the newest key; nothing: all is right."""
        counts = {name: self._count(of) for name, of in WRONG.items()}
        return {name: count for name, count in counts.items() if count}

    def links(self) -> tuple[int, int]:
        """How many profiles have a customer of another's name, and a checksum of whose."""
        [(count, checksum)] = self.client.query(LINKS).result_rows
        return int(count), int(checksum)

    def unread(self) -> Iterator[str]:
        """What the new key alone does not read as it was planted."""
        encryption, seen = Encryption(ALONE), 0
        names = ", ".join(ENCRYPTED)
        with self.client.query_rows_stream(f"SELECT profile, {names} FROM customers FINAL") as stream:
            for profile, *stored in stream:
                seen += 1
                for name, each in zip(ENCRYPTED, stored, strict=True):
                    if encryption.decrypt(profile, name, each) != text(name, profile - 1):
                        yield f"{name} of {profile}"
        if seen != self.size.people:
            yield f"{seen} records"
        letters = [letter.raw == _letter(letter.offset) for letter in matching(self.client, select(""), {}, ALONE)]
        if not all(letters) or len(letters) != self.size.letters:
            yield f"{len(letters)} letters"

    def _count(self, what: str) -> int:
        [(count,)] = self.client.query(f"SELECT count() FROM {what}").result_rows
        return int(count)


def text(column: str, number: int) -> str:
    """What a person has in a column."""
    return f"{column}{number}@example.org"


def _pieces(count: int) -> Iterator[range]:
    for first in range(0, count, PIECE):
        yield range(first, min(count, first + PIECE))


def _letter(number: int) -> bytes:
    author = b'{"id": "%d", "email": "%s"}' % (number, text("email", number).encode())
    return b'{"platform": "x", "id": "%d", "author": %s}' % (number, author)
