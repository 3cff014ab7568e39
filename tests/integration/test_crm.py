"""`earshot crm import` against the real Kafka and ClickHouse: what it stores, and what a second one changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import frame
from pipeline.config.environment import variables
from pipeline.config.keys import DataKeys
from pipeline.config.settings import Settings
from pipeline.identity.encryption import Encryption
from pipeline.identity.rules_file import RulesFile
from pipeline.processors.privacy import Pseudonymise
from pipeline.sources.crm import rows
from schemas.contacts import DEFAULT
from schemas.evidence import parse
from schemas.identity import account_key
from tests.support.commands import Run, set_variables
from tests.support.topics import read_topic
from tests.support.worker import wait_for

KEY = "5eed" * 16
MAP = [part for field in ("id", "name", "email", "phone", "accounts") for part in ("--map", f"{field}={field}")]
EDGE = ["edge", "basis", "at", "rule", "claimed"]


@pytest.fixture
def settings(emptied: Settings, stacked: Run, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = emptied.model_copy(
        update={"privacy": emptied.privacy.model_copy(update={"data_key": SecretStr(KEY), "region": "DE"})}
    )
    set_variables(monkeypatch, settings)
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def stored(client: Client) -> pl.DataFrame:
    return frame(client, "SELECT * EXCEPT imported_at FROM customers FINAL ORDER BY id", {}, {})


def evidence(settings: Settings) -> pl.DataFrame:
    records = [parse(message.value() or b"") for message in read_topic(settings.kafka, settings.kafka.topic("identity"))]
    assert all(imported for _, imported in records)
    return pl.concat([edges for edges, _ in records])


def test_an_import_is_stored_encrypted_and_gives_evidence_once(stacked: Run, settings: Settings, client: Client) -> None:
    file = Path("crm.csv")
    file.write_text(
        "id,name,email,phone,accounts\n"
        "1,Jane Müller,Jane@Example.org,030 901820,shop:17 twitter:@Jane\n"
        "2,Bob,info@example.org,,\n"
        "3,,hotel@example.org,+49 30 5550000,\n"
        "4,Zoe,broken,,\n"
    )
    os.utime(file, (1_700_000_000, 1_700_000_000))
    hashes = Pseudonymise(settings.privacy.hash_key.get_secret_value().encode(), "DE", DEFAULT).hashes
    rules = RulesFile.model_validate({"blocked": {"emails": ["hotel@example.org"]}}).kept(hashes)
    client.insert("identity_rules", [(4, rules.model_dump_json(), "ines")], column_names=("version", "rules", "by"))

    looked = stacked("crm", "import", "crm.csv", *MAP, "--basis", "given", "--dry-run")
    assert (looked.code, "customers 3 would be imported" in looked.out, client.command("SELECT count() FROM customers")) == (
        *(1, True, 0),
    ), looked
    done = stacked("crm", "import", "crm.csv", *MAP, "--basis", "given", "--left-out", "left.txt")
    assert done.code == 1 and "left out crm.csv:5: email: 'aaaaaa' is no e-mail address" in done.err, done
    assert Path("left.txt").read_text() == "crm.csv:5: email: 'aaaaaa' is no e-mail address\n"
    assert done.out.splitlines() == [
        "name 2  email 3  phone 2  accounts 1  handles 1",
        "email that names nobody 2",
        "rows 4  repeated 0  left out 1  customers 3 imported  evidence 5",
    ]

    table, first = stored(client), evidence(settings)
    encryption = Encryption(DataKeys((KEY,)))
    for name, texts in (
        ("name", ["Jane Müller", "Bob", ""]),
        ("email", ["Jane@Example.org", "info@example.org", "hotel@example.org"]),
        ("phone", ["030 901820", "", "+49 30 5550000"]),
    ):
        pairs = list(table.select("profile", name).iter_rows())
        assert [encryption.decrypt(profile, name, text) for profile, text in pairs] == texts
        assert not any(clear and clear in text for clear, (_, text) in zip(texts, pairs, strict=True))
    assert table.get_column("profile").to_list() == [account_key("crm", each) for each in "123"]
    assert table.get_column("email_hash").to_list() == [*hashes("author_email", ["jane@example.org"]), "", ""]
    assert table.get_column("phone_hash").to_list() == [
        *hashes("author_phone", ["+493090 1820"]), "", *hashes("author_phone", ["+49305550000"])
    ]  # fmt: skip
    assert set(table.get_column("basis")) == {"given"}
    assert first.select("at", "rule_version").unique().rows() == [(1_700_000_000_000, 4)]

    assert stacked("crm", "import", "crm.csv", *MAP, "--basis", "given").code == 1
    assert evidence(settings).select(EDGE).unique().sort(EDGE).equals(first.select(EDGE).sort(EDGE))
    assert stored(client).drop("name", "email", "phone").equals(table.drop("name", "email", "phone"))

    before = len(evidence(settings))
    keys = [["account", account_key("crm", "2"), ""], ["value", 0, hashes("author_email", ["jane@example.org"])[0]]]
    client.insert("suppressions", keys, column_names=["kind", "key", "value"])
    client.command("TRUNCATE TABLE customers")
    done = stacked("crm", "import", "crm.csv", *MAP, "--basis", "given")
    assert "2 records are of persons who were erased, by id, address or number: left out" in done.err
    assert stored(client).get_column("id").to_list() == ["3"]
    assert set(evidence(settings)[before:].get_column("a")) == {account_key("crm", "3")}


def test_numbers_that_only_meet_their_own_writing_are_counted(run: Run) -> None:
    Path("crm.csv").write_text("id,phone\n1,030 901820\n2,+49 30 901820\n3,0049 30 901820\n4,\n")
    dry = ("crm", "import", "crm.csv", "--map", "id=id", "--map", "phone=phone", "--basis", "given", "--dry-run")
    assert "crm.csv: 2 numbers have no + before them, and setting privacy.region names no country" in run(*dry).err


def test_another_key_or_none_writes_nothing(
    stacked: Run, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("crm.csv").write_text("id,name,email,phone,accounts\n1,Jane,,,\n")
    assert stacked("crm", "import", "crm.csv", *MAP, "--basis", "given").code == 0
    before = client.query("SELECT * FROM customers").result_rows
    for name, value, said in (
        ("DATA_KEY", "", "setting privacy.data_key is missing"),
        ("DATA_KEY", "secret", "setting privacy.data_key: it is no key"),
        ("DATA_KEY", "f" * 64, "setting privacy.data_key is not the key"),
        ("HASH_KEY", "not the first", "setting privacy.hash_key is not the key"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(f"EARSHOT_PRIVACY__{name}", value)
            done = stacked("crm", "import", "crm.csv", *MAP, "--basis", "given")
        assert (done.code, done.err.count("\n"), said in done.err) == (2, 1, True), done
        assert not value or value not in done.err
    assert client.query("SELECT * FROM customers").result_rows == before


def test_killed_half_way_and_run_again_no_record_or_edge_is_there_twice(
    stacked: Run, settings: Settings, client: Client, tmp_path: Path
) -> None:
    count = 4 * rows.CHUNK
    file = tmp_path / "crm.csv"
    lines = (f"{n},Name {n},user{n}@x.example,,shop:{n} twitter:@u{n}\n" for n in range(count))
    file.write_text("id,name,email,phone,accounts\n" + "".join(lines))
    command = ["crm", "import", str(file), *MAP, "--basis", "consent"]
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *command], env={**os.environ, **variables(settings)}, stderr=subprocess.DEVNULL
    )
    wait_for("two chunks", lambda: int(str(client.command("SELECT count() FROM customers"))) > rows.CHUNK)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    there = int(str(client.command("SELECT count() FROM customers")))
    assert rows.CHUNK < there < count

    done = stacked(*command)
    assert (done.code, f"customers {count:,} imported" in done.out) == (0, True), done
    table = stored(client)
    assert table.height == count == table.get_column("id").n_unique()
    found = evidence(settings)
    assert found.height > 3 * count, "something was sent twice"
    assert found.select(EDGE).unique().height == 3 * count == found.get_column("edge").n_unique()
    sample = table.row(count // 2, named=True)
    assert Encryption(DataKeys((KEY,))).decrypt(sample["profile"], "name", sample["name"]) == f"Name {sample['id']}"
