"""Mistakes of a mapping that are an error before the first event, and what a dry run shows of the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.errors import SettingsError, UnreachableError
from pipeline.sources.recorded.dry_run import dry_run
from pipeline.sources.recorded.open_files import read_files
from pipeline.sources.recorded.replay import replay
from pipeline.sources.recorded.report import ReplayReport

FIELDS: dict[str, Any] = {
    "id": {"from": "id"},
    "platform": "test",
    "kind": "post",
    "created_at": {"from": "at", "time": "iso"},
    "text": {"from": "text"},
    "rating": {"from": "stars"},
}
TOMORROW = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(folder: Path, rows: list[str], **fields: Any) -> Path:
    """rows.csv with columns id, at, text, stars; its mapping beside it."""
    document = {"events": [{"fields": {**FIELDS, **fields}}]}
    (folder / "rows.mapping.yaml").write_text(yaml.safe_dump(document), "utf-8")
    path = folder / "rows.csv"
    path.write_text("\n".join(["id,at,text,stars", *rows, ""]), "utf-8")
    return path


def read(path: Path, as_now: bool = False) -> list[Any]:
    return list(read_files([path], None, ReplayReport(), as_now))


def row(identifier: object = 1, at: str = "2026-01-01T00:00:00Z", text: str = "a", stars: str = "") -> str:
    return f"{identifier},{at},{text},{stars}"


# --- constants ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "constant", "says"),
    [
        ("platform", "Trustpilot", "write trustpilot"),
        ("platform", "Google Play", "write google_play"),
        ("platform", "X (Twitter)", "write x_twitter"),
        ("platform", "1st", "is no platform"),
        ("platform", "фейсбук", "is no platform"),
        ("platform", 5, "is no platform"),
        ("platform", "a" * 65, "is no platform"),
        ("platform", {"from": "text", "map": {"a": "Trustpilot"}}, "write trustpilot"),
        ("platform", {"switch": [{"then": "Trustpilot"}]}, "write trustpilot"),
        ("platform", {"first": [{"from": "text"}, "Trustpilot"]}, "write trustpilot"),
        ("kind", "Review", "is not one of post"),
        ("kind", {"from": "text", "map": {"a": "post"}, "else": "tweet"}, "is not one of post"),
        ("visibility", "friends", "is not one of public, private"),
        ("rating", "five", "'aaaa' is no number"),
        ("metrics.likes", 1.5, "is no whole number"),
        ("author.verified", "perhaps", "neither true nor false"),
        ("language", "no language", "is no language"),
        ("brands", ["a" * 501], "has more than 500 bytes"),
        ("source.name", "ü" * 251, "has more than 500 bytes"),
        ("created_at", "2026-01-01", "no time"),
        ("created_at", "1990-01-01T00:00:00Z", "outside 1995 to tomorrow"),
        pytest.param("created_at", TOMORROW, "outside 1995 to tomorrow", id="after tomorrow"),
        ("id", "1.2E+18", "lost their last digits"),
    ],
)
def test_a_constant_that_the_schema_refuses(tmp_path: Path, field: str, constant: object, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(write(tmp_path, [row()], **{field: constant}))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "rows.mapping.yaml"))
    assert says in message
    assert field in message
    assert "\n" not in message


def test_constants_that_pass(tmp_path: Path) -> None:
    constants = {"platform": "trust-pilot.2", "rating": 5, "brands": ["Acme"], "language": "English", "metrics.likes": "1,000"}
    (event,) = read(write(tmp_path, [row()], **constants))
    assert (event["language"], event["metrics"], event["rating"]) == ("en", {"likes": 1000}, 5.0)


# --- times ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "times",
    [
        ["1970-01-01T00:00:00Z", "1970-01-18T00:00:00Z"],
        ["1994-12-31T23:59:59Z"],
        [TOMORROW],
        ["0202-01-01T00:00:00Z", "9999-01-01T00:00:00Z"],
        ["1899-12-30T00:00:00Z"] * 1_000 + ["2026-01-01T00:00:00Z"],
    ],
)
def test_times_that_will_all_be_dead_letters(tmp_path: Path, times: list[str]) -> None:
    path = write(tmp_path, [row(n, at) for n, at in enumerate(times)])
    with pytest.raises(SettingsError, match=r"rows\.csv: created_at of the first .* dead letters"):
        read(path)
    assert len(read(path, as_now=True)) == len(times)


def test_one_time_that_passes_is_enough(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, [row(1, "1970-01-01T00:00:00Z"), row(2)]))) == 2


# --- ids ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [{}, {"id": "constant"}, {"id": {"from": "stars"}}, {"id": {"template": "x-{stars}"}}, {"id": {"hash": ["stars"]}}],
)
def test_an_id_that_is_the_same_in_every_row(tmp_path: Path, fields: dict[str, Any]) -> None:
    rows = [row(7, text=str(n), stars="5") for n in range(5)]
    with pytest.raises(SettingsError, match=r"rows\.csv: the first 5 posts have the same id .* hash: \[\.\.\.\]"):
        read(write(tmp_path, rows, **fields))


def test_the_first_thousand_rows_judge(tmp_path: Path) -> None:
    rows = [row(7, text=str(n)) for n in range(1_000)] + [row(8)]
    with pytest.raises(SettingsError, match="the first 1,000 posts"):
        read(write(tmp_path, rows))
    assert len(read(write(tmp_path, [row(8), *rows]))) == 1_002


def test_ids_that_may_repeat(tmp_path: Path) -> None:
    """One row, the same event again, an edit history, and an id that repeats beside others."""
    assert len(read(write(tmp_path, [row()]))) == 1
    assert len(read(write(tmp_path, [row(), row()]))) == 2
    assert len(read(write(tmp_path, [row(1), row(1, text="b"), row(2)]))) == 3
    update = {"operation": "update", "occurred_at": {"from": "at", "time": "iso"}}
    assert len(read(write(tmp_path, [row(), row(text="b")], **update))) == 2


def test_nothing_is_asked_of_the_broker_before_the_checks(tmp_path: Path) -> None:
    nowhere = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    path = write(tmp_path, [row(7, text=str(n)) for n in range(5)])
    with pytest.raises(SettingsError, match="the same id"):
        replay(nowhere, [path])
    with pytest.raises(UnreachableError):
        replay(nowhere, [write(tmp_path, [row(1), row(2)])])


# --- dry run --------------------------------------------------------------------------------------------------------
def test_a_dry_run_counts_what_a_replay_would_do(tmp_path: Path) -> None:
    rows = [
        row(1, "2026-01-01T00:00:00Z", "one", "4"),
        row(2, "2026-01-02T00:00:00+02:00", "two", "good"),
        row(1, "2026-01-01T00:00:00Z", "one", "4"),
        row(1, "2026-01-01T00:00:00Z", "another", "4"),
        row(3, "1990-01-01T00:00:00Z", "", "bad"),
        row(4, "yesterday"),
        row(5, "soon"),
        "6",
    ]
    run = dry_run([write(tmp_path, rows)])
    assert (run.report.rows, run.events, len(run.report.unmapped)) == (8, 5, 3)
    assert sorted(run.reasons.values()) == [1, 2]
    assert next(reason for reason, count in run.reasons.items() if count == 2).startswith("created_at: no time in '...'")
    assert dict(run.fill) == {"id": 5, "platform": 5, "kind": 5, "created_at": 5, "text": 4, "rating": 3}
    assert (run.report.left_out, run.report.first_left_out["rating"].line) == ({"rating": 2}, 3)
    assert (run.earliest, run.latest) == (datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 22, tzinfo=UTC))
    assert (run.untimely, run.duplicates, run.different) == (1, 2, 1)
    assert [event["id"] for event in run.first] == ["1", "2", "1", "1", "3"]


def test_a_dry_run_of_events_that_need_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"id":"1","platform":"a","created_at":"2026-01-01T00:00:00Z","author":{"id":"x"}}\n{broken\n[]\n', "utf-8")
    run = dry_run([path])
    assert (run.events, run.broken, run.untimely, run.filled["author.id"]) == (1, 2, 0, 1)
