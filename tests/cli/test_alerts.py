"""`earshot alerts`: its lists and views, and its commands to control."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer
from rich.console import Console

from pipeline.cli.alert_view import details, line, number
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings
from pipeline.config.settings import EmbeddedSettings, Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.token import make_token, token_of
from pipeline.notify.delivery_log import Delivery
from pipeline.queries.alert_history import News, delivery_state
from pipeline.queries.alert_tail import follow
from pipeline.queries.alerts import Shown
from schemas.alerts import Alert, Scope, State, alert_rows, dump, parse_alert
from tests.support.commands import Done, Run
from tests.support.control_api import NOW, TOKEN, MemoryCommands, alert, serving
from tests.support.worker import wait_for

FIRING = alert(
    brand="Acme",
    terms=("outage", "refund"),
    samples=(11, 12, 13),
    negative=109,
    neutral=8,
    positive=3,
    lower=0.31,
    upper=0.52,
    query="SELECT 1",
)
OVER = replace(alert("volume", "Brio"), state=State.RESOLVED, severity=3, ended_at=NOW)
LATE = replace(alert("crisis", "Acme"), historical=True, severity=9)


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings, stacked: Run) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def insert(client: Client, *alerts: Alert) -> None:
    rows = alert_rows(alerts)
    client.insert("alerts", rows.rows(), column_names=rows.columns)


def publish(settings: Settings, *alerts: Alert) -> None:
    producer = Producer(settings.kafka.client())
    for each in alerts:
        producer.produce(settings.kafka.topic("alerts"), dump(each), each.hex.encode())
    producer.flush(10)


# --- list, show, query ------------------------------------------------------------------------------------------------
def test_alerts_are_listed_as_they_are_now(stacked: Run, client: Client) -> None:
    assert stacked("alerts", "list").out == "no alerts\n"
    later = FIRING.change(NOW + timedelta(minutes=1), state=State.ACKNOWLEDGED, severity=8, actor="ines")
    insert(client, FIRING, later, OVER, LATE)
    shown = stacked("alerts", "list").out
    assert FIRING.hex[:8] in shown and "acknowledged" in shown and "firing" not in shown
    assert "Brio" not in shown and LATE.hex[:8] not in shown

    def keys(*options: str) -> list[str]:
        done = stacked("alerts", "list", "--json", *options)
        return [json.loads(each)["key"] for each in done.out.splitlines()]

    assert keys() == [FIRING.hex]
    assert keys("--all") == [FIRING.hex, OVER.hex]
    assert keys("--all", "--brand", "Brio") == keys("--state", "resolved") == keys("--all", "--rule", "volume") == [OVER.hex]
    assert keys("--historical") == [LATE.hex]
    assert keys("--min-severity", "8") == [FIRING.hex] and keys("--min-severity", "9") == []
    assert keys("--all", "--since", "2026-11-02T10:30:30Z") == [FIRING.hex]
    assert keys("--all", "--brand", "Brio", "--rule", "volume") == [OVER.hex]  # both are on record only
    assert json.loads(stacked("alerts", "list", "--json").out) == json.loads(dump(later))
    rows = [json.loads(each) for each in stacked("query", "alerts", "--format", "json").out.splitlines()]
    assert [(row["rule"], row["state"], row["key"]) for row in rows] == [
        ("anger", "acknowledged", FIRING.hex),
        ("volume", "resolved", OVER.hex),
    ]


def test_a_name_that_nobody_here_has_heard_of_is_a_warning_where_it_only_chooses(stacked: Run, client: Client) -> None:
    insert(client, OVER)
    done = stacked("alerts", "list", "--brand", "mobiqo", "--rule", "volum")
    assert done == Done(
        0,
        "no alerts\n",
        "earshot: warning: there is no brand 'mobiqo', neither in the files nor in stored events, did you mean 'Mobiqo'?\n"
        "earshot: warning: there is no rule 'volum', neither in the files nor in stored events, did you mean 'volume'?\n",
    )
    assert stacked("alerts", "list", "--brand", "x' OR '1'='1").out == "no alerts\n"
    assert stacked("alerts", "list", "--all", "--brand", "Brio", "--rule", "volume").err == ""


def test_tail_takes_any_name_and_needs_no_clickhouse(stacked: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> Iterator[Alert]:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.queries.alert_tail.follow", stopped)
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__URL", f"http://127.0.0.1:{free_port()}")
    done = stacked("alerts", "tail", "--brand", "Mobiqa", "--rule", "quiet")
    assert done.code == 130
    assert done.err.splitlines() == [
        "earshot: warning: there is no brand 'Mobiqa' in the files here, did you mean 'Mobiqo'?",
        "earshot: warning: there is no rule 'quiet' in the files here",
    ]
    assert stacked("alerts", "tail", "--brand", "Mobiqo").err == ""


def test_an_alert_is_shown_with_all_that_belongs_to_it(stacked: Run, client: Client) -> None:
    acknowledged = FIRING.change(NOW + timedelta(minutes=1), state=State.ACKNOWLEDGED, actor="ines", comment="we look")
    same = acknowledged.change(NOW + timedelta(minutes=2), observed=0.92)
    insert(client, FIRING, acknowledged, same)
    names = ["alert_key", "version", "receiver", "attempt", "sent", "reason", "took_ms", "tried_at"]
    tries = [[FIRING.key, 1, "chat", 1, False, "503", 20, NOW], [FIRING.key, 1, "chat", 2, True, "200", 10, NOW]]
    client.insert("alert_deliveries", tries, column_names=names)
    names = ["event_key", "version", "created_at", "platform", "kind", "author_handle", "visibility", "text", "is_deleted"]
    posts = [
        [11, 1, NOW, "forum", "post", "bob", "public", "It \x1b[31mleaks", 0],
        [12, 1, NOW, "forum", "post", "eve", "private", "a private word", 0],
        [13, 1, NOW, "forum", "post", "tom", "public", "a post that went", 0],
        [13, 2, NOW, "forum", "post", "tom", "public", "a post that went", 1],
        [14, 1, NOW, "forum", "post", "joe", "public", "another post", 0],
    ]
    client.insert("interactions", posts, column_names=names)
    done = stacked("alerts", "show", FIRING.hex[:5])
    assert done.code == 0
    for part in (
        *(FIRING.hex, "anger (threshold)  ACKNOWLEDGED  severity 7", "Acme: 91 % of 120 are negative"),
        *("negative_share 0.92, expected 0.4 (0.31 to 0.52)", "2026-11-02 10:27:00", "by ines: we look"),
        *("negative 109  neutral 8  positive 3  (91 % negative)", "outage, refund", "SELECT 1"),
        *("failed", "503", "bob", "It \\x1b[31mleaks"),
    ):
        assert part in done.out
    for part in ("private word", "a post that went", "another post", "\x1b"):
        assert part not in done.out
    record = json.loads(stacked("alerts", "show", FIRING.hex.upper(), "--json").out)
    assert record["alert"] == json.loads(dump(same))
    assert [change["version"] for change in record["history"]] == [1, 2, 3]
    assert [delivery["reason"] for delivery in record["deliveries"]] == ["503", "200"]
    assert [post["author"] for post in record["posts"]] == ["bob"]


def test_an_escalation_and_a_receiver_out_of_hours_are_shown(stacked: Run, client: Client) -> None:
    escalated = FIRING.change(NOW + timedelta(minutes=15), escalated_at=NOW + timedelta(minutes=15))
    acknowledged = escalated.change(NOW + timedelta(minutes=16), state=State.ACKNOWLEDGED, actor="ines")
    over = acknowledged.change(NOW + timedelta(minutes=20), state=State.RESOLVED)
    muted = replace(acknowledged, version=4, muted="silence 0000000000006d4f")
    insert(client, FIRING, escalated, acknowledged, muted, replace(over, version=5))
    names = ["silence_id", "version", "brand", "starts_at", "ends_at", "actor", "changed_at"]
    client.insert("alert_silences", [[0x6D4F, 1, "Acme", NOW, NOW, "root", NOW]], column_names=names)
    names = ["alert_key", "version", "receiver", "attempt", "sent", "reason", "took_ms", "tried_at"]
    off = [FIRING.key, 1, "chat", 0, False, "out of hours: mon-fri 08:00-18:00 UTC", 0, NOW]
    client.insert("alert_deliveries", [off, [FIRING.key, 2, "pager", 1, True, "200", 20, NOW]], column_names=names)
    shown = stacked("alerts", "show", FIRING.hex).out
    assert "2026-11-02 10:45:00: nobody had acknowledged it" in shown and shown.count("firing, escalated") == 1
    assert "acknowledged, muted: silence 0000000000006d4f (root)" in shown
    assert re.search(r"chat\W.*missed: it ended out of hours\W.*out of hours: mon-fri", shown) and re.search(
        r"pager\W.*sent", shown
    )
    assert (
        json.loads(stacked("alerts", "show", FIRING.hex, "--json").out)["alert"]["escalated_at"] == "2026-11-02T10:45:00.000Z"
    )


def delivery(version: int, sent: bool, reason: str = "out of hours: mon-fri 08:00-18:00 UTC") -> Delivery:
    return Delivery(FIRING.key, version, "chat", 0, sent, "200" if sent else reason, 0, NOW)


ENDED = FIRING.change(NOW, state=State.RESOLVED)


@pytest.mark.parametrize(
    ("history", "deliveries", "says"),
    [
        ([FIRING], [delivery(1, False)], ["waits"]),
        ([FIRING, ENDED], [delivery(1, False)], ["missed: it ended out of hours"]),
        ([FIRING, ENDED], [delivery(1, True), delivery(2, False)], ["sent", "waits"]),
        ([FIRING, ENDED], [delivery(1, True), delivery(2, False), delivery(2, True)], ["sent", "waited", "sent"]),
        ([replace(FIRING, test=True)], [delivery(1, False)], ["not sent: a test does not wait"]),
        ([FIRING], [delivery(1, False, "503")], ["failed"]),
    ],
)
def test_what_became_of_a_change_out_of_hours(history: list[Alert], deliveries: list[Delivery], says: list[str]) -> None:
    shown = Shown(history, deliveries, [])
    assert [delivery_state(each, shown) for each in deliveries] == says


def test_the_history_of_an_alert_has_its_mutes() -> None:
    muted = FIRING.change(NOW, muted="silence 0000000000006d4f")
    escalated = muted.change(NOW, muted="", escalated_at=NOW)
    acknowledged = escalated.change(NOW, state=State.ACKNOWLEDGED, actor="ines", muted="inhibited by 01")
    changes = [FIRING, muted, escalated, acknowledged, acknowledged.change(NOW, state=State.RESOLVED, muted="")]
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(details(Shown(changes, [], [], {"silence 0000000000006d4f": "root"})))
    states = re.findall(r"│ +\d │ (.*?) +│ +7 │", screen.export_text())
    assert states == [
        "firing",
        "firing, muted: silence 0000000000006d4f (root)",
        "firing, escalated, mute ended",
        "acknowledged, muted: inhibited by 01",
        "resolved",
    ]


def test_a_key_that_is_none_or_not_one(stacked: Run, client: Client) -> None:
    low, high = replace(FIRING, key=0x00AB << 48), replace(FIRING, key=(0x00AB << 48) + 1)
    insert(client, low, high)
    assert stacked("alerts", "show", "00ab") == Done(
        1, "", f"earshot: several alerts begin with 00ab: {low.hex}, {high.hex}\n"
    )  # fmt: skip
    assert stacked("alerts", "show", high.hex).code == 0
    assert stacked("alerts", "show", "ff") == Done(1, "", "earshot: there is no alert whose key begins with ff\n")
    assert stacked("alerts", "show", "f" * 16) == Done(1, "", f"earshot: there is no alert {'f' * 16}\n")
    assert stacked("alerts", "show", "anger").code == 2
    assert "up to 16 hexadecimal digits" in stacked("alerts", "show", "0" * 17).err


def test_a_backtest_names_who_would_have_been_notified(stacked: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("hours.yaml").absolute()
    path.write_text(HOURS.replace("after: 1h", "after: 5m"))
    monkeypatch.setenv("EARSHOT_ALERTS", str(path))
    start = datetime(2026, 11, 5, 20, tzinfo=UTC)  # at nine in Berlin: chat is out of its hours
    names = [
        "event_key",
        "revision",
        "version",
        "platform",
        "kind",
        "language",
        "created_at",
        "occurred_at",
        "text_at",
        "brands",
    ]
    posts = [[n, n, 1, "forum", "post", "en", start, start, start, ["Acme"], "a recall"] for n in range(1, 3)]
    client.insert("interactions", posts, column_names=[*names, "text"])
    given = ("alerts", "backtest", "--rule", "crisis", "--from", "2026-11-05T20:00", "--to", "2026-11-05T23:00")
    (alert,) = json.loads(stacked(*given, "--json").out)["alerts"]
    at = "2026-11-05T20:06:00Z"
    assert alert["notified"] == [{"receiver": name, "at": at, "escalated": True} for name in ("duty", "pager")]
    monkeypatch.setenv("COLUMNS", "300")
    assert "duty 20:06 (escalated), pager 20:06 (escalated)" in stacked(*given).out


# --- tail -------------------------------------------------------------------------------------------------------------
def test_a_record_is_read_as_it_was_written() -> None:
    full = replace(FIRING, scope=Scope("Acme", "forum", "en", ""), ended_at=NOW, muted="silence 00")
    assert parse_alert(dump(full)) == full
    assert parse_alert(dump(OVER)) == OVER
    for broken in (b"", b"{", b"[]", b"{}", dump(full).replace(b"firing", b"burning"), dump(full).replace(b"2026-", b"x")):
        assert parse_alert(broken) is None


def test_the_past_comes_in_its_order_then_what_is_new(settings: Settings, stacked: Run) -> None:
    many = [replace(FIRING, key=n, changed_at=NOW + timedelta(seconds=n)) for n in range(40)]
    started = datetime.now(UTC) - timedelta(minutes=1)
    publish(settings, *many)
    found: list[Alert] = []
    stop = threading.Event()
    reader = threading.Thread(target=lambda: found.extend(_until(settings, started, stop, 42)))
    reader.start()
    wait_for("the past is read", lambda: len(found) == 40)
    publish(settings, OVER, LATE)
    reader.join(20)
    stop.set()
    assert found[:40] == many
    assert {each.key for each in found[40:]} == {OVER.key, LATE.key}


def _until(settings: Settings, since: datetime | None, stop: threading.Event, count: int) -> Iterator[Alert]:
    for position, each in enumerate(follow(settings.kafka, since, stop), 1):
        yield each
        if position == count:
            return


def test_tail_prints_what_is_news(settings: Settings, stacked: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with out.open("wb") as file:
        tail = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "alerts", "tail", "--min-severity", "4"], stdout=file, stderr=file
        )
    try:
        first = replace(FIRING, summary="hot\x1b[2J\nline")
        changes = [first, first.change(NOW, observed=0.95), first.change(NOW, state=State.ACKNOWLEDGED, actor="ines"), OVER]

        def published() -> bool:  # before it watches, nothing is seen
            publish(settings, *changes)
            return b"ACKNOWLEDGED" in out.read_bytes()

        wait_for("the alert is seen", published, every=0.5)
        tail.send_signal(signal.SIGINT)
        assert tail.wait(20) == 130
    finally:
        tail.kill()
        tail.wait()
    seen = out.read_text().splitlines()
    assert any(each.split()[1:5] == ["FIRING", "7", "Acme", "anger"] for each in seen)
    assert all("Brio" not in each and "\x1b" not in each for each in seen)
    assert "hot\\x1b[2J line" in seen[0] + seen[-1]


def test_a_change_of_numbers_is_no_news() -> None:
    news = News()
    acknowledged = FIRING.change(NOW, state=State.ACKNOWLEDGED, actor="ines", comment="we look")
    over = acknowledged.change(NOW, state=State.RESOLVED)
    changes = [FIRING, FIRING.change(NOW, observed=1), FIRING.change(NOW, severity=9), acknowledged, acknowledged, over]
    assert [news.is_new(each) for each in changes] == [True, False, True, True, False, True]
    assert line(acknowledged).plain.endswith(f"negative (ines: we look) {FIRING.hex[:8]}")
    assert "TEST" in line(replace(FIRING, test=True)).plain
    assert "(muted: silence 1)" in line(replace(FIRING, muted="silence 1")).plain
    escalated = FIRING.change(NOW, escalated_at=NOW)
    assert news.is_new(FIRING) and news.is_new(escalated) and not news.is_new(escalated.change(NOW, observed=1))
    assert "(escalated)" in line(escalated).plain and "escalated" not in line(replace(escalated, state=State.RESOLVED)).plain


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.9125, "0.912"), (12.0, "12"), (12.34, "12.3"), (1234567.8, "1,234,568")]
)
def test_numbers_have_as_many_digits_as_say_something(value: float | None, text: str) -> None:
    assert number(value) == text


# --- commands to control ----------------------------------------------------------------------------------------------
@pytest.fixture
def commands(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryCommands]:
    commands = MemoryCommands(FIRING, OVER)
    with serving(commands) as server:
        monkeypatch.setenv("EARSHOT_CONTROL__PORT", str(server.port))
        monkeypatch.setenv("EARSHOT_CONTROL__TOKEN", TOKEN)
        yield commands


def test_ack_silence_and_test_are_done_as_who_holds_the_token(run: Run, commands: MemoryCommands) -> None:
    done = run("alerts", "ack", FIRING.hex, "--comment", "we look")
    assert done == Done(0, f"{FIRING.hex} is acknowledged by ines\n", "")
    assert commands.alerts[FIRING.key].comment == "we look"
    made = run("alerts", "silence", "--brand", "Acme", "--rule", "anger", "--for", "2h", "--comment", "planned")
    assert (made.code, made.err) == (0, "")
    # The API of the tests has a clock of its own, so the request counts.
    assert made.out.startswith("silence 0000000000000001: rule anger / brand Acme is muted until 20")
    assert abs(commands.known[1].ends_at - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    listed = run("alerts", "silences")
    assert "rule anger / brand Acme" in listed.out and "ines" in listed.out and "planned" in listed.out
    assert json.loads(run("alerts", "silences", "--json").out)["brand"] == "Acme"
    assert run("alerts", "silence", "--lift", "0000000000000001").out == "silence 0000000000000001 is lifted\n"
    assert run("alerts", "silences").out == "no silences\n"
    assert run("alerts", "silence", "--platform", "forum", "--until", "2026-11-03").code == 0
    tested = run("alerts", "test", "anger", "--brand", "Acme")
    first, second = tested.out.splitlines()
    assert f"test alert {alert().hex} is on its way" in first
    assert second == "picky takes severity 8 and more: a real alert of this rule has 5"


def test_the_errors_of_the_control_api_are_passed_on(run: Run, commands: MemoryCommands) -> None:
    done = run("alerts", "ack", OVER.hex)
    assert (done.code, f"alert {OVER.hex} is resolved" in done.err, done.err.count("\n")) == (1, True, 1)
    assert "there is no rule 'angr'" in run("alerts", "test", "angr").err
    assert run("alerts", "silence", "--lift", "00000000000000ff").code == 1
    assert "there is no silence" in run("alerts", "silence", "--lift", "../test").err


def test_a_short_key_is_found_in_the_table(stacked: Run, client: Client, commands: MemoryCommands) -> None:
    insert(client, FIRING)
    assert stacked("alerts", "ack", FIRING.hex[:6]).out == f"{FIRING.hex} is acknowledged by ines\n"
    assert stacked("alerts", "ack", "ffff").code == 1


ASKING = (
    *(["ack", "0" * 16], ["silence", "--brand", "Acme", "--for", "2h"], ["silence", "--lift", "0" * 16]),
    *(["silences"], ["test", "anger"]),
)


@pytest.mark.parametrize("arguments", ASKING)
def test_without_control_one_line_says_what_must_run(run: Run, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("EARSHOT_CONTROL__PORT", str(port))
    done = run("alerts", *arguments)
    said = f"earshot: control at http://127.0.0.1:{port}: Connection refused; is `earshot control` or `earshot up` running?\n"
    assert done == Done(3, "", said)


@pytest.mark.parametrize("arguments", ASKING)
def test_a_token_that_is_refused_names_the_setting(
    run: Run, commands: MemoryCommands, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_CONTROL__TOKEN", "hunter2")
    done = run("alerts", *arguments)
    assert (done.code, done.out, "does not know the token of setting control.token" in done.err) == (2, "", True)
    assert "hunter2" not in done.err
    monkeypatch.setenv("EARSHOT_CONTROL__TOKEN", "")
    assert "wants a token: set control.token (EARSHOT_CONTROL__TOKEN)" in run("alerts", *arguments).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["silence", "--for", "2h"], "give --rule, --brand, --platform"),
        (["silence", "--brand", "Acme"], "give either --for or --until"),
        (["silence", "--brand", "Acme", "--for", "2h", "--until", "2026-11-03"], "give either --for or --until"),
        (["silence", "--brand", "Acme", "--for", "soon"], "--for soon: it should look like 90s, 10m, 4h or 1d"),
        (["silence", "--lift", "0" * 16, "--brand", "Acme"], "it goes with nothing else"),
        (["silence", "--lift", "0" * 16, "--comment", "over"], "it goes with nothing else"),
        (["ack", "no such key, 16 c"], "hexadecimal digits"),
        (["list", "--state", "burning"], "it is one or more of pending, firing, acknowledged, resolved"),
        (["tail", "--since", "soon"], "--since soon"),
    ],
)
def test_wrong_usage_is_said(run: Run, arguments: list[str], says: str) -> None:
    done = run("alerts", *arguments)
    assert (done.code, says in done.err) == (2, True), done.err


def test_the_folders_token_is_for_control_on_this_machine(tmp_path: Path) -> None:
    settings = Settings(embedded=EmbeddedSettings(data_dir=tmp_path))
    assert token_of(settings, "control") == ""
    token = make_token(tmp_path, "control")
    assert len(token) >= 16 and make_token(tmp_path, "control") == token
    assert make_token(tmp_path, "customers") == token_of(settings, "customers") != token
    assert (tmp_path / "secrets" / "control_token").stat().st_mode & 0o777 == 0o600
    assert token_of(settings, "control") == token
    assert token_of(settings.model_copy(update={"control": ControlSettings(host="10.0.0.1")}), "control") == ""
    assert token_of(settings.model_copy(update={"control": ControlSettings(token="another one")}), "control") == "another one"


# --- check ------------------------------------------------------------------------------------------------------------
RULES = """
receivers:
  - {name: chat, type: webhook, url_env: EARSHOT_TEST_CHAT, template: slack}
rules:
  - {name: anger, type: threshold, measure: negative_share, above: 0.7, window: 90m, receivers: [chat]}
  - {name: crisis, type: keyword, words: {en: [recall]}, brands: [Mobiqo, Nobody]}
"""


def test_check_says_what_is_in_the_file(run: Run, tmp_path: Path) -> None:
    default = run("alerts", "check").out
    assert "negative_share" in default and re.search(r"volume +│ spike +│ 1 and more +│", default)
    path = tmp_path / "alerts.yaml"
    path.write_text(RULES)
    done = run("alerts", "check", str(path))
    assert (done.code, len(done.err.splitlines())) == (1, 2)
    assert "measure negative_share, window 90m, above 0.7" in done.out and "words en (recall)" in done.out
    assert "rule crisis: no brand is named 'Nobody' in" in done.err
    assert "receiver chat: environment variable EARSHOT_TEST_CHAT is not set here" in done.err
    path.write_text(RULES.replace("above: 0.7", "abov: 0.7"))
    done = run("alerts", "check", str(path))
    assert done == Done(2, "", f"earshot: {path}: rules.0 (anger): abov: unknown key, did you mean 'above'?\n")
    path.write_text("rules: [{name: quiet, type: silence, after: 1h}]")
    done = run("alerts", "check", str(path))
    assert done.code == 2 and "rules.0 (quiet): type: silence is named no_data now" in done.err
    assert run("alerts", "check", "nowhere.yaml") == Done(2, "", "earshot: nowhere.yaml: No such file or directory\n")


HOURS = """
receivers:
  - name: chat
    type: webhook
    url: "https://ops.example/1"
    when: {days: [mon-fri], hours: "08:00-18:00", zone: Europe/Berlin}
  - {name: duty, type: webhook, url: "https://ops.example/2", when: {hours: "18:00-08:00", zone: Europe/Berlin}}
  - {name: pager, type: webhook, url: "https://ops.example/3", min_severity: 6}
rules:
  - {name: anger, type: threshold, measure: score, above: 0.7, receivers: [chat, duty], escalate: {after: 15m, to: [pager]}}
  - {name: many, type: threshold, measure: count, above: 9, receivers: [chat, duty]}
  - {name: people, type: threshold, measure: authors, above: 9, receivers: [chat, duty]}
  - {name: crisis, type: keyword, words: {en: [recall]}, receivers: [chat], escalate: {after: 1h, to: [duty, pager]}}
"""


def test_check_says_who_is_notified_at_which_hours(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(HOURS)
    done = run("alerts", "check", str(path))
    for part in (
        *("chat, duty; after 15m: pager (not: takes 6 and more)", "chat; after 1h: duty, pager ", "always"),
        *("mon-fri 08:00-18:00 Europe/Berlin", "any time"),
    ):
        assert part in done.out, part
    assert re.search(r"pager +│ any time +│ 6 and more", done.out) and re.search(r"many +│ threshold +│ 5 +│", done.out)
    never, *warnings = sorted(done.err.splitlines(), reverse=True)
    assert never == "rule anger: escalate: its alerts have severity 5, pager takes 6 and more"
    assert warnings == [
        "earshot: warning: rules anger, many, people: nobody is notified sat 08:00 to sat 18:00 Europe/Berlin, "
        "sun 08:00 to sun 18:00 Europe/Berlin: an alert of that time waits while it is open, and is never "
        "sent if it ends before"
    ]
    assert done.code == 1
    path.write_text(HOURS.replace(", min_severity: 6", ""))
    done = run("alerts", "check", str(path))
    assert done.code == 0 and done.err.startswith("earshot: warning: rules many, people: nobody is notified sat 08:00")
    path.write_text(
        HOURS.replace(", min_severity: 6", "").replace(
            'when: {hours: "18:00-08:00", zone: Europe/Berlin}',
            'when: [{days: [sat]}, {hours: "18:00-08:00", zone: Europe/Berlin}]',
        )
    )
    assert run("alerts", "check", str(path)).err.splitlines()[0] == (
        "earshot: warning: receiver duty: when: sat 00:00-24:00 UTC: these hours name no zone, others name Europe/Berlin"
    )
    path.write_text(HOURS.replace("to: [pager]", "to: [pagr]"))
    assert run("alerts", "check", str(path)) == Done(
        2, "", f"earshot: {path}: rule anger: escalate: to: there is no 'pagr', did you mean 'pager'?\n"
    )  # fmt: skip
