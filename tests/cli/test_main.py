"""The command line: what each command prints, and the code it exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import xxhash
from confluent_kafka import Consumer, TopicPartition

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.errors import EarshotError
from tests.support.commands import Done, Run
from tests.support.quarters import rebuild_quarters

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COMMANDS = [
    *("up", "worker", "migrate", "send", "replay", "generate", "query", "status", "reset", "rematch"),
    *("rescore", "reconcile", "check", "backup", "restore", "label", "control", "customers", "listen"),
    *("console", "console login", "console free", "console user add"),
    *("source list", "source show", "source add", "source check", "source pause", "source resume"),
    *("alerts tail", "alerts list", "alerts show", "alerts ack", "alerts silence", "alerts silences", "alerts test"),
    *(
        "alerts check",
        "alerts backtest",
        "dlq list",
        "dlq show",
        "dlq replay",
        "offsets list",
        "offsets accept-loss",
        "rates",
        "rollups rebuild",
        "rollups check",
        "mapping new",
        "crm import",
        "person show",
        "person export",
        "keys show",
        "keys new",
        "keys rotate",
        "person erase",
        "person readmit",
        "person receipts",
    ),
    *(
        f"identity {name}"
        for name in (
            "link",
            "unlink",
            "never",
            "lift",
            "split",
            "consent",
            "withdraw",
            "accept",
            "reject",
            "release",
            "review",
            "find",
            "show",
            "dry-run",
            "apply",
        )
    ),
]
BRANDS_SQL = "INSERT INTO interactions (event_key, version, id, platform, created_at, brands, text) VALUES "


def events_in(settings: Settings, count: int) -> list[bytes | None]:
    consumer = Consumer({**settings.kafka.client(), "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
    topic = settings.kafka.topic("events")
    consumer.assign([TopicPartition(topic, n, 0) for n in range(settings.kafka.partitions)])
    found = []
    for _ in range(count):
        message = consumer.poll(20)
        assert message is not None and message.error() is None
        found.append(message.value())
    consumer.close()
    return found


# --- without a stack ------------------------------------------------------------------------------------------------
def test_help_loads_nothing_heavy() -> None:
    heavy = {"polars", "pyarrow", "numpy", "faust", "confluent_kafka", "clickhouse_connect", "aiohttp", "chdb"}
    code = f"import sys, pipeline.cli; sys.exit(' '.join({heavy!r} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example_and_its_exit_codes(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.code == 0
    assert f"Example:  earshot {command}" in done.out or f"Example:  earshot --config production.toml {command}" in done.out
    assert "Exit codes:" in done.out


def test_all_commands_are_tested_here(run: Run) -> None:
    listed = {line.split()[0] for line in run("--help").out.split("Commands:")[1].splitlines() if line.strip()}
    assert listed == {command.split()[0] for command in COMMANDS}


@pytest.mark.parametrize("command", ["query latest", "dlq list", "dlq show", "dlq replay --yes", "offsets accept-loss"])
def test_without_clickhouse_one_line_names_the_url(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__URL", url)
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__PASSWORD", "hunter2")
    done = run(*command.split())
    assert (done.code, done.out, done.err.strip()) == (3, "", f"earshot: ClickHouse at {url}, user default: Connection refused")


@pytest.mark.parametrize("command", ["migrate", "send {}", "send --text hello", "offsets list"])
def test_without_a_broker_one_line_names_the_address(run: Run, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("EARSHOT_KAFKA__BOOTSTRAP", address)
    done = run(*command.split())
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"earshot: Kafka at {address}: ") and done.err.count("\n") == 1


def test_status_says_all_that_is_down(run: Run) -> None:
    done = run("status")
    assert done.code == 1
    assert [line.split()[0] for line in done.err.splitlines()] == [
        *("Kafka", "ClickHouse", "worker", "worker", "control", "control", "customers", "customers"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--config", "nowhere.toml", "status"], 2, "nowhere.toml: No such file"),
        (["nonsense"], 2, "No such command"),
        (["send"], 2, "give one of: an event"),
        (["send", "{}", "--text", "x"], 2, "give one of: an event"),
        (["send", "--file", "nowhere.json"], 3, "Kafka at"),
        (["replay", "x.jsonl", "--rate", "fast"], 2, "--rate fast"),
        (["replay", "x.jsonl", "--rate", "-1"], 2, "--rate -1"),
        (["generate", "--to", "file.csv"], 2, "--to file.csv"),
        (["generate", "--to", "file.jsonl", "--live"], 2, "go with --to kafka"),
        (["generate", "--to", "f.jsonl", "--days", "100000"], 2, "end in the future"),
        (["generate"], 3, "Kafka at"),
        (["generate", "--to", "clickhouse"], 2, "privacy.hash_key"),
        (["query", "lates"], 1, "no query is named 'lates', did you mean 'latest'?: the names are "),
        (["query", "--list", "SELECT 1"], 2, "--list goes with a name, not with SQL"),
        (["query", "SELECT 1", "--zone", "UTC"], 2, "--zone goes with a named query"),
        (["query", "latest", "--zone", "UTC"], 2, "query latest takes no --zone: it takes --brand, --limit"),
        (["query", "latest", "--set", "limit"], 2, "--set limit: it should look like NAME=VALUE"),
        (["query", "latest", "--limit", "3", "--set", "limit=4"], 2, "--set limit=...: --limit is given, too"),
        (["query", "workload", "--set", "rate=0"], 2, "--set rate=0: it is a whole number from 1 to 4,294,967,295"),
        (["query", "unanswered", "--set", "kind=mail"], 2, "--set kind=mail: it is one of post, comment"),
        (["query", "latest", "--plot", "x.png"], 2, "query latest has no picture"),
        (["query", "brands", "--plot", "x.gif"], 2, "--plot x.gif: it ends in .png, .svg or .pdf"),
        (["query", "timeline", "--brand", "x"], 2, "--brand does not go with query timeline"),
        (["query", "--list", "--format", "csv"], 2, "--format goes with a query"),
        (["send", "{}", "--author", "ines"], 2, "--author goes with --text"),
        (["generate", "--live", "--days", "3"], 2, "--days goes without --live"),
        (["alerts", "backtest", "--json", "--plots", "x"], 2, "--plots goes without --json"),
        (["alerts", "backtest", "--rule", "volum"], 2, "did you mean 'volume'?"),
        (["alerts", "list", "--all", "--historical"], 2, "--all goes with neither"),
        (["up", "--broker", "rabbit"], 2, "one of auto, kafka, light"),
        (["crm", "import", "x.csv", "--map", "id=Id", "--map", "emial=E", "--basis", "given"], 2, "did you mean 'email'?"),
        (["crm", "import", "x.csv", "--map", "id=Id", "--basis", "given", "--dry-run"], 1, "x.csv: No such file"),
        (["crm", "import", "x.csv", "--map", "id=Id", "--basis", "guessed"], 2, "'guessed'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(run: Run, arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.code, said in done.err) == (code, True), done
    assert "Traceback" not in done.err


def test_generate_makes_a_file_and_its_truth_once(run: Run) -> None:
    done = run("generate", "--count", "500", "--to", "made.jsonl", "--crm", "crm.csv")
    assert (done.code, "records 500" in done.out) == (0, True), done
    assert f"crm crm.csv  records {len(Path('crm.csv').read_text('utf-8').splitlines()) - 1:,}\n" in done.out
    assert Path("made.jsonl").read_bytes().count(b"\n") == 500
    made = Path("truth.jsonl").read_bytes()
    again = run("generate", "--count", "500", "--to", "made.jsonl")
    assert (again.code, "made.jsonl is there already" in again.err) == (2, True)
    assert run("generate", "--count", "500", "--to", "made.jsonl", "--force").code == 0
    assert Path("truth.jsonl").read_bytes() == made


def test_an_unknown_key_in_the_file_exits_with_2(run: Run) -> None:
    Path("mine.toml").write_text("[kafka]\nbotstrap = 'x'\n")
    assert run("--config", "mine.toml", "status").err.strip() == (
        "earshot: setting kafka.botstrap (mine.toml or the environment): unknown key, did you mean 'bootstrap'?"
    )


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(KeyboardInterrupt(), 130, ""), (EarshotError("what was wrong"), 1, "earshot: what was wrong\n")],
)
def test_how_a_command_may_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:  # fmt: skip
    def fail(settings: Settings) -> list[str]:
        raise error

    monkeypatch.setattr("pipeline.migrate.migrate", fail)
    assert run("migrate") == Done(code, "", said)


def test_the_named_queries_are_listed(run: Run) -> None:
    done = run("query", "--list")
    assert done.code == 0
    assert all(name in done.out for name in ("brands", "latest", "sentiment", "rejects", "timeline"))
    one = run("query", "--list", "latest")
    assert (one.code, one.out.startswith("-- The newest interactions.\n"), "LIMIT {limit:UInt32}" in one.out) == (0, True, True)


# --- against the stack ----------------------------------------------------------------------------------------------
@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


def test_send_prints_where_each_event_went(stacked: Run, settings: Settings) -> None:
    Path("one.json").write_text('{\n  "id": "2",\n  "platform": "forum"\n}\n')
    Path("some.jsonl").write_text('{"id": "3"}\n\n{"id": "4"}\n')
    outputs = [
        stacked("send", '{"id": "1", "platform": "forum"}'),
        stacked("send", "--file", "one.json"),
        stacked("send", "--file", "some.jsonl"),
        stacked("send", "-", stdin='{"id": "5"}\nno JSON'),
        stacked("send", "--text", "Hello", "--author", "ines", "--platform", "forum"),
    ]
    assert [(done.code, done.err) for done in outputs] == [(0, "")] * 5
    lines = "".join(done.out for done in outputs).splitlines()
    assert len(lines) == 7
    assert all(line.startswith(f"{settings.kafka.topic('events')} partition ") and " offset " in line for line in lines)
    found = events_in(settings, 7)
    assert {b'{"id": "1", "platform": "forum"}', b'{"id": "3"}', b'{"id": "4"}', b'{"id": "5"}', b"no JSON"} < set(found)
    assert b'{\n  "id": "2",\n  "platform": "forum"\n}' in found
    post = next(json.loads(raw) for raw in found if raw and b"Hello" in raw)
    assert (post["author"]["handle"], post["platform"], post["kind"]) == ("ines", "forum", "post")


def test_a_file_that_is_not_there_is_named(stacked: Run) -> None:
    done = stacked("send", "--file", "nowhere.json")
    assert (done.code, done.err) == (1, "earshot: nowhere.json: No such file or directory\n")


def test_replay_reports_what_it_sent(stacked: Run, settings: Settings) -> None:
    Path("some.jsonl").write_text('{"id": "1", "platform": "a"}\nbroken\n')
    done = stacked("replay", "some.jsonl")
    assert done.code == 0
    assert done.out == "rows 2  events 2  sent 2  failed 0  unmapped 0\n"
    assert sorted(filter(None, events_in(settings, 2))) == [b"broken", b'{"id": "1", "platform": "a"}']


def test_replay_says_which_events_are_stored_under_another_time(stacked: Run, settings: Settings) -> None:
    at = datetime(2026, 9, 1, 10, tzinfo=UTC)
    names = ["event_key", "version", "id", "platform", "created_at"]
    keys = {name: xxhash.xxh3_64_intdigest(f"a:{name}".encode()) for name in "123"}
    with clickhouse_client(settings.clickhouse) as client:
        client.insert("interactions", [[keys[name], 1, name, "a", at] for name in "123"], column_names=names)
    times = {"1": "2026-09-01T12:00:00+02:00", "2": "2026-09-01T12:00:00Z", "4": "2026-09-01T12:00:00Z"}
    lines = [json.dumps({"id": name, "platform": "a", "created_at": time}) for name, time in times.items()]
    lines += ['{"id": "3", "platform": "a", "operation": "delete", "created_at": "2026-09-02T10:00:00Z"}', "broken"]
    Path("some.jsonl").write_text("\n".join(lines) + "\n")
    counted = "1 of 3 creates are stored under another created_at, which stays\n"
    listed = "a:2: 2026-09-01T12:00:00Z, stored: 2026-09-01T10:00:00Z\n"
    dry = stacked("replay", "some.jsonl", "--dry-run")
    assert (dry.code, dry.out.endswith(counted + listed), dry.err) == (0, True, "")
    assert stacked("replay", "some.jsonl").out == counted + "rows 5  events 5  sent 5  failed 0  unmapped 0\n"
    as_now = stacked("replay", "some.jsonl", "--dry-run", "--as-now").out
    assert "\n2 of 3" in as_now and "a:1: now, stored: 2026-09-01T10:00:00Z" in as_now


def test_replay_sends_where_clickhouse_refuses_to_compare(
    stacked: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before `earshot migrate`."""
    refused = "SELECT no_column FROM interactions WHERE event_key IN {keys}"
    monkeypatch.setattr("pipeline.sources.recorded.known_ids._STORED", refused)
    Path("some.jsonl").write_text('{"id": "1", "platform": "a", "created_at": "2026-09-01T12:00:00Z"}\n')
    done = stacked("replay", "some.jsonl")
    assert (done.code, done.out) == (0, "rows 1  events 1  sent 1  failed 0  unmapped 0\n")
    assert "not compared with stored events" in done.err
    dry = stacked("replay", "some.jsonl", "--dry-run")
    assert dry.code == 0 and "not compared with stored events" in dry.err


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_replay_of_a_pipe(stacked: Run, settings: Settings, options: list[str]) -> None:
    os.mkfifo("pipe.jsonl")
    """It can be read once only."""
    lines = '{"id": "1", "platform": "a", "created_at": "2026-09-01T12:00:00Z"}\n' * 1_000
    writer = threading.Thread(target=lambda: Path("pipe.jsonl").write_text(lines), daemon=True)
    writer.start()
    done = stacked("replay", "pipe.jsonl", *options)
    writer.join(10)
    said = "unmapped 0  nothing is sent" if options else "sent 1,000  failed 0  unmapped 0"
    assert f"rows 1,000  events 1,000  {said}" in done.out.splitlines()


def test_reconcile_shows_what_became_one_row(stacked: Run, settings: Settings) -> None:
    at, names = datetime(2026, 9, 1, 10, tzinfo=UTC), ["event_key", "version", "id", "platform", "operation", "created_at"]
    with clickhouse_client(settings.clickhouse) as client:
        for day in (0, 1):
            client.insert("interactions", [[1, day + 1, "1", "x", "create", at + timedelta(days=day)]], column_names=names)
    dry = stacked("reconcile", "--dry-run")
    assert dry.out.splitlines()[-1] == "1 events would become one row, 1 rows would be moved"
    assert any(line.replace("│", " ").split() == ["x", "1"] for line in dry.out.splitlines())


def test_rates_are_counted_and_bad_lines_named(stacked: Run) -> None:
    path = Path("rates.csv")
    path.write_text("date,currency,rate\n2026-11-02,USD,1.15\n2026-10-30,UAH,48.9\n")
    assert stacked("rates", "rates.csv").out == "2 rates of 2 currencies, 2026-10-30 to 2026-11-02\n"
    path.write_text("date,currency,rate\n2026-11-02,USD,1.15\n2026-11-03,USD,\n")
    done = stacked("rates", "rates.csv")
    assert done.code == 2 and done.err.strip().endswith("rates.csv: nothing is loaded: line 3: rate '' is no number above 0")


def test_query_counts_each_event_once_in_each_format(stacked: Run, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        client.command("SYSTEM STOP MERGES")
        rows = [
            "(1, 1, 'a', 'x', '2025-03-04 10:20:00', ['Lumen'], 'old')",
            "(1, 2, 'a', 'x', '2025-03-04 10:20:00', ['Lumen'], '\x1b[31m')",
        ]
        for row in [*rows, "(2, 1, 'b', 'x', '2025-03-04 10:50:00', ['Lumen', 'Orbit'], 'b')"]:
            client.command(BRANDS_SQL + row)
        client.command("SYSTEM START MERGES")
    as_json = stacked("query", "brands", "--from", "2006-01-01", "--format", "json")
    assert [json.loads(line) for line in as_json.out.splitlines()] == [
        {"hour": "2025-03-04 10:00:00", "brand": "Lumen", "mentions": 2},
        {"hour": "2025-03-04 10:00:00", "brand": "Orbit", "mentions": 1},
    ]
    assert stacked("query", "SELECT count() AS n FROM interactions;", "--format", "csv").out == '"n"\n2\n'
    latest = stacked("query", "latest").out
    assert "\\x1b[31m" in latest and "\x1b[31m" not in latest and "old" not in latest
    assert latest.index(" b ") < latest.index("\\x1b")
    assert "no rows" in stacked("query", "rejects").out


@pytest.mark.parametrize(
    ("arguments", "says"), [([], "sentiment.model is off"), (["--since", "soon"], "--since soon"), (["--brnd", "x"], "--brnd")]
)
def test_rescore_says_what_it_lacks(stacked: Run, arguments: list[str], says: str) -> None:
    done = stacked("rescore", *arguments)
    assert done.code == 2
    assert says in done.err


TRACKED = """
brands:
  - {name: Lumen, keywords: [lumen], competitors: [Orbit, Quiet]}
  - {name: Orbit, keywords: [orbit]}
  - {name: Quiet}
"""


def test_a_new_brand_is_found_in_what_has_landed(
    stacked: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "brands.yaml"
    path.write_text(TRACKED)
    monkeypatch.setenv("EARSHOT_BRANDS", str(path))
    with clickhouse_client(settings.clickhouse) as client:
        for key, text in enumerate(["LUMEN!", "lumen or orbit", "nothing", "our Lumen"]):
            direction = "outbound" if key == 3 else ""
            client.command(
                "INSERT INTO interactions (event_key, version, id, platform, created_at, text, direction) "
                f"VALUES ({key}, 1, '{key}', 'x', now() - 3600, '{text}', '{direction}')"
            )
    dry = stacked("rematch", "--brand", "Lumen", "--dry-run")
    assert (dry.code, dry.out.splitlines()[-1]) == (0, "3 rows would change")
    done = stacked("rematch", "--brand", "Lumen", "--brand", "Orbit", "--since", "2020-01-01")
    assert done.out.splitlines()[-1] == "3 rows changed"
    assert stacked("rematch", "--brand", "Lumen").out.splitlines()[-1] == "0 rows changed"
    rebuild_quarters(settings, datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC))
    with clickhouse_client(settings.clickhouse) as client:  # as control does
        client.command("INSERT INTO panels VALUES ('Lumen', 1, now64(3), ['Orbit', 'Quiet'])")
    shown = stacked("query", "share_of_voice", "--brand", "Lumen", "--from", "2h", "--format", "json").out
    assert [(row["brand"], row["mentions"], round(row["percent"], 1)) for row in map(json.loads, shown.splitlines())] == [
        ("Lumen", 2, 66.7),
        ("Orbit", 1, 33.3),
        ("Quiet", 0, 0.0),
    ]


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["rematch"], 2, "--brand"),
        (["rematch", "--brand", "Lumen", "--since", "soon"], 2, "--since soon"),
        (["rematch", "--brand", "Lumenn"], 1, "no brand is named 'Lumenn'"),
        (["rematch", "--brand", "mobiqo"], 1, "did you mean 'Mobiqo'?"),
        (["query", "share_of_voice", "--brand", "mobiqo"], 1, "did you mean 'Mobiqo'?"),
        (["query", "share_of_voice", "--brand", "Mobiqo", "--set", "panel=Rikshavay"], 1, "did you mean 'Rikshaway'?"),
        (["query", "share_of_voice"], 2, "--brand is missing"),
        (["query", "volume", "--brand", "mobiqo"], 1, "there is no brand 'mobiqo'"),
    ],
)
def test_a_brand_that_is_not_there_is_named(stacked: Run, command: list[str], code: int, says: str) -> None:
    done = stacked(*command)
    assert done.code == code
    assert says in done.err


def test_a_long_table_is_cut_and_says_so(stacked: Run) -> None:
    done = stacked("query", "SELECT number FROM numbers(500)")
    assert "199 " in done.out and "200 " not in done.out
    assert "the first 200 rows" in done.err
    assert len(stacked("query", "SELECT number FROM numbers(500)", "--format", "csv").out.splitlines()) == 501


@pytest.mark.parametrize("sql", ["DROP TABLE interactions", "INSERT INTO dead_letters (topic) VALUES ('x')"])
@pytest.mark.parametrize("form", ["table", "csv"])
def test_query_writes_nothing(stacked: Run, sql: str, form: str) -> None:
    done = stacked("query", sql, "--format", form)
    assert (done.code, done.out) == (1, "")
    assert "readonly" in done.err and done.err.count("\n") == 1
    assert stacked("query", "SELECT count() FROM dead_letters", "--format", "json").out == '{"count()":0}\n'


def test_a_wrong_password_and_a_wrong_query_are_one_line(stacked: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = stacked("query", "SELECT nothing FROM interactions")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "nothing" in done.err
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__PASSWORD", "hunter2")
    done = stacked("query", "latest")
    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "Authentication failed" in done.err and "hunter2" not in done.err


def test_a_user_who_may_only_read_can_query(stacked: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__USER", "analyst")
    monkeypatch.delenv("EARSHOT_CLICKHOUSE__PASSWORD")
    assert stacked("query", "SELECT count() FROM interactions", "--format", "csv").code == 0
    assert stacked("query", "latest").code == 0


def test_status_counts_the_lag_in_records(stacked: Run, settings: Settings) -> None:
    stacked("send", "-", stdin="\n".join(f'{{"id": "{n}", "platform": "x"}}' for n in range(30)))
    topic = settings.kafka.topic("events")
    done = stacked("status")
    assert done.code == 1  # no worker runs
    assert "lag: 30 records, dead-letter topic: 0" in done.out
    assert "migration: 0" in done.out
    assert "deferred: 0 rows wait for their label" in done.out
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        *("worker /live", "worker /ready", "control /live", "control /ready", "customers /live", "customers /ready"),
    ]
    assert "customers: 0 of 0 accounts, by 0 edges of evidence" in done.out and "review queue: empty" in done.out
    group = Consumer({**settings.kafka.client(), "group.id": settings.kafka.group, "log_level": 0})
    partition = next(n for n in range(settings.kafka.partitions) if group.get_watermark_offsets(TopicPartition(topic, n))[1])
    group.commit(offsets=[TopicPartition(topic, partition, 1)], asynchronous=False)
    group.close()
    assert "lag: 29 records" in stacked("status").out


def test_status_counts_linked_customers_and_what_links_nobody(stacked: Run, settings: Settings) -> None:
    def insert(table: str, columns: str, *rows: Sequence[object]) -> None:
        client.insert(table, rows, column_names=columns.split())

    with clickhouse_client(settings.clickhouse) as client:
        linked = [[1, 1, 1, 0], [2, 1, 1, 0], [3, 3, 1, 0], [4, 3, 1, 0], [5, 3, 1, 0], [6, 1, 1, 0], [6, 6, 2, 1]]
        insert("assignments", "profile customer sequence is_deleted", *linked)
        edges = [[edge, "value", "public", edge, 0] for edge in range(1, 7)] + [[1, "value", "given", 9, 0]]
        insert("identity_edges", "edge kind basis at held", *edges)
        insert(
            "identity_queue",
            "edge reason sequence is_deleted",
            *[[edge, "suggestion", 1, 0] for edge in (1, 2)],
            [3, "held", 1, 0],
        )
        insert("identity_marks", "name value sequence", ["breaker", 1, 1])
    done = stacked("status")
    assert "customers: 2 of 5 accounts, by 7 edges of evidence\nreview queue: 2 suggestion, 1 held\n" in done.out
    assert "the breaker holds new evidence" in done.err


def test_status_counts_second_creates_by_source(stacked: Run, settings: Settings) -> None:
    now = datetime.now(UTC)
    names = [
        "event_key",
        "version",
        "created_at",
        "ingested_at",
        "platform",
        "source_name",
        "create_revisions",
        "other_created_at",
    ]
    rows: list[list[object]] = [
        [1, 1, now, now, "x", "poller", [7], EPOCH],
        [2, 1, now, now, "x", "poller", [7, 8], EPOCH],
        [2, 2, now, now, "x", "poller", [7, 8, 9], EPOCH],
        [3, 1, now, now, "t.rev", "", [7, 8], now],
        [4, 1, now, now - timedelta(days=2), "x", "old", [7, 8], now],
    ]
    with clickhouse_client(settings.clickhouse) as client:
        client.insert("interactions", rows, column_names=names)
        moved = [[event, 1, now, now, "x", "poller", 1, now] for event in (5, 5, 6)] + [[7, 1, now, now, "shop", "", 1, now]]
        client.insert("interactions", moved, column_names=[*names[:6], "is_deleted", "moved_to"])
    shown = [line.replace("│", " ").split() for line in stacked("status").out.splitlines()]
    assert ["poller", "2", "0", "2"] in shown and ["t.rev", "1", "1", "0"] in shown and ["shop", "0", "0", "1"] in shown
    assert not any(line[:1] == ["old"] for line in shown)


def test_dead_letters_are_listed_shown_and_sent_again(stacked: Run, settings: Settings) -> None:
    assert stacked("dlq", "list").out == "no dead letters\n"
    assert (stacked("dlq", "show").code, stacked("dlq", "replay").out) == (1, "sent 0  failed 0\n")
    names = ["topic", "partition", "offset", "content", "step", "reason", "key", "raw", "rejected_at"]
    rows = [
        ["t", 0, n, n, "decode", "kind is wrong", b"k", b"\x1b[31m%d" % n + b"x" * 3_000, datetime.now(UTC)] for n in (1, 2)
    ]
    with clickhouse_client(settings.clickhouse) as client:
        client.insert("dead_letters", rows, column_names=names)
    listed = stacked("dlq", "list").out
    assert "kind is wrong" in listed and " 2 " in listed
    shown = stacked("dlq", "show", "--offset", "2")
    assert "t partition 0 offset 2" in shown.out and "by decode: kind is wrong" in shown.out
    assert "\\x1b[31m2xx" in shown.out and "\x1b" not in shown.out and "1,006 bytes more" in shown.out
    asked = stacked("dlq", "replay", stdin="n\n")
    assert (asked.code, "Send 2 dead letters" in asked.out + asked.err) == (1, True)
    assert stacked("dlq", "replay", "--reason", "kind", "--from-offset", "2", "--yes") == Done(0, "sent 1  failed 0\n", "")
    assert events_in(settings, 1) == [b"\x1b[31m2" + b"x" * 3_000]
    with clickhouse_client(settings.clickhouse) as client:
        acts = client.query("SELECT toString(way), act, subject, after, outcome FROM acts FINAL ORDER BY at, id").result_rows
    assert acts == [
        ("command line", "look at dead letters", "all", '{"seen": []}', "done"),
        ("command line", "look at dead letters", "first 2, last 2", '{"seen": ["t 0 2"]}', "done"),
        ("command line", "replay dead letters", "first 2, reason kind", '{"sent": 1, "failed": 0}', "done"),
    ]


def test_offsets_are_listed_and_none_is_lost(stacked: Run, settings: Settings) -> None:
    stacked("send", '{"id": "1", "platform": "forum"}')
    listed = stacked("offsets", "list")
    assert (listed.code, listed.err) == (0, "")
    assert all(word in listed.out for word in (settings.kafka.topic("events"), "partition", "first", "committed", "end", "lag"))
    assert stacked("offsets", "accept-loss") == Done(0, "nothing is lost: Kafka has the next offset of every partition\n", "")


@pytest.mark.parametrize("command", ["label", "replay"])
def test_what_a_hostile_file_names_reaches_the_terminal_escaped(run: Run, command: str) -> None:
    Path("evil.csv").write_text("\x1b[2J\x9b31m,b\n1,2\n")
    Path("evil.yaml").write_text("events: [{fields: {id: a, platform: a, kind: post, created_at: {from: a, time: iso}}}]\n")
    options = {"label": ["--column", "text"], "replay": ["--mapping", "evil.yaml"]}[command]
    done = run(command, "evil.csv", *options)
    says = {"label": "\\x1b[2J\\x9b31m", "replay": "line 1 holds no column of the mapping (a)"}[command]
    assert done.code == 2 and says in done.err and not set("\x1b\x9b") & set(done.out + done.err)
