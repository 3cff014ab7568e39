"""A change of privacy.data_key: all is read as before, with the new key alone, whatever was killed or written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httpclient import HttpClient

from pipeline.batch import Rejected
from pipeline.clickhouse import fingerprints, rotating
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.keys import DataKeys, HashKeys
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.errors import ConflictError, EarshotError
from pipeline.fence import OpenFence
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.maintenance.rotation import letters, records
from pipeline.maintenance.rotation.letters import Letters
from pipeline.maintenance.rotation.records import Records
from pipeline.maintenance.rotation.rotate import check, left, rotate, unused, works_of
from pipeline.monitoring.health import Vitals
from pipeline.queries.letters import matching, select
from pipeline.sinks.erasures import suppress, suppression_rows, write_receipt
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from schemas.erasures import Erasure, Keys
from schemas.identity import account_key
from schemas.times import TIME, utc_now
from tests.support.commands import Run, set_variables
from tests.support.letters import DATA_KEY, DATA_KEYS, PRIVACY
from tests.support.tables import own_database

HASHING = HashKeys(("the key of the tests",))
NEW = "e" * 64
BOTH, ALONE = DataKeys((DATA_KEY, NEW)), DataKeys((NEW,))
PEOPLE, LETTERS = 130, 70
Seen = tuple[dict[int, list[str]], dict[int, tuple[bytes | None, bytes]]]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PAGE", 50)
    monkeypatch.setattr(letters, "PAGE", 30)
    monkeypatch.setattr(letters, "INSERT_BYTES", 20_000)


def people(numbers: Sequence[int], keys: DataKeys = DATA_KEYS) -> pl.DataFrame:
    """Records of a CRM, as an import writes them; of some one column is blank."""
    encryption = Encryption(keys)
    rows = [
        {
            "profile": profile,
            "id": str(profile),
            **{name: encryption.encrypt(profile, name, f"{name} of {profile}" * (profile % 3 > 0)) for name in ENCRYPTED},
            "email_hash": f"hash of {profile}",
            "sealed_by": encryption.sealed_by,
        }
        for profile in numbers
    ]
    types = {"profile": pl.UInt64, "sealed_by": pl.UInt32}
    return pl.DataFrame(rows, schema_overrides=types).with_columns(imported_at=pl.lit(utc_now(), TIME))


def rejected(numbers: Sequence[int]) -> list[Rejected]:
    """Short and long, with and without a key, of somebody and of nobody."""
    return [
        Rejected(
            "decode", "no", "t", n % 2, n, b"key %d" % n if n % 3 else None, b'{"platform": "x", "id": "%d"}' % n * (n % 9) * 40
        )
        for n in numbers
    ]


def write(client: Client, people_: pl.DataFrame, rows: Sequence[Rejected], keys: DataKeys = DATA_KEYS) -> None:
    inserter = Inserter(client, OpenFence(), Vitals(), "test")
    inserter.insert_all("customers", people_, 0)
    inserter.insert_all("dead_letters", LetterRows(LetterEncryption(keys), PRIVACY).of(rows), 0)


def seen(client: Client, keys: DataKeys) -> Seen:
    """All of it in clear."""
    encryption = Encryption(keys)
    sql = f"SELECT profile, {', '.join(ENCRYPTED)} FROM customers FINAL ORDER BY profile"
    found = {
        profile: [encryption.decrypt(profile, *each) for each in zip(ENCRYPTED, stored, strict=True)]
        for profile, *stored in client.query(sql).result_rows
    }
    of_letters = matching(client, select("ORDER BY offset"), {}, keys)
    return found, {letter.offset: (letter.key, letter.raw) for letter in of_letters}


def filled(client: Client) -> Seen:
    fingerprints.check(client, DATA_KEYS)
    write(client, people(range(1, PEOPLE)), rejected(range(LETTERS)))
    names = ["topic", "partition", "offset", "content", "raw", "rejected_at"]
    client.insert("dead_letters", [["t", 0, 900, 7, b"as it came", utc_now()]], column_names=names)
    client.command("ALTER TABLE customers UPDATE sealed_by = 0 WHERE profile % 2", settings={"mutations_sync": 2})
    return seen(client, DATA_KEYS)


def rotated(client: Client, keys: DataKeys = BOTH) -> dict[str, int]:
    return rotate(client, [keys], works_of(client, HASHING, keys), lambda done, total: None).left


class Killed(BaseException):
    pass


def killing(patch: pytest.MonkeyPatch, at: int) -> None:
    """The program is killed at its n-th statement that writes: before it, or just after it."""
    done = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            nonlocal done
            done += 1
            if done == at // 2 and not at % 2:
                raise Killed
            answer = real(*given, **more)
            if done == at // 2:
                raise Killed
            return answer

        return call

    patch.setattr(Inserter, "insert_all", dying(Inserter.insert_all))
    patch.setattr(HttpClient, "command", dying(HttpClient.command))
    patch.setattr(fingerprints, "_insert", dying(fingerprints._insert))


@pytest.mark.usefixtures("small_pages")
def test_killed_at_each_statement_and_run_again_everything_is_read_as_before(client: Client) -> None:
    before = filled(client)
    assert len(before[0]) == PEOPLE - 1 and len(before[1]) == LETTERS + 1
    with pytest.raises(EarshotError):
        seen(client, ALONE)
    for at in count(2):
        with pytest.MonkeyPatch.context() as patch:
            killing(patch, at)
            try:
                assert set(rotated(client).values()) == {0}
            except Killed:
                assert seen(client, BOTH) == before
            else:
                break
        if at % 8 == 0:  # some of it is of the old key again, as processes that run with it write
            write(client, people([at, 3]), rejected([at % LETTERS]))
    assert at > 15, "it was killed at each of some statements"
    assert seen(client, ALONE) == before
    assert client.query("SELECT count() FROM dead_letters FINAL").result_rows == [(LETTERS + 1,)], "no letter is there twice"
    rotating.refuse(client, "erase")


def test_beside_inserts_with_both_keys_nothing_is_lost_and_the_next_run_does_the_rest(
    client: Client, emptied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE", 100)
    monkeypatch.setattr(letters, "PAGE", 50)
    found, of_letters = filled(client)
    numbers = count(1_000)
    real = Inserter.insert_all

    def beside(self: Inserter, *given: Any) -> None:
        """Between a page that was read and the row that takes its place; an old process, and a new one."""
        real(self, *given)
        n = next(numbers)
        with monkeypatch.context() as patch, clickhouse_client(emptied.clickhouse) as other:
            patch.setattr(Inserter, "insert_all", real)
            write(other, people([n, 5]), rejected([n, 3]))
            write(other, people([10_000 + n], BOTH), rejected([10_000 + n]), BOTH)

    with monkeypatch.context() as patch:
        patch.setattr(Inserter, "insert_all", beside)
        assert any(rotated(client).values()), "a process with the old key goes on"
    assert set(rotated(client).values()) == {0}
    there = next(numbers)
    people_there, letters_there = seen(client, ALONE)
    expected = {n: [f"{name} of {n}" * (n % 3 > 0) for name in ENCRYPTED] for m in range(1_000, there) for n in (m, 10_000 + m)}
    assert people_there == found | expected
    extra = rejected([n for m in range(1_000, there) for n in (m, 10_000 + m)])
    assert letters_there == of_letters | {each.offset: (each.key, each.raw) for each in extra}


def test_who_is_erased_while_his_rows_are_in_hand_does_not_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(client)
    anna = b'{"platform": "x", "id": "77", "author": {"id": "anna"}}'
    account = account_key("x", "anna")
    write(client, people([account]), [Rejected("decode", "no", "t", 0, 77_777, None, anna)])
    assert account in seen(client, DATA_KEYS)[0]
    real = Inserter.insert_all

    def erased(self: Inserter, *given: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Inserter, "insert_all", real)
            suppress(self, suppression_rows(Keys([account]), 5, utc_now()))
        client.command(f"DELETE FROM customers WHERE profile = {account}")
        client.command(f"DELETE FROM dead_letters WHERE has(accounts, {account})")
        real(self, *given)

    for work in (Records(client, BOTH), Letters(client, BOTH)):
        write(client, people([account]), [Rejected("decode", "no", "t", 0, 77_777, None, anna)])
        with monkeypatch.context() as patch:
            patch.setattr(Inserter, "insert_all", erased)
            work.run(lambda rows: None)
        client.command("DELETE FROM suppressions WHERE erasure = 5")
    found, of_letters = seen(client, BOTH)
    assert account not in found and 77_777 not in of_letters


def test_an_erasure_that_began_at_once_goes_first(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real, works = filled(client), rotating.begin, works_of(client, HASHING, BOTH)

    def late(client: Client) -> None:
        write_receipt(client, Erasure("ines", "asked for it"))
        real(client)

    monkeypatch.setattr(rotating, "begin", late)
    check(client, works)
    with pytest.raises(ConflictError, match="is not hidden everywhere yet"):
        rotate(client, [BOTH], works, lambda done, total: None)
    assert seen(client, DATA_KEYS) == before and len(fingerprints.in_force(client, "data_key")) == 1
    rotating.refuse(client, "erase")


def test_of_two_at_once_the_second_is_refused_and_one_after_a_kill_is_not(client: Client) -> None:
    filled(client)
    rotating.begin(client)
    with rotating.alone(client), pytest.raises(ConflictError, match="another `earshot keys rotate` runs in database"):
        rotated(client)
    assert rotating.there(client) and len(fingerprints.in_force(client, "data_key")) == 1
    client.command("CREATE OR REPLACE TABLE rotating (at DateTime) ENGINE = MergeTree ORDER BY at")  # of a killed one, before
    rotating.begin(client)
    client.command(f"INSERT INTO rotating (holder, at) VALUES (7, now64(3) - {rotating.ALIVE_S - 1})")
    assert not any(rotated(client).values()) and not rotating.there(client)


def test_what_no_key_opens_stays_and_is_said_and_no_key_can_go(client: Client) -> None:
    filled(client)
    write(client, people([5_000], DataKeys(("c" * 64,))), rejected([5_000]), DataKeys(("c" * 64,)))
    works = works_of(client, HASHING, BOTH)
    done = rotate(client, [BOTH], works, lambda done, total: None)
    assert done.left == {"customers": 1, "dead_letters": 1}
    assert "profile 0000000000001388: it can't be decrypted" in done.why["customers"] and "dead_letters" in done.why
    rotating.refuse(client, "erase")


def test_a_restore_brings_rows_to_the_keys_of_today(
    stacked: Run, emptied: Settings, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        records_before, _ = filled(client)
    assert stacked("backup", "kept").code == 0
    with own_database(stack.clickhouse) as database, clickhouse_client(database) as target:
        set_variables(monkeypatch, emptied.model_copy(update={"clickhouse": database}))
        monkeypatch.setenv("EARSHOT_PRIVACY__DATA_KEY", NEW)
        refused = stacked("restore", "kept")
        assert refused.code == 2 and "privacy.older_data_keys lacks the one of before" in refused.err
        monkeypatch.setenv("EARSHOT_PRIVACY__OLDER_DATA_KEYS", f'["{DATA_KEY}"]')
        done = stacked("restore", "kept")
        assert done.code == 0, done.err
        assert seen(target, ALONE)[0] == records_before
        fingerprints.check(target, BOTH)


def test_the_commands(stacked: Run, emptied: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        fingerprints.check(client, HASHING)
        before = filled(client)
        shown = stacked("keys", "show")
        assert shown.code == 0 and "in force" in shown.out and DATA_KEY not in shown.out and "customers" in shown.out
        said = stacked("keys", "new", "data_key")
        assert said.code == 0 and "EARSHOT_PRIVACY__OLDER_DATA_KEYS" in said.out
        monkeypatch.setenv("EARSHOT_PRIVACY__DATA_KEY", NEW)
        forgot = stacked("keys", "rotate", "--yes")
        assert forgot.code == 2 and "that key stays in privacy.older_data_keys" in forgot.err
        assert f"fingerprint {ALONE.fingerprints[0][:8]}, stored" in forgot.err
        monkeypatch.setenv("EARSHOT_PRIVACY__OLDER_DATA_KEYS", f'["{DATA_KEY}"]')
        with monkeypatch.context() as slip:
            slip.setenv("EARSHOT_PRIVACY__OLDER_HASH_KEYS", f'["{HASHING.newest}"]')
            for key in (" ", "short", NEW + "\n"):
                slip.setenv("EARSHOT_PRIVACY__HASH_KEY", key)
                slipped = stacked("keys", "rotate", "--yes")
                assert slipped.code == 2 and "nothing was begun" in slipped.err and key.strip() not in slipped.err.split()
        assert stacked("keys", "new", "data_key").code == 1
        assert "`earshot keys rotate` puts it in force" in stacked("keys", "show").err
        refused = stacked("keys", "rotate", stdin="n\n")
        assert refused.code == 1 and len(fingerprints.in_force(client, "data_key")) == 1
        rotating.begin(client)
        for command in (("backup", "kept"), ("person", "erase", "--account", "t:ines", "--yes")):
            waits = stacked(*command)
            assert waits.code == 1, waits.err
        assert "keys are being rotated in database" in stacked("backup", "kept").err
        assert "a rotation has begun and not ended" in stacked("keys", "show").err
        done = stacked("keys", "rotate", "--yes")
        assert done.code == 0, done.err
        assert "restart with the new settings" in done.out and "it can go" not in done.out
        assert seen(client, ALONE) == before
        again = stacked("keys", "rotate")
        assert again.code == 0 and "of generation 1: it can go from the settings" in again.out
        assert "nothing was to be done" not in done.out + again.out
        monkeypatch.delenv("EARSHOT_PRIVACY__OLDER_DATA_KEYS")
        assert "nothing uses it" in stacked("keys", "show").out
        idle = stacked("keys", "rotate")
        assert idle.code == 0 and "nothing was to be done: no key of these settings is new" in idle.out
        fingerprints.check(client, ALONE)
        acts = client.query("SELECT act, after FROM acts WHERE act = 'rotate keys' ORDER BY at").result_rows
        assert len(acts) == 3 and str(PEOPLE - 1 + LETTERS) in acts[0][1]
        with pytest.raises(ConflictError, match="keys are being rotated"):
            rotating.begin(client)
            rotating.refuse(client, "import")
        assert left(works_of(client, HASHING, ALONE)) == {"customers": 0, "dead_letters": 0}
        assert unused(client, ALONE) == []
