"""Keys are changed, and `earshot keys rotate` is killed meanwhile: each record and letter is read as before, each look-up finds
what it found, and nothing is of an older key. `long` states how long it took."""

from __future__ import annotations

import hmac
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.batch import Rejected
from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.environment import child_environment
from pipeline.config.keys import DataKeys
from pipeline.config.settings import Settings
from pipeline.fence import OpenFence
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.queries.letters import matching, select
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from schemas.times import TIME, utc_now
from tests.support.letters import DATA_KEY, DATA_KEYS, PRIVACY

NEW = "e" * 64
ALONE = DataKeys((NEW,))
PIECE = 20_000
COLUMNS = (
    "event_key, revision, version, id, platform, kind, operation, direction, created_at, occurred_at, visibility, author_id, "
    "author_email"
)
INTERACTIONS = f"""
INSERT INTO interactions ({COLUMNS})
SELECT number + 1, number + 1, 1, toString(number), 'x', 'post', 'create', 'inbound',
    toDateTime64('2026-11-01 00:00:00', 3, 'UTC') - toIntervalSecond(number % 5000000) AS created_at, created_at, 'public',
    toString(number % {{people}}), hash
FROM numbers({{first}}, {{count}}) AS these INNER JOIN planted ON planted.n = these.number % {{people}}"""


class Size(NamedTuple):
    people: int
    interactions: int
    letters: int
    kills: int


SHORT, LONG = Size(2_000, 20_000, 300, 3), Size(1_000_000, 10_000_000, 20_000, 3)
SIZES = [
    pytest.param(SHORT, marks=pytest.mark.faults, id="short"),
    pytest.param(LONG, marks=[pytest.mark.faults, pytest.mark.timeout(7_200)], id="long"),
]


class World:
    """What is planted, and how it is found again."""

    def __init__(self, settings: Settings, client: Client, size: Size) -> None:
        self.settings, self.client, self.size = settings, client, size
        self._inserter = Inserter(client, OpenFence(), Vitals(), "test")

    def plant(self) -> None:
        """Records and letters under the first key; interactions with the hashes of the records' addresses."""
        fingerprints.check_keys(self.settings.clickhouse, self.settings.privacy.hash_keys, self.settings.privacy.data_keys)
        self.client.command("CREATE TABLE planted (n UInt64, hash String) ENGINE = MergeTree ORDER BY n")
        encryption = Encryption(DATA_KEYS)
        for numbers in _pieces(self.size.people):
            hashes = [self.hash(n) for n in numbers]
            planted = pl.DataFrame({"n": numbers, "hash": hashes}, {"n": pl.UInt64, "hash": pl.String})
            self.client.insert_arrow("planted", planted.to_arrow())
            rows = pl.DataFrame(
                {
                    "profile": [n + 1 for n in numbers],
                    "id": [str(n) for n in numbers],
                    **{name: [encryption.encrypt(n + 1, name, _text(name, n)) for n in numbers] for name in ENCRYPTED},
                    "email_hash": hashes,
                    "sealed_by": [encryption.sealed_by] * len(numbers),
                },
                schema_overrides={"profile": pl.UInt64, "sealed_by": pl.UInt32},
            )
            self._inserter.insert_all("customers", rows.with_columns(imported_at=pl.lit(utc_now(), TIME)), 0)
        letters = LetterRows(LetterEncryption(DATA_KEYS), PRIVACY)
        for numbers in _pieces(self.size.letters):
            rejected = [Rejected("decode", "no", "t", 0, n, None, _letter(n)) for n in numbers]
            self._inserter.insert_all("dead_letters", letters.of(rejected), 0)
        step = 1_000_000
        for first in range(0, self.size.interactions, step):
            count = min(step, self.size.interactions - first)
            self.client.command(INTERACTIONS.format(people=self.size.people, first=first, count=count))

    def hash(self, number: int) -> str:
        """Of a person's address, as rows have it before."""
        key = self.settings.privacy.hash_keys.newest
        return hmac.digest(key.encode(), _text("email", number).encode(), "sha256").hex()

    def found(self) -> dict[str, int]:
        """How many rows are found by the addresses of all persons, and how many persons."""
        looked_up = "FROM interactions FINAL WHERE author_email IN (SELECT hash FROM planted)"
        rows, persons = self.client.query(f"SELECT count(), uniqExact(author_email) {looked_up}").result_rows[0]
        records = self.client.command("SELECT count() FROM customers FINAL WHERE email_hash IN (SELECT hash FROM planted)")
        return {"rows": int(rows), "persons": int(persons), "records": int(str(records))}

    def unread(self) -> Iterator[str]:
        """What the new key alone does not read as it was planted."""
        encryption, seen = Encryption(ALONE), 0
        names = ", ".join(ENCRYPTED)
        with self.client.query_rows_stream(f"SELECT profile, {names} FROM customers FINAL") as stream:
            for profile, *stored in stream:
                seen += 1
                for name, each in zip(ENCRYPTED, stored, strict=True):
                    if encryption.decrypt(profile, name, each) != _text(name, profile - 1):
                        yield f"{name} of {profile}"
        if seen != self.size.people:
            yield f"{seen} records"
        letters = [letter.raw == _letter(letter.offset) for letter in matching(self.client, select(""), {}, ALONE)]
        if not all(letters) or len(letters) != self.size.letters:
            yield f"{len(letters)} letters"

    def rotate(self) -> subprocess.Popen[bytes]:
        changed = {"EARSHOT_PRIVACY__DATA_KEY": NEW, "EARSHOT_PRIVACY__OLDER_DATA_KEYS": json.dumps([DATA_KEY])}
        command = [sys.executable, "-m", "pipeline.cli", "keys", "rotate", "--yes"]
        environment = child_environment(self.settings) | changed
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def _pieces(count: int) -> Iterator[range]:
    for first in range(0, count, PIECE):
        yield range(first, min(count, first + PIECE))


def _text(column: str, number: int) -> str:
    return f"{column}{number}@example.org"


def _letter(number: int) -> bytes:
    return b'{"platform": "x", "id": "%d", "author": {"id": "%d"}}' % (number, number)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse, timeout_s=3_600) as client:
        yield client


@pytest.mark.parametrize("size", SIZES)
def test_after_kills_everything_is_found_and_read_as_before(
    settings: Settings, client: Client, size: Size, rng: random.Random
) -> None:
    world = World(settings, client, size)
    world.plant()
    before = world.found()
    assert before == {"rows": size.interactions, "persons": size.people, "records": size.people}
    begun = time.monotonic()
    for _ in range(size.kills):
        killed = world.rotate()
        time.sleep(rng.uniform(2, 6) if size is SHORT else rng.uniform(10, 60))
        killed.kill()
        killed.communicate()
    whole = world.rotate()
    said = whole.communicate()[0].decode()
    assert whole.returncode == 0, said
    took = timedelta(seconds=time.monotonic() - begun)
    print(f"{size.people:,} records, {size.interactions:,} interactions, {size.kills} kills: {took}")
    assert world.found() == before
    assert list(world.unread()) == []
    again = world.rotate()
    said = again.communicate()[0].decode()
    assert again.returncode == 0 and "of generation 1: it can go from the settings" in said, said
