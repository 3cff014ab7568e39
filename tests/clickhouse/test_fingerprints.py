"""Fingerprints of keys in ClickHouse: the first key stays, another one is refused in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.app import Worker
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.fingerprints import TABLE, check, fingerprint
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
        check(client, "hash_key", "the first key")
        check(client, "data_key", "ab" * 32)
    check(client, "data_key", "AB" * 32)  # the same key
    for name, key in (("hash_key", "The first key"), ("data_key", "cd" * 32)):
        with pytest.raises(SettingsError) as refused:
            check(client, name, key)  # type: ignore[arg-type]
        said = str(refused.value)
        assert said.startswith(f"setting privacy.{name} is not the key that database {client.database} was first written with")
        assert "\n" not in said and key not in said and refused.value.exit_code == 2
    assert client.query(f"SELECT name, fingerprint FROM {TABLE} ORDER BY name").result_rows == [
        ("data_key", fingerprint("data_key", "ab" * 32)),
        ("hash_key", fingerprint("hash_key", "the first key")),
    ]


def test_of_two_first_keys_at_once_one_is_kept(client: Client) -> None:
    """Whatever the clocks say: a process that read its own row would run on beside another one whose row is older."""
    refused: list[str] = []
    together = threading.Barrier(8)

    def start(key: str) -> None:
        together.wait()
        try:
            check(client, "hash_key", key)
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
    check(client, "hash_key", "key")
    with pytest.raises(SettingsError):
        check(client, "hash_key", "another")


def test_a_worker_with_another_key_does_not_start(emptied: Settings) -> None:
    migrate(emptied)
    Worker(emptied, None)
    privacy = PrivacySettings.model_validate({"hash_key": "another key", "data_key": DATA_KEY})
    another = emptied.model_copy(update={"privacy": privacy})
    with pytest.raises(SettingsError, match="privacy.hash_key is not the key"):
        Worker(another, None)
