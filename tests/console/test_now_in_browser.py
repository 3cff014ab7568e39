"""Page Now in a real Chromium: alerts come by themselves, and are acknowledged by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings
from pipeline.config.settings import Settings
from pipeline.kafka.topics import migrate_topics
from schemas.alerts import Alert, State, dump
from tests.support.console_browser import Served, chromium, logged_in, served
from tests.support.console_rows import a_thread, an_alert, now, write_alerts
from tests.support.control_api import CONSOLE, MemoryCommands, serving

COMMANDS = MemoryCommands()
BUSY = """() => {
    const act = document.getElementById("act");
    window.busy = [];
    new MutationObserver(() => busy.push(act.ariaBusy)).observe(act, { attributes: true, attributeFilter: ["aria-busy"] });
}"""
"""Keeps what is said of the part for acts."""
CUT = """() => [...document.querySelectorAll(".wide")]
    .filter((part) => part.innerText && part.scrollWidth > part.clientWidth).map((part) => part.innerText)"""
"""Tables that are wider than their part of the page."""


@pytest.fixture
def site(emptied: Settings) -> Iterator[tuple[Settings, Served]]:
    migrate_topics(emptied.kafka)
    COMMANDS.__init__()  # type: ignore[misc]  # as new
    with serving(COMMANDS) as server:
        control = ControlSettings(port=server.port, console_token=SecretStr(CONSOLE))
        settings = emptied.model_copy(update={"control": control})
        with served(settings) as site:
            yield settings, site


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def told(settings: Settings, *alerts: Alert) -> None:
    """They are in the table and in the topic."""
    with clickhouse_client(settings.clickhouse) as client:
        write_alerts(client, *alerts)
    producer = Producer(settings.kafka.client())
    for each in alerts:
        COMMANDS.alerts[each.key] = each
        producer.produce(settings.kafka.topic("alerts"), dump(each), each.hex.encode())
    assert producer.flush(60) == 0


def test_an_alert_comes_to_the_page_by_itself_and_is_acknowledged_by_keyboard(
    site: tuple[Settings, Served], browser: Any
) -> None:  # fmt: skip
    settings, console = site
    page, said = logged_in(browser, console, settings)
    page.wait_for_selector("#live .good")
    alert = an_alert(summary="<b>91 %</b> are negative")
    told(settings, alert)
    page.wait_for_selector(f"#firing #alert-{alert.hex}")
    assert "<b>91 %</b> are negative" in page.inner_text("#firing") and page.inner_text("#firing-count") == "1"

    page.focus(f"#ack-{alert.hex}")
    page.keyboard.press("Enter")
    page.wait_for_selector("#act input[name=comment]:focus")
    page.keyboard.type("on it")
    told(settings, louder := alert.change(now(), severity=9))  # the row changes, what is typed stays
    page.wait_for_selector(f"#alert-{alert.hex}[data-severity='9']")
    assert page.input_value("#act input[name=comment]") == "on it"
    page.keyboard.press("Enter")
    page.wait_for_selector("#act [role=status]")
    assert "Acknowledged." in page.inner_text("#act")
    assert [(act.actor, act.act, act.comment) for act in COMMANDS.acts] == [("ines", "acknowledge", "on it")]
    told(settings, louder.change(now(), state=State.ACKNOWLEDGED, actor="ines", comment="on it"))
    page.wait_for_selector(f"#acknowledged #alert-{alert.hex}")
    assert page.query_selector_all(f"#alert-{alert.hex}") and page.inner_text("#firing-count") == ""
    assert said == []


def test_the_page_of_an_alert_acknowledges_by_keyboard_too(site: tuple[Settings, Served], browser: Any) -> None:
    settings, console = site
    page, said = logged_in(browser, console, settings)
    alert = an_alert()
    told(settings, alert)
    page.goto(f"/alerts/{alert.hex}")
    page.evaluate(BUSY)
    page.focus("main >> role=link[name='Silence']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#act select[name=minutes]")
    page.wait_for_function("busy.join() === 'true,false'")  # it was said that the form is on its way
    page.focus("main >> role=link[name='Acknowledge']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#act input[name=comment]:focus")
    page.fill("#act input[name=comment]", "x" * 2_001)
    page.keyboard.press("Enter")
    page.wait_for_selector("#act .failed")
    assert page.input_value("#act input[name=comment]") == "x" * 2_001
    page.fill("#act input[name=comment]", "on it")
    page.keyboard.press("Enter")
    page.wait_for_selector("#act [role=status]")
    page.click("#act >> text=Close")
    assert page.inner_html("#act") == "" and page.url.endswith(f"/alerts/{alert.hex}")
    assert [(act.actor, act.act, act.comment) for act in COMMANDS.acts] == [("ines", "acknowledge", "on it")]
    assert said == []


def test_the_title_counts_only_when_it_is_wanted_and_the_filter_holds(site: tuple[Settings, Served], browser: Any) -> None:
    settings, console = site
    page, said = logged_in(browser, console, settings)
    page.goto("/?severity=5")
    page.wait_for_selector("#live .good")
    low, high = an_alert("volume", severity=3), an_alert("anger", severity=8)
    told(settings, low, high)
    page.wait_for_selector(f"#firing #alert-{high.hex}")
    assert page.query_selector(f"#alert-{low.hex}") is None and page.title() == "Now · Earshot"
    page.check("#badge-on")
    assert page.title() == "(1) Now · Earshot"
    page.reload()
    page.wait_for_selector(f"#firing #alert-{high.hex}")  # lists may be a second old: then the stream tells it
    assert page.title() == "(1) Now · Earshot" and not page.is_checked("#sound-on")
    page.check("#sound-on")
    told(settings, high.change(now(), state=State.RESOLVED, ended_at=now()))
    page.wait_for_selector(f"#resolved #alert-{high.hex}")
    assert page.title() == "Now · Earshot" and said == []


def test_alerts_that_come_stand_where_the_server_puts_them_and_silence_of_the_console_is_said(
    site: tuple[Settings, Served], browser: Any
) -> None:
    settings, console = site
    page, said = logged_in(browser, console, settings)
    page.clock.install()
    page.reload()
    page.wait_for_selector("#live .good")
    worst, low, high = an_alert("anger", severity=9), an_alert("volume", severity=2), an_alert("crisis", severity=8)
    for each in (worst, low, high):
        told(settings, each)
        page.wait_for_selector(f"#firing #alert-{each.hex}")
    keys = "() => [...document.querySelectorAll('#firing > li')].map((row) => row.id.slice(6))"
    assert page.evaluate(keys) == [worst.hex, high.hex, low.hex]
    told(settings, low.change(now(), severity=10))
    page.wait_for_selector(f"#firing > #alert-{low.hex}:first-child")
    come = page.evaluate(keys)
    page.reload()
    assert page.evaluate(keys) == come
    page.wait_for_selector("#live .good")

    hub = console.desk.hub
    hub._loop.call_soon_threadsafe(lambda: hub._beat.cancel())  # type: ignore[union-attr]  # it hangs
    page.wait_for_function("() => new Promise((told) => setTimeout(() => told(true)))")
    page.clock.fast_forward(60_000)
    page.wait_for_selector("#silent:not([hidden]) time")
    assert not page.is_visible("#live") and "not live since" in page.inner_text("#silent")
    hub._loop.call_soon_threadsafe(hub._beats)
    page.wait_for_selector("#live .good")
    assert not page.is_visible("#silent") and said == []
    with clickhouse_client(settings.clickhouse) as client:
        a_thread(client, "t3_abc")
    for width in (1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for path, part in (("/", "waiting"), (f"/alerts/{high.hex}", "alert")):
            page.goto(path)
            page.wait_for_selector(f"#{part} .wide table >> visible=true")
            assert page.evaluate(CUT) == [], (width, path)
    page.goto("/")
    page.wait_for_selector("#live .good")
    hub._loop.call_soon_threadsafe(console.desk.close)  # it ends
    page.wait_for_selector("#silent:not([hidden])")


def test_a_page_whose_session_is_over_goes_to_the_login(site: tuple[Settings, Served], browser: Any) -> None:
    settings, console = site
    page, _ = logged_in(browser, console, settings)
    page.wait_for_selector("#live .good")
    other = page.context.new_page()
    other.goto("/record")
    other.click("text=Log out")
    page.wait_for_url("**/login*")


def test_a_conversation_is_taken_without_a_script(site: tuple[Settings, Served], browser: Any) -> None:
    settings, console = site
    with clickhouse_client(settings.clickhouse) as client:
        a_thread(client, "t3_abc")
    page, _ = logged_in(browser, console, settings, java_script_enabled=False)
    page.click("#waiting >> text=Take")
    page.fill("input[name=comment]", "mine")
    page.click("main form >> text=Take")
    page.wait_for_url("**/done/*")
    assert "Taken." in page.inner_text("main")
    page.click("main >> text=Back")
    page.wait_for_url("**/#waiting")
    (case,) = COMMANDS.cases.known.values()
    assert (case.owner, case.comment) == ("ines", "mine")
