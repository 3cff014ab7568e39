"""Rematch, against the real engine: what it changes, what it leaves alone, and what happens when it is killed or not alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import SentimentSettings, Settings
from pipeline.errors import EarshotError
from pipeline.maintenance import rematch as module
from pipeline.maintenance import scan
from pipeline.maintenance.rematch import rematch
from pipeline.migrate import migrate
from schemas import events
from tests.support.worker import wait_for

START = datetime(2026, 9, 1, 10, tzinfo=UTC)
VERSION = 1_790_000_000_000 << events.TIME_SHIFT
COLUMNS = (
    "event_key", "revision", "version", "is_deleted", "id", "platform", "created_at", "ingested_at",
    "text", "mentions", "brands", "brands_given", "metrics_likes", "author_verified", "language",
)  # fmt: skip


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pass leaves to the next lands at once in these tests."""
    monkeypatch.setattr(module, "PAUSE_S", 0)


@pytest.fixture
def tracked(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"brands": tmp_path / "brands.yaml"})


def track(settings: Settings, *brands: dict[str, Any]) -> None:
    assert settings.brands is not None
    settings.brands.write_text(yaml.safe_dump({"brands": list(brands)}))


def row(number: int, text: str, brands: list[str], given: list[str] | None = None, **more: Any) -> list[Any]:
    values: dict[str, Any] = {
        "event_key": number, "revision": number + 1_000_000, "version": VERSION, "is_deleted": 0, "id": str(number),
        "platform": "x", "created_at": START + timedelta(hours=20 * number), "ingested_at": START, "text": text, "mentions": [],
        "brands": brands, "brands_given": given or [], "metrics_likes": number if number % 2 else None,
        "author_verified": None, "language": "en",
    }  # fmt: skip
    return [(values | more)[column] for column in COLUMNS]


def insert(client: Client, *rows: list[Any]) -> None:
    client.insert("interactions", rows, COLUMNS)


def final(client: Client) -> dict[int, tuple[list[str], int]]:
    """Brands and version (above the first) of each row that is there."""
    rows = client.query(f"SELECT event_key, brands, version - {VERSION} FROM interactions FINAL").result_rows
    return {key: (list(brands), version) for key, brands, version in rows}


def others(client: Client) -> list[Any]:
    """All but what a rematch may change."""
    return list(client.query("SELECT * EXCEPT (brands, version) FROM interactions FINAL ORDER BY event_key").result_rows)


ROWS = [
    row(1, "an Äcme kettle", []),
    row(2, "acme", ["Acme"]),
    row(3, "acme street", ["Acme", "Bolt"]),
    row(4, "nothing", ["Acme"]),
    row(5, "a review", ["Acme"], ["Acme"]),
    row(6, "a bolt", ["Old"]),
    row(7, "", ["Given"], ["Given"], mentions=["ACME_US"]),
    row(8, "acme\n\nKettles it's \\ 'quoted'", ["It's \\ quoted"], ["It's \\ quoted"]),
    row(9, "acmeish", []),
    row(10, "ａｃｍｅ", []),
]
ACME = {"name": "Acme", "handles": ["@acme_us"], "keywords": ["acme"], "exclude": ["acme street"]}
AFTER = {
    1: (["Acme"], 2),
    2: (["Acme"], 0),
    3: (["Bolt"], 2),
    4: ([], 2),
    5: (["Acme"], 0),
    6: (["Old"], 0),
    7: (["Acme", "Given"], 2),
    8: (["Acme", "It's \\ quoted"], 2),
    9: ([], 0),
    10: (["Acme"], 2),
}


def test_rows_gain_and_lose_a_brand_and_keep_all_else(tracked: Settings, client: Client) -> None:
    track(tracked, ACME, {"name": "Bolt", "keywords": ["bolt"]})
    insert(client, *ROWS)
    before, untouched = final(client), others(client)
    planned = rematch(tracked, ["Acme"], dry_run=True)
    assert (planned.rows, planned.gained["Acme"], planned.lost["Acme"]) == (6, 4, 2)
    assert final(client) == before
    assert rematch(tracked, ["Acme"]) == planned
    assert final(client) == AFTER
    assert others(client) == untouched
    assert rematch(tracked, ["Acme", "Acme"]).rows == 0
    both = rematch(tracked, ["Acme", "Bolt"])
    assert (both.gained, both.lost) == ({"Acme": 0, "Bolt": 1}, {"Acme": 0, "Bolt": 1})
    assert final(client)[3] == ([], 4)
    assert final(client)[6] == (["Bolt", "Old"], 2)


def test_a_brand_that_left_the_file_leaves_where_it_was_found(tracked: Settings, client: Client) -> None:
    track(tracked, {"name": "Bolt"})
    insert(client, *ROWS)
    assert rematch(tracked, ["Acme"]).lost["Acme"] == 3
    assert {key for key, (brands, _) in final(client).items() if "Acme" in brands} == {5}
    with pytest.raises(EarshotError, match="no brand is named 'Acmee'"):
        rematch(tracked, ["Acmee"])


def test_only_the_newest_versions_count_and_what_is_deleted_stays_so(tracked: Settings, client: Client) -> None:
    track(tracked, ACME)
    insert(client, row(1, "acme", []), row(2, "acme", []), row(3, "first", []))
    insert(client, row(1, "", ["Acme"], is_deleted=1, version=VERSION + 9), row(3, "acme", [], version=VERSION + 32))
    raw = client.command("SELECT count() FROM interactions WHERE event_key = 1")
    assert rematch(tracked, ["Acme"]).rows == 2
    assert final(client) == {2: (["Acme"], 2), 3: (["Acme"], 34)}
    assert client.command("SELECT count() FROM interactions WHERE event_key = 1") == raw


def test_since_leaves_older_rows_alone(tracked: Settings, client: Client) -> None:
    track(tracked, ACME)
    insert(client, *(row(number, "acme", []) for number in range(4)))
    assert rematch(tracked, ["Acme"], since=START + timedelta(hours=40)).rows == 2
    assert [brands for _, (brands, _) in sorted(final(client).items())] == [[], [], ["Acme"], ["Acme"]]


def test_in_many_chunks_and_terms(tracked: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHUNK_ROWS", 7)
    monkeypatch.setattr(module, "WRITTEN_AT_ONCE", 2)
    words = [f"word{number}" for number in range(600)]
    track(tracked, {"name": "Many", "keywords": words}, {"name": "日本", "keywords": ["日本"]})
    places = [START + timedelta(seconds=9 * number) for number in range(60)]
    insert(client, *(row(n, f"so WORD{n * 10}, 日本", [], created_at=at) for n, at in enumerate(places)))
    told: list[tuple[int, int]] = []
    done = rematch(tracked, ["Many", "日本"], progress=lambda gone, total: told.append((gone, total)))
    assert (done.rows, done.gained) == (60, {"Many": 60, "日本": 60})
    assert told[0] == (0, 60) and told[-1] == (60, 60) and len(told) > 3
    assert set(map(str, final(client).values())) == {"(['Many', '日本'], 2)"}


def test_an_edit_between_look_and_write_wins(tracked: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker completes a change from the row that the rematch has just looked at; it lands before, or after."""
    track(tracked, ACME)
    insert(client, *(row(number, "acme", []) for number in range(4)))
    now = datetime.now(UTC)
    edits = [
        row(0, "edited away", [], revision=7, version=VERSION + 32, ingested_at=now),
        row(1, "acme, likes only", [], revision=8, version=VERSION + 32, ingested_at=now),
    ]
    changed = module._Rematch._changed
    looks = 0

    def meddle(self: Any, rows: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            insert(client, *edits)
        return changed(self, rows)

    monkeypatch.setattr(module._Rematch, "_changed", meddle)
    rematch(tracked, ["Acme"])
    assert final(client) == {0: ([], 32), 1: (["Acme"], 34), 2: (["Acme"], 2), 3: (["Acme"], 2)}
    assert looks >= 3, "it looked again at what had arrived, until nothing changed"


def test_what_gains_its_first_brand_is_to_be_labelled(tracked: Settings, client: Client) -> None:
    """It was never asked for; what has a label keeps it, what lost its last brand need not be labelled any more."""
    track(tracked, ACME)
    names = (*COLUMNS, "direction", "sentiment_status")
    rows = [
        [*row(0, "acme", []), "inbound", ""],
        [*row(1, "acme", []), "outbound", ""],
        [*row(2, "acme", []), "", "labelled"],
        [*row(3, "", [], mentions=["acme_us"]), "", ""],
        [*row(4, "acme", ["Bolt"], ["Bolt"]), "", "unknown"],
        [*row(5, "nothing", ["Acme"]), "", "deferred"],
        [*row(6, "nothing", ["Acme"]), "", "labelled"],
        [*row(7, "acme", ["Acme"]), "", ""],
    ]
    client.insert("interactions", rows, names)
    rematch(tracked.model_copy(update={"sentiment": SentimentSettings(model="any")}), ["Acme"])
    found = client.query("SELECT event_key, sentiment_status, version - {v:UInt64} FROM interactions FINAL", {"v": VERSION})
    assert {key: (status, version) for key, status, version in found.result_rows} == {
        0: ("deferred", 2), 1: ("", 2), 2: ("labelled", 2), 3: ("", 2), 4: ("unknown", 2), 5: ("", 2), 6: ("labelled", 2),
        7: ("", 0),
    }  # fmt: skip
    client.command("TRUNCATE TABLE interactions")
    client.insert("interactions", rows[:1], names)
    rematch(tracked.model_copy(update={"sentiment": SentimentSettings(model="off")}), ["Acme"])
    assert client.command("SELECT sentiment_status FROM interactions FINAL") == ""


def test_a_label_between_look_and_write_stays(tracked: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    track(tracked, ACME)
    insert(client, row(0, "acme", []))
    changed = module._Rematch._changed

    def meddle(self: Any, rows: Any) -> Any:
        client.insert("interactions", [[*row(0, "acme", [], version=VERSION + 1), "labelled"]], (*COLUMNS, "sentiment_status"))
        return changed(self, rows)

    monkeypatch.setattr(module._Rematch, "_changed", meddle)
    rematch(tracked, ["Acme"])
    found = client.query("SELECT brands, sentiment_status, version - {v:UInt64} FROM interactions FINAL", {"v": VERSION})
    assert found.result_rows == [(["Acme"], "labelled", 3)]


def test_workers_with_other_brands_are_noticed(tracked: Settings, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    track(tracked, ACME)
    numbers = iter(range(100))
    insert(client, row(next(numbers), "acme", []))
    chunk = module._Rematch._chunk

    def meddle(self: Any, *arguments: Any) -> None:
        chunk(self, *arguments)
        insert(client, row(next(numbers), "acme", [], created_at=START, ingested_at=datetime.now(UTC)))

    monkeypatch.setattr(module._Rematch, "_chunk", meddle)
    with pytest.raises(EarshotError, match="does one run with another file"):
        rematch(tracked, ["Acme"])


def test_killed_in_the_middle_and_done_again(tracked: Settings, client: Client) -> None:
    """A third of many rows is to change; killed as soon as some are changed, then run to the end."""
    migrate(tracked)  # the command tells topic signals
    track(tracked, ACME)
    client.command(
        "INSERT INTO interactions (event_key, revision, version, id, platform, created_at, text) "
        f"SELECT number, number + 1, {VERSION}, toString(number), 'x', "
        "toDateTime64('2026-09-01 10:00:00', 3, 'UTC') + number % 5000, number % 3 = 0 ? 'acme' : 'nothing at all' "
        "FROM numbers(300000)"
    )
    command = [sys.executable, "-m", "pipeline.cli", "rematch", "--brand", "Acme"]
    environ = child_environment(tracked)
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    changed = "SELECT count() FROM interactions WHERE has(brands, 'Acme')"
    try:
        wait_for("rows change", lambda: int(str(client.command(changed))) > 0 or process.poll() is not None, every=0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, errors
    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    rest = re.search(r"([\d,]+) rows changed", again.stdout)
    assert rest and 0 < int(rest[1].replace(",", "")) < 100_000
    right = f"countIf(has(brands, 'Acme') = (text = 'acme')), countIf(version = {VERSION} + 2 * (text = 'acme'))"
    counts = f"SELECT count(), {right}, countIf(revision = event_key + 1) FROM interactions FINAL"
    assert client.query(counts).result_rows == [(300_000,) * 4]
