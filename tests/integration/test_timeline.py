"""`earshot query timeline`: all that a customer's accounts did, at once after a link, and nothing that is gone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, SettingsError, UnknownName
from pipeline.maintenance import rematch as rematching
from pipeline.maintenance.check import check_accounts
from pipeline.maintenance.reconcile import reconcile
from pipeline.maintenance.rematch import rematch
from pipeline.maintenance.rescore import rescore
from pipeline.processors.sentiment.memory import MemoryLabeller, label_of
from pipeline.queries.identity.names import profile_key
from pipeline.queries.timeline import Timeline, timeline
from schemas.identity import account_key
from tests.support.commands import Run

START = datetime(2026, 8, 31, 23, 59, 30, tzinfo=UTC)
COLUMNS = (
    "event_key",
    "version",
    "is_deleted",
    "platform",
    "author_id",
    "author_handle",
    "created_at",
    "text",
    "id",
    "direction",
)
ANN, BEN, EVE = (account_key("x", author) for author in ("ann", "ben", "eve"))


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def row(key: int, author: str = "ann", version: int = 1, deleted: int = 0, text: str = "", handle: str = "") -> list[Any]:
    """One each ten seconds, over the end of a month."""
    at = START + timedelta(seconds=10 * key)
    return [key, version, deleted, "x", author, handle, at, text or f"text {key}", str(key), "inbound"]


def insert(client: Client, *rows: list[Any]) -> None:
    client.insert("interactions", rows, COLUMNS)


def assign(client: Client, *moves: tuple[int, int]) -> None:
    """(profile, customer), in order of time: a day each."""
    for sequence, (profile, customer) in enumerate(moves, 1):
        client.command(f"INSERT INTO assignments VALUES ({profile}, {customer}, {sequence}, {int(profile == customer)})")
        at = f"2026-09-{sequence:02} 00:00:00"
        client.command(f"INSERT INTO assignment_changes VALUES ({sequence}, {profile}, 0, {customer}, 0, '{at}')")


def texts(found: Timeline) -> list[str]:
    return found.events.get_column("text").to_list()


def numbered(keys: Sequence[int]) -> list[str]:
    return [f"text {key}" for key in keys]


def test_all_accounts_of_the_customer_newest_first_as_soon_as_they_are_linked(client: Client) -> None:
    insert(client, *(row(key, ("ann", "ben", "eve")[key % 3]) for key in range(30)))
    alone = timeline(client, ANN, 200)
    assert (alone.customer, alone.profiles, texts(alone)) == (ANN, [ANN], numbered(range(27, -1, -3)))
    assign(client, (BEN, ANN))
    for profile in (ANN, BEN):
        both = timeline(client, profile, 7)
        assert (both.customer, both.profiles) == (ANN, sorted([ANN, BEN]))
        assert texts(both) == numbered([28, 27, 25, 24, 22, 21, 19])
    assert set(both.events.get_column("account_key")) == {ANN, BEN}
    assign(client, (BEN, ANN), (BEN, BEN))
    assert timeline(client, BEN, 200).profiles == [BEN]


def test_what_is_deleted_or_changed_is_not_shown_and_the_rest_is_found_behind_it(client: Client) -> None:
    client.command("SYSTEM STOP MERGES")
    insert(client, *(row(key, ("ann", "ben")[key % 2]) for key in range(40)))
    insert(client, *(row(key, "", version=2, deleted=1, text="gone") for key in range(20, 40)))
    insert(client, row(19, "eve", version=2), row(18, version=2, text="edited"), row(17, "ben", version=2))
    insert(client, row(17, "ben", version=3, deleted=1))  # moved: it keeps its author
    assign(client, (BEN, ANN))
    assert texts(timeline(client, ANN, 5)) == ["edited", *numbered([16, 15, 14, 13])]
    assert texts(timeline(client, ANN, 200)) == ["edited", *numbered(range(16, -1, -1))]
    assert texts(timeline(client, EVE, 5)) == numbered([19])
    client.command("SYSTEM START MERGES")
    insert(client, *(row(key, "gone") for key in range(3)))
    insert(client, *(row(key, "", version=2, deleted=1) for key in range(3)))
    with pytest.raises(UnknownName, match="^no event of account [0-9a-f]{16} is stored$"):
        timeline(client, account_key("x", "gone"), 5)


def test_as_known_at_a_time(client: Client) -> None:
    insert(client, *(row(key, ("ann", "ben", "eve")[key % 3]) for key in range(6)))
    assign(client, (BEN, ANN), (EVE, ANN), (BEN, BEN), (ANN, EVE), (EVE, EVE))
    known = {}
    for day in range(1, 5):
        found = timeline(client, ANN, 200, datetime(2026, 9, day, 12, tzinfo=UTC))
        known[day] = found.customer, set(found.profiles)
        assert len(texts(found)) == 2 * len(found.profiles)
    assert known == {1: (ANN, {ANN, BEN}), 2: (ANN, {ANN, BEN, EVE}), 3: (ANN, {ANN, EVE}), 4: (EVE, {ANN, EVE})}
    # Events until then, too: the next one happened at midnight.
    assert texts(timeline(client, ANN, 200, START + timedelta(seconds=29))) == numbered([0])
    with pytest.raises(UnknownName, match="^no event of account [0-9a-f]{16} of 2026-08-01T00:00:00Z or before is stored$"):
        timeline(client, ANN, 200, datetime(2026, 8, 1, tzinfo=UTC))


def test_an_account_is_named_by_its_key_its_id_or_its_handle(client: Client) -> None:
    insert(client, row(1, "ann", handle="@Ann_1"), row(2, "ben", handle="both"), row(3, "eve", handle="@Both"))
    insert(client, row(4, "", handle="Ines"))
    insert(client, row(5, "eva\nearshot: forged", handle="both"))
    ask = asker(client)

    def key(text: str) -> int:
        return profile_key(lambda sql: ask(sql, {}), text)

    assert key(f"{ANN:016X}") == ANN == key("x:ann") == key("X:ann") == key("x:@ann_1")
    assert key("x:@INES") == account_key("x", None, "ines")
    with pytest.raises(EarshotError, match="^x:@both is several profiles: .*x:ben \\(last seen 2026-08-31\\)") as several:
        key("x:@both")
    assert "\n" not in str(several.value) and "forged" in str(several.value)
    with pytest.raises(UnknownName, match="^no event of account [0-9a-f]{16} is stored$"):
        timeline(client, key("x:@nobody"), 200)
    for text in ("ann", "x:", "x:@", "", "123", ":ann"):
        with pytest.raises(SettingsError, match="names no profile: write platform:id"):
            key(text)


def test_the_command_prints_it_for_people_and_for_programs(stacked: Run, client: Client) -> None:
    insert(client, row(1, handle="ann", text='=1+1, \x1b[31m\nand "more"'), row(2, "ben", handle="ben", text="ß" * 300))
    assign(client, (BEN, ANN))
    shown = stacked("query", "timeline", "--customer", "x:@ben")
    assert shown.code == 0 and f"customer {ANN:016x}: 2 accounts" in shown.out and "\x1b" not in shown.out
    lines = [line for line in shown.out.splitlines() if "2026-0" in line]
    assert [line.split("│")[2].strip() for line in lines] == ["x", "x"] and "…" in lines[0] and 'and "more"' in lines[1]
    as_json = [
        json.loads(line) for line in stacked("query", "timeline", "--customer", "x:ann", "--format", "json").out.splitlines()
    ]
    assert [(each["account_key"], each["id"], each["created_at"]) for each in as_json] == [
        (f"{BEN:016x}", "2", "2026-08-31 23:59:50.000"),
        (f"{ANN:016x}", "1", "2026-08-31 23:59:40.000"),
    ]
    as_csv = list(
        csv.DictReader(stacked("query", "timeline", "--customer", "x:ann", "--format", "csv", "--limit", "1").out.splitlines())
    )
    assert [each["text"] for each in as_csv] == ["ß" * 300]
    then = stacked("query", "timeline", "--customer", "x:ann", "--as-of", "2026-08-31T23:59:45Z", "--format", "csv").out
    assert "'=1+1" in then and f"{BEN:016x}" not in then
    for arguments, said in {
        ("timeline",): "timeline needs --customer",
        ("latest", "--customer", "x:ann"): "--customer goes with query customer or timeline",
        ("timeline", "--customer", "x:ann", "--as-of", "soon"): "--as-of soon: it should look like",
    }.items():
        done = stacked("query", *arguments)
        assert done.code == 2 and said in done.err


def test_new_versions_of_rows_keep_what_identity_wrote_and_their_place(
    settings: Settings, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of rematch, rescore and reconcile."""
    monkeypatch.setattr(rematching, "PAUSE_S", 0)
    names = [*COLUMNS, "revision", "kind", "operation", "author_accounts", "customer_key", "brands", "landed_at", "ingested_at"]
    rows = []
    for key in range(1, 5):
        landed = START + timedelta(days=key)
        rows.append([*row(key, text="acme is fine"), 1000 + key, "post", "create", ["vk:ann"], 70 + key, [], landed, landed])
    again = list(rows[2])
    again[6], again[10:11], again[-2:] = again[6] + timedelta(days=40), [2003], [again[-1] + timedelta(days=50)] * 2
    client.insert("interactions", [*rows, again], names)

    brands = tmp_path / "brands.yaml"
    brands.write_text("brands: [{name: Acme, keywords: [acme]}]")
    labeller = MemoryLabeller()
    assert rematch(settings.model_copy(update={"brands": brands}), ["Acme"]).rows == 5
    assert rescore(settings.clickhouse, labeller).rows == 5
    assert reconcile(settings.clickhouse, settle_s=0.01).rows == 1

    kept = "SELECT event_key, author_accounts, customer_key, account_key FROM interactions FINAL ORDER BY event_key"
    assert [list(each) for each in client.query(kept).result_rows] == [[key, ["vk:ann"], 70 + key, ANN] for key in range(1, 5)]
    found = timeline(client, ANN, 200)
    assert found.events.get_column("event_key").to_list() == [4, 3, 2, 1]
    assert set(found.events.get_column("sentiment_label")) == {label_of("acme is fine")}
    assert not sum(hour.missing for hour in check_accounts(settings.clickhouse, pause_s=0.01))
    check_accounts(settings.clickhouse, repair=True, pause_s=0.01)
    assert client.query("SELECT event_key FROM account_events FINAL ORDER BY event_key").result_columns == [[1, 2, 3, 4]]
