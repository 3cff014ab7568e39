"""`earshot up` and `reset`, as a person runs them."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.cli.live_line import NO_LISTENER, LiveLine
from pipeline.cli.up import sources_line
from pipeline.config.keys import Keys, Name
from pipeline.config.settings import ClickHouseSettings, EmbeddedSettings, PrivacySettings, Settings
from pipeline.embedded.privacy_keys import data_keys, hash_keys, make_keys, next_key, of_folder
from pipeline.embedded.reset import reset
from pipeline.embedded.secret import write_secret
from pipeline.embedded.stack import Stack
from pipeline.errors import StackError
from pipeline.monitoring.scrape import Samples
from tests.support.console_process import ask, log_in
from tests.support.up import Up

LONG = pytest.mark.timeout(1200)
"""Each of their waits is much shorter."""
PRODUCTION = """
[kafka]
bootstrap = "broker.example:9093"
security_protocol = "SASL_SSL"
sasl_password = "the broker's"
[clickhouse]
url = "https://clickhouse.example:8443"
password = "the database's"
[control]
token = "a token of ines, 24 long"
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start goes on where the one before was."""
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture
def start(data_dir: Path, stack: Stack) -> Iterator[Callable[[], Up]]:
    running: list[Up] = []

    def started() -> Up:
        (data_dir.parent / "earshot.toml").write_text(PRODUCTION)
        running.append(Up(data_dir, "--broker", stack.broker_kind, EARSHOT_CLICKHOUSE__USER="earshot"))
        return running[-1]

    yield started
    for up in running:
        up.end(signal.SIGKILL)


@LONG
def test_a_burst_of_anger_is_seen_and_looked_after_and_ctrl_c_stops_all(start: Callable[[], Up]) -> None:
    up = start()
    up.wait_for(lambda: bool(re.search(r"FIRING .* Rikshaway outage Rikshaway: .* ([0-9a-f]{8})$", up.text(), re.MULTILINE)))
    found = re.search(r"Rikshaway outage .* ([0-9a-f]{8})$", up.text(), re.MULTILINE)
    assert found is not None
    up.wait_for(lambda: bool(re.search(r"  alerts [1-9]", up.text())))

    up.wait_for(lambda: bool(re.search(r"  customers [1-9]\d* of [1-9]", up.text())))

    link = re.search(r"^console +(http://\S+/login/\S+)$", up.text(), re.MULTILINE)
    assert link is not None
    cookie = log_in(up.console_port, link[1])
    assert ask(up.console_port, "GET", "/", cookie).status == 200
    assert ask(up.console_port, "POST", "/login/" + link[1].rpartition("/")[2]).status == 404, "it works once"
    assert log_in(up.console_port, up.earshot("console", "login").strip())

    assert "Rikshaway" in up.earshot("alerts", "list")
    assert "outage" in up.earshot("alerts", "show", found[1])
    assert "is acknowledged by" in up.earshot("alerts", "ack", found[1], "--comment", "we look")
    assert up.earshot("send", "--text", "The kettle leaks")
    assert "Rikshaway" in up.earshot("query", "brands")
    assert "suggestion" in up.earshot("identity", "review")
    up.wait_for(lambda: "acknowledged)" in up.text())
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert up.end(signal.SIGINT) == 0, up.text()
    assert psutil.wait_procs(children, timeout=10)[1] == []


@LONG
def test_the_next_start_goes_on_what_is_killed_comes_back_and_sigterm_stops_all(
    start: Callable[[], Up], data_dir: Path
) -> None:
    up = start()
    up.wait_for(lambda: up.landed() > 0)
    assert "ignored, because everything runs on this machine: kafka.bootstrap, kafka.security_protocol, " in up.text()
    assert "the database's" not in up.text()
    with urllib.request.urlopen(f"{up.clickhouse_url}/?query=SELECT+count()+FROM+interactions") as answer:  # README's
        assert int(answer.read()) > 0
    children = psutil.Process(up.process.pid).children(recursive=True)
    for name in ("worker", "customers", "console"):
        next(child for child in children if child.status() != psutil.STATUS_ZOMBIE and name in child.cmdline()).kill()
    up.wait_for(lambda: all(f"{name} died (signal SIGKILL" in up.text() for name in ("worker", "customers", "console")))
    before, lines = up.landed(), len(up.said)
    up.wait_for(lambda: up.landed() > before)
    up.wait_for(lambda: bool(re.search(r"  customers [1-9]\d* of [1-9]", "".join(up.said[lines:]))))
    assert up.end(signal.SIGTERM) == 0, up.text()
    assert not re.search(r"batch \d", (data_dir / "logs/worker.log").read_text()), "a line a batch fills a disk"
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_folder_in_use_is_refused(stack: Stack) -> None:
    with pytest.raises(StackError, match="is in use"):
        reset(stack.data_dir)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "up", "--data-dir", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == StackError.exit_code
    assert "is in use by another `earshot up`" in done.stdout + done.stderr
    assert stack.children["clickhouse"].alive


KEYS: list[tuple[Name, Callable[[Settings], Keys]]] = [("hash_key", hash_keys), ("data_key", data_keys)]


@pytest.mark.parametrize(("name", "read"), KEYS)
def test_a_folders_keys_are_made_once_and_are_for_its_own_clickhouse_alone(
    tmp_path: Path, name: Name, read: Callable[[Settings], Keys]
) -> None:
    settings = Settings(embedded=EmbeddedSettings(data_dir=tmp_path))
    elsewhere = settings.model_copy(update={"clickhouse": ClickHouseSettings(url="http://127.0.0.2:8123")})
    given = settings.model_copy(update={"privacy": PrivacySettings.model_validate({name: "s3cret"})})
    assert not read(settings)
    (key,) = make_keys(tmp_path, name)
    assert len(key) == 64 and make_keys(tmp_path, name) == (key,)
    assert stat.S_IMODE((tmp_path / "secrets" / name).stat().st_mode) == 0o600
    assert (read(settings).all, read(elsewhere).all, read(given).all) == ((key,), (), ("s3cret",))
    for number, text in ((10, "third"), (2, "second"), (1, "first")):
        write_secret(tmp_path / "secrets" / f"{name}.{number}", text)
    write_secret(tmp_path / "secrets" / f"{name}.part", "not whole")
    assert read(settings).all == make_keys(tmp_path, name) == ("first", "second", "third", key)
    write_secret(tmp_path / "secrets" / f"{name}.11", key)
    assert read(settings).older == ("first", "second", "third"), "killed before the next one took its place"
    next_key(tmp_path, name)
    newest = read(settings)
    assert newest.older == ("first", "second", "third", key) and len(newest.newest) == 64
    assert of_folder(settings, name) and not of_folder(given, name)
    before = settings.model_copy(update={"privacy": PrivacySettings.model_validate({name: key})})
    assert read(before) == newest, "the file of `earshot up` has the keys of its start"


def samples(read: float, landed: float, duplicates: float) -> Samples:
    return {
        ("earshot_events_read_total", ""): read,
        ("earshot_events_landed_total", ""): landed,
        ("earshot_events_dropped_total", "duplicate"): duplicates,
        ("earshot_events_dropped_total", "irrelevant"): 1,
        ("earshot_sentiment_labelled_total", "negative"): duplicates,
        ("earshot_sentiment_labelled_total", "positive"): 1,
        ("earshot_sentiment_deferred_rows", ""): read,
        ("earshot_ready", ""): 1,
    }


def test_the_live_line_counts_over_restarts_of_the_worker() -> None:
    line = LiveLine()
    assert line.update(None) == "waiting for the worker"
    assert line.update(samples(1000, 900, 99)).startswith("read 1,000  landed 900  duplicates 99  dropped 1  rejected 0")
    assert "  labelled 100 (99 % negative)  deferred 1,000  " in line.update(samples(1000, 900, 99))
    assert "  alerts -  " in line.update(samples(1000, 900, 99))
    firing = {("earshot_alerts_open", "pending"): 5.0, ("earshot_alerts_open", "firing"): 2.0}
    assert "  alerts 2  " in line.update(samples(1000, 900, 99), firing)
    looked_at = firing | {("earshot_alerts_open", "acknowledged"): 1.0}
    assert "  alerts 3 (1 acknowledged)  " in line.update(samples(1000, 900, 99), looked_at)
    assert line.update(samples(10, 7, 2)).startswith("read 1,010  landed 907  duplicates 101  dropped 2  rejected 0")
    assert "  labelled 103 (98 % negative)  deferred 10  " in line.update(samples(10, 7, 2))


def test_the_live_line_says_how_many_customers_are_linked() -> None:
    line = LiveLine()
    assert "  customers -  " in line.update(samples(10, 7, 2)), "nobody answers"
    told = {("earshot_customers_linked", ""): 12.0, ("earshot_customers_profiles", ""): 1031.0}
    assert "  customers -  " in line.update(samples(10, 7, 2), customers=told), "it does not lead yet"
    told |= {("earshot_customers_leads", ""): 1.0}
    assert "  customers 12 of 1,031 accounts  " in line.update(samples(10, 7, 2), customers=told)
    told |= {("earshot_identity_breaker_holds", ""): 1.0}
    assert "  customers 12 of 1,031 accounts  links held  " in line.update(samples(10, 7, 2), customers=told)


def test_sources_that_are_here_and_not_heard_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sources_line(Settings()) == ""
    (tmp_path / "sources.yaml").write_text("sources: []")
    assert sources_line(Settings()) == "sources.yaml is here, and nobody listens to it: make run SOURCES=sources.yaml"
    given = Settings(sources=tmp_path / "sources.yaml")
    assert sources_line(given) == f"{tmp_path}/sources.yaml, state: earshot source list"


def test_the_live_line_says_how_the_sources_are() -> None:
    line, state = LiveLine(), "earshot_source_state"
    assert "sources" not in line.update(samples(10, 7, 2), None, NO_LISTENER)
    assert "  sources -  " in line.update(samples(10, 7, 2), None, None), "the listener does not answer"
    states = {(state, "running"): 3.0, (state, "no credentials"): 1.0, (state, "failing"): 0.0}
    assert "  sources 3 running, 1 no credentials  " in line.update(samples(10, 7, 2), None, states)
