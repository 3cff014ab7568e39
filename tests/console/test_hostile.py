"""What strangers wrote, in a real Chromium: on every page it is a text, and does nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from confluent_kafka import Producer

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.brand_data import brand_url
from pipeline.kafka.topics import migrate_topics
from schemas.alerts import dump
from tests.support.console import Browser, link
from tests.support.console_browser import Served, chromium, served
from tests.support.console_hostile import MARK, TEXTS, Written, fill
from tests.support.console_routes import STREAM, pages
from tests.support.console_whole import Whole, whole

WATCH = """
window.reports = [];
document.addEventListener('securitypolicyviolation', each => window.reports.push(each.violatedDirective + each.blockedURI));
"""
FAULTS = r"""
([mark, base]) => {
    const faults = [...window.reports.map(each => `CSP ${each}`)];
    if (window.ran !== undefined) faults.push('a script ran');
    const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2067\ufeff]/;
    for (const it of document.querySelectorAll('*')) {
        const name = it.tagName.toLowerCase();
        if (['iframe', 'object', 'embed', 'base', 'style', 'animate'].includes(name)) faults.push(`element ${name}`);
        if (name === 'script' && (!it.src || it.textContent)) faults.push('a script of its own');
        for (const {name: key, value} of it.attributes) {
            const where = `${name} ${key}=${value.slice(0, 60)}`;
            if (key.startsWith('on') || key.startsWith('hx-on') || key === 'srcdoc') faults.push(where);
            if (key === 'style' && !it.closest('.uplot')) faults.push(where);  // uPlot's script sets some
            const asks = /^(data-)?(hx-(get|post|put|delete|patch)|sse-connect)$/.test(key);
            if (asks && !/^\/(?!\/)/.test(value)) faults.push(where);
            if (key === 'title' && unseen.test(value)) faults.push(`unseen in ${where}`);
            if (['href', 'src', 'action', 'formaction'].includes(key)) {
                const url = new URL(value, document.baseURI);
                if (!['http:', 'https:'].includes(url.protocol)) faults.push(where);
                const strange = url.origin !== base;
                if (strange && (name !== 'a' || !/noopener noreferrer/.test(it.rel))) faults.push(`elsewhere ${where}`);
            }
        }
    }
    const texts = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const it = texts.currentNode, parent = it.parentElement, text = it.nodeValue;
        const where = `${parent.tagName} in ${parent.parentElement?.tagName}: ${text.trim().slice(0, 60)}`;
        if (unseen.test(text)) faults.push(`unseen in ${where}`);
        const alone = parent.closest('bdi, option, pre, title') || /[\u2066-\u2068][^\u2069]*$/.test(text.split(mark)[0]);
        if (text.includes(mark) && !alone) faults.push(`not isolated: ${where}`);
        const line = /\u0301{8,}/.test(text) ? 'a pile of marks' : /\w{400,}/.test(text) ? 'a word without end' : '';
        if (line && !parent.closest('pre')) faults.push(`${line} in ${where}`);
    }
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (wide > 0) faults.push(`${wide} px wider than the window`);
    return [...new Set(faults)];
}
"""
NARROW = {"width": 320, "height": 640}


class Watched:
    """A tab that keeps what must not be: `faults` by page."""

    def __init__(self, chrome: Any, site: Served, settings: Settings, name: str) -> None:
        self.context = chrome.new_context(base_url=site.base, viewport=NARROW)
        self.context.add_init_script(WATCH)
        self.tab, self.base = self.context.new_page(), site.base
        self.tab.set_default_timeout(60_000)
        self.faults: dict[str, list[str]] = {}
        self._seen: list[str] = []
        self.context.on("request", self._request)
        self.context.on("page", lambda page: self._seen.append(f"a window: {page.url}"))
        self.tab.on("dialog", self._dialog)
        self.tab.on("pageerror", lambda error: self._seen.append(f"error: {error}"))
        self.tab.on("console", lambda said: self._seen.append(said.text) if said.type in ("error", "warning") else None)
        self.tab.goto(link(settings, name))
        self._look("the login")
        self.tab.click("main button")
        self.tab.wait_for_url(f"{site.base}/")

    def look(self, path: str, statuses: tuple[int, ...] = (200,)) -> None:
        """Opens the page, unfolds what is folded, and notes what is wrong."""
        answer = self.tab.goto(path, wait_until="load")
        if answer.status not in statuses:
            self._seen.append(f"status {answer.status}")
        self._seen = [each for each in self._seen if "Failed to load resource" not in each or answer.ok]
        self._look(path)

    def _look(self, path: str) -> None:
        self.tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        self._seen += self.tab.evaluate(FAULTS, [MARK, self.base])
        if self._seen:
            self.faults[path[:200]] = self._seen
        self._seen = []

    def _request(self, request: Any) -> None:
        if not request.url.startswith((f"{self.base}/", "data:image/")):
            self._seen.append(f"asked for {request.url[:100]}")

    def _dialog(self, dialog: Any) -> None:
        self._seen.append(f"a dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def bench(emptied: Settings, tmp_path: Path) -> Iterator[Whole]:
    migrate_topics(emptied.kafka)
    with whole(emptied, tmp_path) as console:
        yield console


@pytest.fixture
def written(bench: Whole) -> list[Written]:
    with clickhouse_client(bench.settings.clickhouse) as client:
        return fill(client)


def addresses(bench: Whole, written: list[Written]) -> Iterator[str]:
    """Every page, then those of each text; parts, JSON and files aside, which are no documents."""
    files = ("/charts/", "/record.csv", "/operations/dead-letters/raw", "/now/")
    yield from (way.path for way in pages(bench.app, bench.names) if not way.route.startswith(files))
    for each in written:
        key, name = each.alert.hex, each.name
        where = urlencode({"brand": name, "platform": name, "conversation_id": name})
        yield from (f"/alerts/{key}", f"/alerts/{key}/acknowledge", f"/silence?alert={key}", f"/cases/take?{where}")
        if "\0" not in name:
            yield from (brand_url(name, span="1h"), f"/?{urlencode({'brand': name})}")
        yield f"/record?{urlencode({'actor': name, 'subject': name, 'act': name})}"
        yield f"/operations/dead-letters?{urlencode({'reason': name})}"
        yield f"/brands?{urlencode({'search': name})}"


@pytest.mark.timeout(600)
def test_nothing_that_strangers_wrote_runs_or_asks_or_hides(bench: Whole, written: list[Written]) -> None:
    with chromium() as chrome, served(bench.settings) as site:
        tab = Watched(chrome, site, bench.settings, TEXTS[0])
        for path in addresses(bench, written):
            tab.look(path, (200, 303, 400, 404))
        tab.tab.set_viewport_size({"width": 1440, "height": 900})
        tab.look("/")
        tab.tab.wait_for_selector("#live .good")
        producer = Producer(bench.settings.kafka.client())
        for each in written:
            changed = each.alert.change(each.alert.changed_at)
            producer.produce(bench.settings.kafka.topic("alerts"), dump(changed), each.alert.hex.encode())
        producer.flush(10)
        tab.tab.wait_for_function("document.querySelectorAll('#acknowledged .alert').length >= 10")
        tab._look("the stream")
        for selector in ("#alerts .acts a", "#waiting .acts a"):
            tab.tab.click(selector)
            tab.tab.wait_for_selector("#act form")
            tab._look(f"the part of {selector}")
            tab.tab.click("#act [data-close]")
        tab.context.close()
    assert tab.faults == {}


def test_parts_json_and_files_are_what_they_say_and_no_pages(bench: Whole, written: list[Written]) -> None:
    browser = Browser(bench.app)
    browser.log_in(bench.settings)
    charts = [f"/charts/alert/{each.alert.hex}" for each in written]
    written = [each for each in written if "\0" not in each.name]  # no brand has one
    charts += [f"/charts/brand/volume?brand={quote(each.name)}" for each in written]
    for path in [*charts, *(way.path for way in pages(bench.app, bench.names) if way.route != STREAM)]:
        answer = browser.get(path, hx_request="true")
        kind = answer.headers.get("content-type", "").partition(";")[0]
        assert answer.status_code in (200, 303), path
        assert "nosniff" in answer.headers["x-content-type-options"]
        if path.startswith("/charts/"):
            assert kind == "application/json" and json.loads(answer.text) is not None
        elif path.startswith(("/record.csv", "/operations/dead-letters/raw")):
            assert kind in ("text/csv", "application/octet-stream") and "attachment" in answer.headers["content-disposition"]
        else:
            shown = re.sub(r' value="[^"]*"', "", answer.text)
            assert not [each for each in ("<script>", "<img", "\u202e") if each in shown], path


def test_no_cell_of_the_csv_is_a_formula(bench: Whole, written: list[Written]) -> None:
    browser = Browser(bench.app)
    browser.log_in(bench.settings)
    rows = list(csv.reader(io.StringIO(browser.get("/record.csv").content.decode("utf-8-sig"), newline="")))
    assert len(rows) > len(written)
    begun = [cell for row in rows[1:] for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert begun == []
