"""Every page, filled, empty and failing, looked at by axe: in both schemes, on a telephone and on a desk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.kafka.topics import migrate_topics
from tests.support.console_browser import chromium, served
from tests.support.console_look import SCHEMES, STATES, WIDTHS, fill, looks, lose_clickhouse, tab_of
from tests.support.console_whole import Whole, whole

pytestmark = [pytest.mark.look, pytest.mark.timeout(900)]
PICTURES = os.environ.get("PICTURES", "")
"""The folder that pictures are kept in; blank: none is."""
WIDE = """
() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
    [...document.querySelectorAll('body *')].filter(it => {
        const end = it.getBoundingClientRect().right;
        return end > document.documentElement.clientWidth + 1 && !it.closest('.wide, pre, .hidden, .skip');
    }).slice(0, 3).map(it => `${it.tagName} ${it.className} ${it.id}`)
"""


@pytest.fixture
def bench(emptied: Settings, tmp_path: Path) -> Iterator[Whole]:
    migrate_topics(emptied.kafka)
    with whole(emptied, tmp_path) as console:
        yield console


def violations(tab: Any) -> list[str]:
    """What is serious, or worse; with what is folded unfolded."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="package axe-playwright-python is not installed")
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = axe.Axe().run(tab).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:2]
    ]


@pytest.mark.logs_errors
@pytest.mark.parametrize("state", STATES)
def test_no_page_shuts_anybody_out(bench: Whole, state: str) -> None:
    incident = ""
    with clickhouse_client(bench.settings.clickhouse) as client:
        if state == "filled":
            incident = fill(client)
        elif state == "empty":
            for table in ("alerts", "alerts_now", "threads", "dead_letters", "acts"):
                client.command(f"TRUNCATE TABLE {table} SYNC")
    wrong = dict[str, object]()
    with chromium() as chrome, served(bench.settings) as site:
        tabs = [(scheme, width, tab_of(chrome, site, bench.settings, width, scheme)) for scheme in SCHEMES for width in WIDTHS]
        if state == "failing":
            lose_clickhouse(site)
        for scheme, width, tab in tabs:
            for look in looks(bench, incident):
                if look.state != state:
                    continue
                tab.goto(look.path, wait_until="load")
                tab.wait_for_function("!document.querySelector('[data-chart]:not(.drawn), [aria-busy=true]')")
                if PICTURES:
                    name = f"{look.name.replace(' ', '-')}-{look.state}-{scheme}-{width}.png"
                    tab.screenshot(path=Path(PICTURES) / name, full_page=True)
                found = violations(tab) + [f"wider than the window: {each}" for each in tab.evaluate(WIDE)]
                if found:
                    wrong[f"{look.path} {scheme} {width}"] = found
            tab.context.close()
    assert wrong == {}, "\n".join(f"{where}: {what}" for where, what in wrong.items())
