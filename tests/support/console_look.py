"""How the console looks: filled, empty and failing, in the widths and schemes that people have.

make console-pictures    # keeps the pictures, in build/pictures/
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.config.settings import Settings
from pipeline.console.brand_data import brand_url
from pipeline.console.reads import Reads
from pipeline.embedded.child import free_port
from schemas.acts import COLUMNS, Act, Way
from tests.support.console import link
from tests.support.console_browser import Served
from tests.support.console_day import fill_days
from tests.support.console_rows import a_letter, a_thread, now
from tests.support.console_whole import Whole

WIDTHS, SCHEMES, STATES = (320, 768, 1440), ("light", "dark"), ("filled", "empty", "failing")


class Look(NamedTuple):
    """A page as somebody sees it."""

    state: str
    name: str
    path: str


def looks(bench: Whole, incident: str = "") -> Iterator[Look]:
    """Every page in every state that it has; `incident`: the alert to look at."""
    alert, where = incident or bench.alert.hex, "brand=Acme&platform=reddit&conversation_id=t3_abc"
    at = now()
    times = f"from={at - timedelta(hours=6):%Y-%m-%dT%H:%M}&to={at + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    always = {
        "now": "/", "brands": "/brands", "brand": brand_url("Acme"), "posts": f"/posts?brand=Acme&{times}",
        "silences": "/silences", "operations": "/operations", "source": "/operations/sources/feed",
        "dead letters": "/operations/dead-letters", "send again": "/operations/dead-letters/replay", "record": "/record",
        "not found": "/nothing", "silence": "/silence", "test": "/test",
    }  # fmt: skip
    rows = {"alert": f"/alerts/{alert}", "acknowledge": f"/alerts/{alert}/acknowledge", "take": f"/cases/take?{where}"}
    wrong = {"wrong filter": "/?severity=x", "wrong record": "/record?from=never", "wrong brand": "/brands/Acme?to=soon"}
    for state in STATES:
        for name, path in (always | (rows | wrong if state == "filled" else {"alert": f"/alerts/{alert}"})).items():
            if (state, name) != ("empty", "alert"):
                yield Look(state, name, path)


def fill(client: Client) -> str:
    """What a day with an incident leaves; the key of its alert."""
    at = now()
    incident = fill_days(client)
    for number, brand in enumerate(("Acme", "Northwind Air", "Acme")):
        a_thread(client, f"t3_{number}", brand, waiting_since=at - timedelta(minutes=30 * number + 5), waiting=number + 1)
    for number in range(3):
        raw = b'{"id": "r-%d", "platform": "reddit", "kind": "nonsense", "text": "Mail me: mia@example.org"}' % number
        a_letter(
            client, number + 2, raw, "kind is not one of post, comment, reply, repost, review, message", b"reddit:r-%d" % number
        )
    ways: list[Way] = ["console", "api", "command line"]
    acts = [
        Act(
            "ines",
            ways[n % 3],
            what,
            "anger of Acme",
            "at it",
            after={"state": "done"},
            outcome="done" if n else "control is away",
        )
        for n, what in enumerate(("acknowledge", "silence", "take", "pause source", "replay dead letters"))
    ]
    client.insert("acts", [act.row() for act in acts], column_names=COLUMNS)
    silence = {
        "silence_id": 1, "version": 1, "brand": "Acme", "rule": "volume", "platform": "", "starts_at": at,
        "ends_at": at + timedelta(hours=2), "actor": "otto", "comment": "planned work", "changed_at": at,
    }  # fmt: skip
    client.insert("alert_silences", [list(silence.values())], column_names=list(silence))
    health = {
        "source": "feed", "platform": "rss", "state": "failing", "reason": "HTTP 503 of blog.example.org", "since": at,
        "last_contact": at - timedelta(minutes=9), "last_event": at - timedelta(hours=1), "events": 1240, "errors": 3,
        "left_out": {"podcast": 4}, "listener": "host 1", "written_at": at,
    }  # fmt: skip
    client.insert("source_health", [list(health.values())], column_names=list(health))
    gap = ["feed", "rss", at - timedelta(hours=5), at - timedelta(hours=4), "the feed has no older entries", at]
    columns = ["source", "platform", "since", "until", "reason", "found_at"]
    client.insert("source_gaps", [gap], column_names=columns)
    return incident


def lose_clickhouse(site: Served) -> None:
    """From now on pages can't read; sessions that are known go on."""
    desk = site.desk
    away = desk.settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"})
    desk.reads, desk.settings = Reads(away), desk.settings.model_copy(update={"clickhouse": away})


def tab_of(chrome: Any, site: Served, settings: Settings, width: int, scheme: str) -> Any:
    """A tab of somebody who is an admin. Its context goes around the policy, for the script that looks at the page."""
    context = chrome.new_context(
        base_url=site.base,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        bypass_csp=True,
    )
    tab = context.new_page()
    tab.goto(link(settings))
    tab.click("main button")
    tab.wait_for_url(f"{site.base}/")
    return tab
