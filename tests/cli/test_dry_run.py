"""`earshot replay --dry-run`, and exit codes of a replay that maps nothing: no broker is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import Run, run

__all__ = ["run"]

MAPPING = """
events:
  - fields:
      id: {from: id}
      platform: test
      kind: post
      created_at: {from: at, time: iso}
      text: {from: text}
      rating: {from: stars}
"""


def write(rows: str, mapping: str = MAPPING) -> None:
    Path("rows.csv").write_text(f"id,at,text,stars\n{rows}", "utf-8")
    Path("rows.mapping.yaml").write_text(mapping, "utf-8")


def test_a_dry_run_shows_events_and_figures(run: Run) -> None:
    write("".join(f"{n},2026-01-{n:02d}T00:00:00Z,text {n},{n if n < 20 else 'many'}\n" for n in range(1, 29)) + "x,never,y,\n")
    done = run("replay", "rows.csv", "--dry-run")
    assert done.code == 0
    events = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    assert [event["id"] for event in events] == [str(n) for n in range(1, 21)]
    assert "rows 29  events 28  unmapped 1  nothing is sent" in done.out
    assert "times 2026-01-01 00:00 to 2026-01-28 00:00 UTC" in done.out
    assert "duplicates by id 0" in done.out
    fill = next(line for line in done.out.splitlines() if line.startswith("│ rating"))
    assert [cell.strip() for cell in fill.strip("│").split("│")] == ["rating", "19", "67.9%", "9"]
    assert done.err.splitlines()[:2] == [
        "unmapped rows.csv:30: created_at: no time in 'aaaaa': it is not in ISO 8601 (from at)",
        "left out rating, 9 times, first: rows.csv:21: rating: 'aaaa' is no number (from stars)",
    ]
    assert done.err.splitlines()[2].startswith("not compared with stored events: ClickHouse at ")


@pytest.mark.parametrize("rows", ["1,never,x,\n", "1.5E+18,2026-01-01T00:00:00Z,x,\n", "1\n2\n"])
def test_nothing_mapped_is_exit_code_1(run: Run, rows: str) -> None:
    write(rows)
    done = run("replay", "rows.csv", "--dry-run")
    assert done.code == 1
    assert "rows.csv: no row of it has an event" in done.err


def test_a_file_without_rows_is_no_failure(run: Run) -> None:
    write("")
    assert run("replay", "rows.csv", "--dry-run").code == 0


def test_a_mistake_of_the_mapping_is_one_line(run: Run) -> None:
    write("1,2026-01-01T00:00:00Z,x,\n", MAPPING.replace("platform: test", "platform: Trustpilot"))
    done = run("replay", "rows.csv")
    assert done.code == 2
    assert len(done.err.split("\n")) <= 3 and len(done.err.strip().splitlines()) == 1
    assert "write trustpilot" in done.err


def test_unmapped_rows_go_to_a_file(run: Run) -> None:
    write("1,never,secret words,\n2,2026-01-01T00:00:00Z,x,\n")
    assert run("replay", "rows.csv", "--dry-run", "--unmapped", "u.txt").code == 0
    assert Path("u.txt").read_text() == "rows.csv:2: created_at: no time in 'aaaaa': it is not in ISO 8601 (from at)\n"


def test_a_dry_run_has_no_pace(run: Run) -> None:
    write("")
    assert run("replay", "rows.csv", "--dry-run", "--rate", "5").code == 2


def test_the_name_of_a_file_is_no_line_and_no_markup(run: Run) -> None:
    write("1,never,x,\n")
    name = "a[b]\x1b[2J\nrows 9  events 9.csv"
    Path("rows.csv").rename(name)
    done = run("replay", name, "--dry-run", "--mapping", "rows.mapping.yaml")
    assert done.code == 1
    assert "unmapped a[b]\\x1b[2J\\nrows 9  events 9.csv:2: created_at" in done.err
    assert "\nrows 9" not in done.out + done.err and "\x1b" not in done.out + done.err
