"""Fingerprints of keys in ClickHouse: the first key stays, another one is refused in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.app import Worker
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.fingerprints import TABLE, check, in_force, note_unused, put_in_force
from pipeline.config.keys import DataKeys, HashKeys, fingerprint
from pipeline.config.settings import PrivacySettings, Settings
from pipeline.errors import SettingsError
from pipeline.migrate import migrate
from tests.support.letters import DATA_KEY


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def test_the_first_key_stays_and_another_one_is_refused_in_one_line(client: Client) -> None:
    for _ in range(2):
        check(client, HashKeys(("the first key",)))
        check(client, DataKeys(("ab" * 32,)))
    check(client, DataKeys(("AB" * 32,)))  # the same key
    for keys in (HashKeys(("The first key",)), DataKeys(("cd" * 32,)), HashKeys()):
        with pytest.raises(SettingsError) as refused:
            check(client, keys)
        said = str(refused.value)
        assert said.startswith(f"setting privacy.{keys.name} is not the key that the database was first written with")
        assert "\n" not in said and (keys.newest or "x" * 9) not in said and refused.value.exit_code == 2
    assert client.query(f"SELECT name, fingerprint FROM {TABLE} ORDER BY name").result_rows == [
        ("data_key", fingerprint("data_key", "ab" * 32)),
        ("hash_key", fingerprint("hash_key", "the first key")),
    ]


ONE, TWO, THREE = "the first key", "the second key", "the third key"
CHANGED = [
    ((TWO,), "is not the key in force: that is generation 3, since 20"),
    ((ONE, TWO), "is not the key in force: that is generation 3, since 20"),
    ((THREE,), "setting privacy.older_hash_keys lacks the key of generation 1 (fingerprint "),
    ((ONE, THREE), "setting privacy.older_hash_keys lacks the key of generation 2 (fingerprint "),
    (
        (TWO, ONE, THREE),
        "setting privacy.older_hash_keys has a key that the database does not know, or another order: the first",
    ),
    ((ONE, "x", TWO, THREE), "setting privacy.older_hash_keys has a key that the database does not know, or another order"),
    ((ONE, TWO, THREE, "a fourth key"), "`earshot keys rotate` puts it in force"),
    (("x", "y"), "with another one nobody would be recognised again"),
]


def test_the_next_key_is_put_in_force_by_a_rotation_alone_and_is_wanted_from_then_on(client: Client) -> None:
    check(client, HashKeys((ONE,)))
    check(client, DataKeys(("cd" * 32,)))
    with pytest.raises(SettingsError, match="is a new key .*: `earshot keys rotate` puts it in force"):
        check(client, HashKeys((ONE, TWO)))
    with pytest.raises(SettingsError, match="first written with"):
        put_in_force(client, HashKeys(("x", TWO)))
    assert [put_in_force(client, HashKeys((ONE, TWO, THREE))) for _ in range(2)] == [2, 0]
    check(client, HashKeys((ONE, TWO, THREE)))
    for keys, said in CHANGED:
        with pytest.raises(SettingsError) as refused:
            check(client, HashKeys(keys))
        assert said in str(refused.value) and not any(key in str(refused.value) for key in keys if len(key) > 1)
    check(client, DataKeys(("cd" * 32,)))
    for keys in ((ONE, TWO), (ONE, THREE)):
        with pytest.raises(SettingsError):
            put_in_force(client, HashKeys(keys))
    assert [each.number for each in in_force(client, "hash_key")] == [1, 2, 3]


def test_a_key_that_nothing_uses_may_be_left_out(client: Client) -> None:
    first, second = "ab" * 32, "cd" * 32
    check(client, DataKeys((first,)))
    put_in_force(client, DataKeys((first, second)))
    with pytest.raises(SettingsError, match="older_data_keys lacks the key of generation 1"):
        check(client, DataKeys((second,)))
    note_unused(client, "data_key", in_force(client, "data_key")[0])
    check(client, DataKeys((second,)))
    check(client, DataKeys((first, second)))
    assert [each.unused for each in in_force(client, "data_key")] == [True, False]
    with pytest.raises(SettingsError, match="is not the key in force"):
        check(client, DataKeys((first,)))


def test_of_two_first_keys_at_once_one_is_kept(client: Client) -> None:
    """Whatever the clocks say: a process that read its own row would run on beside another one whose row is older."""
    refused: list[str] = []
    together = threading.Barrier(8)

    def start(key: str) -> None:
        together.wait()
        try:
            check(client, HashKeys((key,)))
        except SettingsError:
            refused.append(key)

    threads = [threading.Thread(target=start, args=(f"key {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(refused) == 7
    assert client.command(f"SELECT count() FROM {TABLE}") == 1


def test_a_server_that_knows_the_token_and_has_no_row_gets_it_again(client: Client) -> None:
    client.insert(
        TABLE,
        [("other", "x", "2026-01-01")],
        column_names=("name", "fingerprint", "made_at"),
        column_type_names=("LowCardinality(String)", "String", "String"),
        settings={"insert_deduplication_token": f"{TABLE}-hash_key+0"},
    )
    check(client, HashKeys(("key",)))
    with pytest.raises(SettingsError):
        check(client, HashKeys(("another",)))


def test_a_worker_with_another_key_does_not_start(emptied: Settings) -> None:
    migrate(emptied)
    Worker(emptied, None)
    privacy = PrivacySettings.model_validate({"hash_key": "another key", "data_key": DATA_KEY})
    another = emptied.model_copy(update={"privacy": privacy})
    with pytest.raises(SettingsError, match="privacy.hash_key is not the key"):
        Worker(another, None)
