"""What people do on page Now: acknowledge, silence, lift, test, take conversations. A real control API answers, over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from pipeline.api.client import ControlClient
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings
from pipeline.config.settings import Settings
from pipeline.console.reads import Reads
from pipeline.embedded.child import free_port
from schemas.alerts import Alert, State
from tests.support.beside import beside
from tests.support.console import Browser, app_of, password, users_file
from tests.support.console_rows import an_alert, now, write_alerts
from tests.support.control_api import CONSOLE, MemoryCommands, serving
from tests.support.link import Link


class Bench(NamedTuple):
    """A console with its control, an alert that fires, and ines, who is an admin."""

    settings: Settings
    commands: MemoryCommands
    alert: Alert
    ines: Browser
    lars: Browser


@pytest.fixture
def bench(emptied: Settings) -> Iterator[Bench]:
    alert = an_alert()
    commands = MemoryCommands(alert)
    with clickhouse_client(emptied.clickhouse) as client, serving(commands) as server:
        write_alerts(client, alert)
        control = ControlSettings(port=server.port, console_token=SecretStr(CONSOLE))
        settings = emptied.model_copy(update={"control": control})
        app = app_of(settings)
        ines, lars = Browser(app), Browser(app)
        ines.log_in(settings)
        lars.log_in(settings, "lars")
        yield Bench(settings, commands, alert, ines, lars)


def test_an_alert_is_acknowledged_in_the_persons_name(bench: Bench) -> None:
    form = bench.ines.get(f"/alerts/{bench.alert.hex}/acknowledge").text
    assert "Nobody is reminded again" in form and "Acme: 91 % of 120 are negative" in form
    answer = bench.ines.act(f"/alerts/{bench.alert.hex}/acknowledge", {"comment": " at it "})
    page = bench.ines.get(answer.headers["location"]).text
    assert answer.status_code == 303 and "Acknowledged." in page and f'href="/#alert-{bench.alert.hex}">Back' in page
    done = bench.commands.alerts[bench.alert.key]
    assert (done.state, done.actor, done.comment) == (State.ACKNOWLEDGED, "ines", "at it")
    assert [(act.actor, act.way, act.act) for act in bench.commands.acts] == [("ines", "console", "acknowledge")]
    path = f"/alerts/{bench.alert.hex}/acknowledge?from=alert"
    assert f'href="/alerts/{bench.alert.hex}">Leave it' in bench.lars.get(path).text
    page = bench.lars.get(bench.lars.act(path, {"again": "yes"}).headers["location"]).text
    assert f'href="/alerts/{bench.alert.hex}">Back' in page


def test_a_comment_that_is_too_long_is_refused_and_kept_whole(bench: Bench) -> None:
    long, whole = "\U0001f98a" * 2_001, "\U0001f98a" * 2_000
    path = f"/alerts/{bench.alert.hex}/acknowledge"
    assert "maxlength" not in bench.ines.get(path).text
    answer = bench.ines.act(path, {"comment": long})
    assert answer.status_code == 422 and "Comment: it has 2,001 characters, and 2,000 are the most" in answer.text
    assert f'value="{long}"' in answer.text and bench.commands.acts == []
    assert bench.ines.act(path, {"comment": f" {whole} "}).status_code == 303
    assert [act.comment for act in bench.commands.acts] == [whole]


def test_an_alert_that_is_over_by_now_says_so_in_place_of_a_button(bench: Bench) -> None:
    with clickhouse_client(bench.settings.clickhouse) as client:
        write_alerts(client, bench.alert.change(now(), state=State.RESOLVED, ended_at=now()))
    form = bench.ines.get(f"/alerts/{bench.alert.hex}/acknowledge").text
    assert "It is over: there is nothing to acknowledge." in form and "<button>" not in form


def test_the_second_of_two_tabs_is_told_who_was_first_and_may_take_it_over(bench: Bench) -> None:
    path = f"/alerts/{bench.alert.hex}/acknowledge"
    bench.ines.act(path, {"comment": "mine"})
    answer = bench.lars.act(path, {"comment": "typed by lars"})
    assert answer.status_code == 409
    assert 'ines has acknowledged it, at </bdi><time datetime="2026-11-02T10:30:00.000Z"' in answer.text
    assert 'value="typed by lars"' in answer.text
    assert bench.lars.act(path, {"comment": "", "again": "yes"}).status_code == 303
    assert bench.commands.alerts[bench.alert.key].actor == "lars"


def test_who_comes_to_an_alert_that_somebody_has_is_told_before(bench: Bench) -> None:
    with clickhouse_client(bench.settings.clickhouse) as client:
        write_alerts(client, bench.alert.change(now(), state=State.ACKNOWLEDGED, actor="mara", comment="calling them"))
    form = bench.ines.get(f"/alerts/{bench.alert.hex}/acknowledge").text
    assert 'mara has it already, since </bdi><time datetime="2' in form and "calling them" in form and "Take it over" in form
    assert 'name="again" value="yes"' in form


@pytest.mark.parametrize("key", ["0" * 16, "xyz", "0" * 15, "%00", "b303796f42947e5g"])
def test_a_key_that_is_none_is_not_found(bench: Bench, key: str) -> None:
    assert bench.ines.get(f"/alerts/{key}/acknowledge").status_code == 404
    assert bench.ines.act(f"/alerts/{key}/acknowledge", {"comment": "x"}).status_code == 404
    assert bench.commands.acts == []


def test_a_silence_has_an_end_and_says_of_what(bench: Bench) -> None:
    form = bench.ines.get(f"/silence?alert={bench.alert.hex}").text
    assert 'name="brand" value="Acme"' in form and 'name="rule" value="anger"' in form
    typed = {"brand": "Acme", "rule": "", "platform": "", "minutes": "120", "comment": "planned"}
    for wrong in ({"minutes": ""}, {"minutes": "0"}, {"minutes": "99999999"}, {"brand": ""}):
        answer = bench.ines.act("/silence", typed | wrong)
        assert answer.status_code == 422 and 'value="planned"' in answer.text
    answer = bench.ines.act("/silence", typed)
    page = bench.ines.get(answer.headers["location"]).text
    assert answer.status_code == 303 and 'for 2 hours: brand Acme.</bdi> It ends <time datetime="20' in page
    (made,) = bench.commands.known.values()
    assert (made.brand, made.actor, made.comment) == ("Acme", "ines", "planned")
    assert bench.ines.act("/silences/0000000000000001/lift").status_code == 303
    assert bench.commands.known == {}


def test_silences_are_listed_until_their_end(bench: Bench) -> None:
    columns = ["silence_id", "version", "brand", "rule", "starts_at", "ends_at", "actor", "comment", "changed_at"]
    at, later = now(), now().replace(year=2099)
    rows = [
        [1, 1, "Acme", "", at, later, "ines", "<b>", at],
        [2, 1, "Zeta", "", at, later, "", "", at],
        [2, 2, "Zeta", "", at, at, "", "", at],
    ]
    with clickhouse_client(bench.settings.clickhouse) as client:
        client.insert("alert_silences", rows, column_names=columns)
    page = bench.ines.get("/silences").text
    assert "Acme" in page and "&lt;b&gt;" in page and "Zeta" not in page.split("<main")[1].split("<details")[0]
    refused = bench.ines.act("/silences/00000000000000ff/lift")
    assert refused.status_code == 409 and "there is no silence" in refused.text


def test_a_test_says_what_it_leaves_open(bench: Bench) -> None:
    answer = bench.ines.follow(bench.ines.act("/test", {"rule": "anger", "brand": "Acme", "comment": "new receiver"}))
    assert answer.status_code == 200 and bench.commands.acts[0].comment == "new receiver"
    assert "picky takes severity 8 and more" in answer.text and 'href="/alerts/' in answer.text
    refused = bench.ines.act("/test", {"rule": "angr"})
    assert refused.status_code == 404 and 'value="angr"' in refused.text


def test_a_conversation_is_taken_handed_over_and_done(bench: Bench) -> None:
    where = {"brand": "Acme", "platform": "reddit", "conversation_id": "t3_<b>"}
    form = bench.ines.client.get("/cases/take", params=where).text
    assert "t3_&lt;b&gt;" in form
    assert bench.ines.act("/cases/take", where | {"comment": "mine"}).status_code == 303
    answer = bench.lars.act("/cases/take", where | {"comment": "typed"})
    assert answer.status_code == 409 and "ines has it" in answer.text and 'value="typed"' in answer.text
    answer = bench.ines.act("/cases/hand-over", where | {"owner": "lars"})
    assert 'href="/#waiting">Back' in bench.ines.get(answer.headers["location"]).text
    assert bench.lars.act("/cases/done", where).status_code == 303
    (case,) = bench.commands.cases.known.values()
    assert (case.state, case.actor) == ("done", "lars")
    assert bench.ines.get("/cases/take").status_code == 400
    assert bench.ines.client.get("/cases/steal", params=where).status_code == 404


def test_htmx_gets_the_part_alone_and_the_lists_are_read_anew(bench: Bench) -> None:
    form = bench.ines.get(f"/alerts/{bench.alert.hex}/acknowledge", hx_request="true").text
    assert "<html" not in form and 'hx-target="#act"' in form
    csrf = bench.ines.csrf()
    answer = bench.ines.post(f"/alerts/{bench.alert.hex}/acknowledge", {"csrf": csrf}, hx_request="true")
    assert (answer.status_code, answer.headers["hx-trigger"]) == (200, "alerts-changed")
    assert "<html" not in answer.text and "Acknowledged." in answer.text
    long = {"csrf": csrf, "comment": "x" * 2_001}
    refused = bench.ines.post(f"/alerts/{bench.alert.hex}/acknowledge", long, hx_request="true")
    assert refused.status_code == 200 and 'class="failed"' in refused.text, "htmx puts in nothing of another status"


def test_without_control_the_act_is_not_done_and_what_was_typed_stays(bench: Bench) -> None:
    away = bench.settings.model_copy(update={"control": ControlSettings(port=free_port(), console_token=SecretStr(CONSOLE))})
    ines = Browser(app_of(away))
    ines.log_in(away)
    answer = ines.act(f"/alerts/{bench.alert.hex}/acknowledge", {"comment": "what I typed"})
    assert answer.status_code == 503
    assert "process control: Connection refused; nothing was done" in answer.text
    assert "http://" not in answer.text.split("<main")[1] and 'value="what I typed"' in answer.text
    assert ines.get("/").status_code == 200


def test_without_clickhouse_nothing_is_done_and_what_was_typed_stays(bench: Bench) -> None:
    desk, clickhouse = bench.ines.client.app.state.desk, bench.settings.clickhouse  # type: ignore[attr-defined]
    where, csrf = f"/alerts/{bench.alert.hex}/acknowledge?from=alert", bench.ines.csrf()
    with Link(free_port(), urlsplit(clickhouse.url).port or 0) as link:
        desk.reads = Reads(clickhouse.model_copy(update={"url": f"http://127.0.0.1:{link.port}"}))
        assert bench.ines.get(where).status_code == 200
        link.cut()
        for path in (where, "/silence", "/test", "/cases/take"):
            form = {"csrf": csrf, "comment": "what I typed", "brand": "a", "platform": "x", "conversation_id": "1"}
            form |= {"rule": "anger", "minutes": "60"}
            for htmx, status in (("", 503), ("true", 200)):
                answer = bench.ines.post(path, form, **({"hx_request": htmx} if htmx else {}))
                assert answer.status_code == status and f'action="{path}"' in answer.text, path
                assert "ClickHouse does not answer" in answer.text and "it was not done." in answer.text
                assert 'value="what I typed"' in answer.text
        part = bench.ines.get(where, hx_request="true", hx_target="act")
        assert part.status_code == 200 and "ClickHouse does not answer" in part.text and "<button>" not in part.text
        assert bench.ines.act("/silences/0000000000000001/lift", {}, page="/silence").status_code == 503
        desk.reads.close()
    assert bench.commands.acts == []


def test_a_control_that_dies_before_it_answers_may_have_done_it_and_the_page_says_so(bench: Bench) -> None:
    def die() -> None:
        taken, _ = control.accept()
        with taken:
            taken.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as control:
        port = control.getsockname()[1]
        dying = bench.settings.model_copy(update={"control": ControlSettings(port=port, console_token=SecretStr(CONSOLE))})
        ines = Browser(app_of(dying))
        ines.log_in(dying)
        with beside(die, "control"):
            answer = ines.act(f"/alerts/{bench.alert.hex}/acknowledge", {"comment": "what I typed"})
    assert answer.status_code == 503 and "it may have done it: look, and ask again" in answer.text
    assert "Whether it is done is not known: look at Record" in answer.text
    assert '<a href="/record">Look at Record</a>' in answer.text
    assert "running?" not in answer.text and 'value="what I typed"' in answer.text


def test_a_control_that_stands_still_holds_nobody_for_long(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as control:  # it takes requests, and answers none
        port = control.getsockname()[1]
        frozen = bench.settings.model_copy(update={"control": ControlSettings(port=port, console_token=SecretStr(CONSOLE))})
        app = app_of(frozen)
        app.state.desk.control = ControlClient(frozen, 0.2)
        ines = Browser(app)
        ines.log_in(frozen)
        answer = ines.act("/silence", {"rule": "anger", "minutes": "60", "comment": "what I typed"})
    assert answer.status_code == 503 and 'value="what I typed"' in answer.text
    assert "it may still do it. Whether it is done is not known: look at Record" in answer.text


def test_only_ops_and_admins_act(bench: Bench, tmp_path: Path) -> None:
    users = users_file(tmp_path / "users.yaml", vera="viewer analyst steward sre", otto="ops")
    console = bench.settings.console.model_copy(update={"users": users})
    app = app_of(bench.settings.model_copy(update={"console": console}))
    vera, otto = Browser(app), Browser(app)
    for browser, name in ((vera, "vera"), (otto, "otto")):
        assert browser.post("/login", {"name": name, "password": password(name)}).status_code == 303
    acts = (f"/alerts/{bench.alert.hex}/acknowledge", "/silence", "/silences/0000000000000001/lift", "/test", "/cases/take")
    for path in acts:
        assert vera.act(path).status_code == 403, path
        assert otto.act(path).status_code != 403, path
    assert 'class="grid now looks"' in vera.get("/").text and 'class="grid now"' in otto.get("/").text
