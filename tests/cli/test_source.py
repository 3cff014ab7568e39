"""`earshot source`, and what `earshot status` says of listeners: what people read, and the exit codes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from tests.support.commands import Done, Run, set_variables
from tests.support.listener import listening, start_listener, write_sources
from tests.support.oracle import connect
from tests.support.rss_server import RssServer
from tests.support.worker import wait_for

NAMED = ["show", "check", "pause", "resume"]
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture
def feed() -> Iterator[RssServer]:
    server = RssServer()
    server.world.post(1, time.time() - 60, "the kettle \u202eleaks")
    with server.running():
        yield server


@pytest.fixture
def sources(tmp_path: Path, feed: RssServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Feeds `blog` and `news`, and `secret`, whose credential is not there."""
    path = tmp_path / "sources.yaml"
    feeds: list[dict[str, object]] = [
        {"name": name, "platform": "rss", "url": f"{feed.url}/feed/{name}", "every": "1s"} for name in ("blog", "news")
    ]
    write_sources(path, [*feeds, {**feeds[0], "name": "secret", "token_env": "NOT_SET"}])
    monkeypatch.setenv("EARSHOT_SOURCES", str(path))
    monkeypatch.setenv("EARSHOT_LISTEN__PORT", str(free_port()))
    return path


def one_line(done: Done) -> str:
    """What it says of an error."""
    assert (done.out, done.err.count("\n"), done.err[:9]) == ("", 1, "earshot: ")
    return done.err.strip()


def table_of(done: Done) -> dict[str, list[str]]:
    """The cells of the table's rows, by the first one."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if line.startswith("│")]
    return {row[0]: row[1:] for row in rows}


# --- without a stack --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["list", *(f"{name} blog" for name in NAMED)])
def test_without_sources_one_line_says_so(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("source", *command.split())
    assert (done.code, one_line(done)) == (2, "earshot: setting sources names no file: set EARSHOT_SOURCES (docs/sources.md)")
    monkeypatch.setenv("EARSHOT_SOURCES", "nowhere.yaml")
    done = run("source", *command.split())
    assert done.code == 2 and "nowhere.yaml: No such file" in one_line(done)


@pytest.mark.parametrize("command", NAMED)
def test_a_wrong_name_is_told_the_nearest_one(run: Run, command: str, sources: Path) -> None:
    done = run("source", command, "blg")
    assert (done.code, one_line(done)) == (1, f"earshot: {sources} has no source 'blg', did you mean 'blog'?")


@pytest.mark.parametrize("command", ["list", "show blog", "pause blog", "resume blog"])
def test_without_clickhouse_one_line_names_the_url(run: Run, command: str, sources: Path) -> None:
    done = run("source", *command.split())
    assert done.code == 3 and one_line(done).endswith(", user default: Connection refused")


def test_check_shows_what_it_found_and_an_event(run: Run, feed: RssServer, sources: Path) -> None:
    done = run("source", "check", "blog")
    found, _, event = done.out.partition("\n")
    assert (done.code, done.err, found) == (0, "", f"{feed.url}/feed/blog: 1 entries")
    assert json.loads(event)["text"] == "the kettle \u202eleaks"


@pytest.mark.parametrize(("text", "drops"), [("the kettle leaks", True), ("the kettle of Northwind leaks", False)])
def test_check_says_whether_keep_drops_the_event(
    run: Run, feed: RssServer, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, drops: bool
) -> None:
    feed.world.edit(1, text, time.time())
    blog = {"name": "blog", "platform": "rss", "url": f"{feed.url}/feed/blog", "keep": "mentions"}
    write_sources(sources, [blog])
    brands = tmp_path / "brands.yaml"
    brands.write_text("brands: [{name: Northwind, keywords: [northwind]}]")
    monkeypatch.setenv("EARSHOT_BRANDS", str(brands))
    done = run("source", "check", "blog")
    said = f"keep: mentions drops this event, as it mentions no brand of {brands}"
    assert done.code == 0 and (done.out.splitlines()[-1] == said) == drops and ("drops" in done.out) == drops


def test_the_file_in_this_folder_is_taken(run: Run, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARSHOT_SOURCES")
    assert run("source", "check", "blog").code == 0 and "has no source 'blg'" in run("source", "show", "blg").err


def test_check_says_that_there_is_no_event(run: Run, feed: RssServer, sources: Path) -> None:
    feed.world.delete(1)
    done = run("source", "check", "blog")
    assert done.code == 0 and done.out.splitlines()[1:] == ["no event: its first answer has none, or none came within 10 s"]


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("blog", "500", "failing: status 500"),
        ("blog", "429", "failing: status 429"),
        ("blog", "401", "no credentials: the platform refuses the credential, or lacks a permission: status 401"),
        ("secret", "", "no credentials: variable NOT_SET is not set where Earshot runs"),
    ],
)
def test_check_says_why_not(run: Run, feed: RssServer, sources: Path, name: str, fault: str, said: str) -> None:
    feed.faults.share, feed.faults.kinds = 1.0, (fault,)  # type: ignore[assignment]  # one of Fault
    done = run("source", "check", name)
    assert (done.code, one_line(done)) == (1, f"earshot: source {name}: {said}")


def test_status_says_that_no_listener_answers(run: Run, sources: Path) -> None:
    done = run("status")
    assert done.code == 1
    asked = ("worker", "control", "customers", "listener")
    assert [line.split()[0].rstrip(":") for line in done.err.splitlines()] == [
        *("Kafka", "ClickHouse", *(name for name in asked for _ in range(2))),
    ]
    sources.write_text("sources: [{name: blog}]")
    assert "sources.yaml: " in run("status").err.splitlines()[-1]


# --- with the stack ---------------------------------------------------------------------------------------------------
def test_before_migrate_one_line_names_the_command(
    bare: Settings, run: Run, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, bare.model_copy(update={"sources": sources}))
    for command in ("list", "show blog"):
        done = run("source", *command.split())
        assert done.code == 4 and one_line(done).endswith("run `earshot migrate`")
    done = run("source", "pause", "blog")
    assert done.code == 3 and one_line(done).endswith(".cursors (earshot migrate creates it)")


@pytest.mark.timeout(120)
def test_sources_are_listed_shown_paused_and_resumed(
    stacked: Run, emptied: Settings, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = listening(emptied, sources)
    set_variables(monkeypatch, settings)
    done = stacked("source", "list")
    assert done.code == 1
    assert table_of(done)["blog"] == ["rss", "no listener", "0", "", "", "none has run it yet"]
    assert stacked("source", "show", "blog").out == "blog  rss  NO LISTENER\nreason        none has run it yet\n"
    listener = start_listener(settings, tmp_path / "listener.log")
    try:
        wait_for("each source has a state", lambda: "no listener" not in stacked("source", "list").out, every=0.5)
        wait_for("the feed was read", lambda: _of_json(stacked)["news"]["last_contact"] is not None, every=0.5)
        _while_it_listens(stacked, settings)
    finally:
        assert listener.stop() == 0
    with connect(settings) as client:
        acts = client.query("SELECT act, subject, outcome FROM acts FINAL ORDER BY at, id").result_rows
    assert acts == [
        (f"{act} source", name, "done") for act, name in (("pause", "blog"), ("pause", "secret"), ("resume", "blog"))
    ]
    _two_minutes_later(settings)
    rows = table_of(done := stacked("source", "list"))
    assert done.code == 1 and rows["news"][1] == "no listener"
    assert re.fullmatch(rf"\S+:\d+ wrote at {MOMENT} for the last time: running", rows["news"][-1])
    assert stacked("source", "show", "news").out.startswith(f"news  rss  NO LISTENER\nreason        {rows['news'][-1]}\n")
    _what_it_costs(stacked, settings, sources)


def _what_it_costs(stacked: Run, settings: Settings, sources: Path) -> None:
    """By the record of its source, as another listener left it."""
    cups: dict[str, object] = {"name": "cups", "platform": "twitter", "query": "cup", "token_env": "X", "spend": 20}
    blog: dict[str, object] = {"name": "blog", "platform": "rss", "url": "https://blog.example.org"}
    write_sources(sources, [blog, cups])
    now = datetime.now(UTC)
    spent = {"months": {f"{now:%Y-%m}": 1_000}, "since": now.timestamp()}
    with connect(settings) as client:
        client.insert("source_cursors", [["cups", 1, json.dumps({"cursor": {"spent": spent}}), now]])
    rows = table_of(stacked("source", "list"))
    line = r"5\.00 of 20\.00 USD, 15\.00 left until \d{4}-\d\d-01; \d+\.00 a month at this pace"
    assert rows["cups"][-1].startswith("5.00 of 20.00 USD") and rows["blog"][-1] == ""
    assert re.search(f"^cost +{line}$", stacked("source", "show", "cups").out, re.M)
    assert _of_json(stacked)["cups"]["cost"]["spent"] == 5.0 and _of_json(stacked)["blog"]["cost"] is None


def _two_minutes_later(settings: Settings) -> None:
    with connect(settings) as client:
        rows = client.query("SELECT * FROM source_health FINAL").result_rows
        client.command("TRUNCATE TABLE source_health")
        client.insert("source_health", [[*row[:-2], row[-2] - timedelta(minutes=2), row[-1]] for row in rows])


def _of_json(stacked: Run) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in map(json.loads, stacked("source", "list", "--json").out.splitlines())}


def _while_it_listens(stacked: Run, settings: Settings) -> None:
    done = stacked("source", "list")
    rows = table_of(done)
    assert done.code == 1 and rows["secret"][1] == "no credentials" and rows["secret"][-1].startswith("variable NOT_SET is not")
    of_json = _of_json(stacked)
    assert of_json["secret"]["state"] == "no credentials" and of_json["news"]["last_contact"].endswith("Z")
    assert re.search(rf"^goes on at +{MOMENT}$", stacked("source", "show", "secret").out, re.M)
    assert rows["news"][:2] == ["rss", "running"] and rows["news"][2] == "1"
    assert all(re.fullmatch(MOMENT, rows["news"][place]) for place in (3, 4)) and rows["news"][-1] == ""
    status = stacked("status")
    assert "listener /ready: ok" in status.out and "sources: 2 running, 1 no credentials" in status.out
    assert "source secret (rss): no credentials: variable NOT_SET is not set where Earshot runs; again at 20" in status.err
    assert (stacked("source", "pause", "blog"), stacked("source", "pause", "secret").code) == ((0, "blog is paused\n", ""), 0)
    wait_for("both are paused", lambda: stacked("source", "list").code == 0, every=0.5)
    paused = table_of(stacked("source", "list"))["blog"]
    assert paused[1] == "paused" and re.fullmatch(MOMENT, paused[3]) and paused[2] == "1", "as it was when it was paused"
    assert stacked("source", "resume", "blog") == (0, "blog goes on\n", "")
    wait_for("it runs", lambda: table_of(stacked("source", "list"))["blog"][1] == "running", every=0.5)
    now = datetime.now(UTC)
    with connect(settings) as client:
        client.insert("source_gaps", [["blog", "rss", None, now, "its listing ends after 20 entries", now]])
    shown = stacked("source", "show", "blog")
    assert shown.code == 0 and "None" not in shown.out and shown.out.startswith("blog  rss  RUNNING\nsince         20")
    assert re.search(
        rf"^events +\d+, sent by this listener\nerrors +0\nlistener +\S+:\d+, which wrote this at {MOMENT}$", shown.out, re.M
    )
    (gap,) = json.loads(stacked("source", "show", "blog", "--json").out)["gaps"]
    assert gap["since"] is None and gap["reason"] == "its listing ends after 20 entries"
    assert "│ unknown   │" in shown.out and "its listing ends after 20 entries" in shown.out
