"""Each page of the console, over many interactions while others land: how long the server takes, when a browser paints the
first one, and how much it loads.

A worker, control and its rollups, and RATE events a second run beside a real `earshot console`. One person reads: page after
page in rounds, each round about another brand, so that what is kept for seconds is as fresh as for people. Time: from the
request until the last byte of the answer has come, on loopback.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlencode

import numpy as np

from benchmarks.alerts import Control, rules_file
from benchmarks.branded import streaming
from benchmarks.console_process import HOST, Answer, Console
from benchmarks.console_tables import COUNTS, brands_file, fill_console, sources_file
from benchmarks.ground import Worker, ground
from benchmarks.identity_tables import database
from benchmarks.progress import bar
from benchmarks.queries import begin_rollups, settle
from benchmarks.query_tables import BRANDS, Size, brand, fill, roll_up
from benchmarks.report import MS, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.embedded.child import free_port
from schemas.times import rfc3339

NAMES = ("console.page_p95_ms", "console.first_page_kb", "console.first_paint_ms")
RATE, PAINTS = 2_000, 20
LEAST, ROUNDS = 20, 40
"""Rounds: beyond LEAST none begins once the time is over."""
PACE_S = 0.1
"""The shortest rest between two pages."""
RANKS = (1, 2, 3, 5, 8, 20, 50, 100)
"""Of the brands that the rounds are about, by volume."""
SPANS = {"1h": "an hour", "30d": "a month", "2y": "two years"}
CHARTS = ("volume", "tone", "share")
_LOADED = re.compile(r'<(?:link rel="(?:stylesheet|icon)"|script)[^>]*?(?:href|src)="([^"]+)"')
CHROMIUM = shutil.which("chromium")
_ALERT = re.compile(r'href="/alerts/([0-9a-f]{16})"')
_PAINT = "performance.getEntriesByType('paint').find(each => each.name === 'first-contentful-paint')?.startTime"


@dataclass(slots=True)
class Times:
    """Of the pages, by their names."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Answers with a part that could not be had."""

    def add(self, page: str, answer: Answer) -> None:
        self.ms[page].append(answer.ms)
        self.failed[page] += answer.failed

    def worst(self) -> Iterator[tuple[str, float]]:
        """The pages and their p95, the slowest first."""
        found = {page: float(np.percentile(times, 95)) for page, times in self.ms.items()}
        yield from sorted(found.items(), key=lambda each: -each[1])

    def table(self) -> str:
        """p95 of each page, and its median."""
        lost = ", ".join(f"{many} of {page}" for page, many in self.failed.items() if many)
        each = ", ".join(f"{page} {p95:,.0f} ({median(self.ms[page]):,.0f})" for page, p95 in self.worst())
        return f"p95 (median) in ms: {each}" + (f"; answers with a part that failed: {lost}" if lost else "")


def figures(rows: int, seconds: int) -> Iterator[Figure]:
    """Raises RuntimeError where there is no browser, once the other figures are there."""
    with busy(Size(rows)) as console:
        cookie = console.log_in()
        kilobytes = first_page(console, cookie)
        times = rounds(console, cookie, seconds)
        conditions = f"{rows:,} interactions, {BRANDS} brands, {COUNTS}; beside {RATE:,} events/s, a worker and control"
        slowest = f"the slowest of {len(times.ms)} pages, {len(times.ms['Now'])} rounds"
        yield Figure(NAMES[0], next(times.worst())[1], MS, f"{slowest}; {times.table()}; {conditions}")
        yield Figure(NAMES[1], sum(kilobytes.values()), "kB", f"packed: {_sizes(kilobytes)}; {conditions}")
        paints = list(painted(console, cookie))
    yield Figure(
        NAMES[2],
        median(paints),
        MS,
        f"median of {len(paints)} loads in Chromium with nothing kept, first contentful paint, from the click; "
        f"max {max(paints):,.0f}; {conditions}",
    )


@contextmanager
def busy(size: Size) -> Iterator[Console]:
    """A console over so much, beside all that runs; events land until the end of the block."""
    with ExitStack() as stack:
        stage = stack.enter_context(ground())
        plain = stack.enter_context(database(stage, "console"))
        files = {"alerts": rules_file(stage.folder, None), "brands": brands_file(stage.folder)}
        settings = plain.model_copy(update=files | {"sources": sources_file(stage.folder)})
        with clickhouse_client(settings.clickhouse) as client:
            fill(client, size)
            roll_up(client, size)
            fill_console(client, settings)
            settle(client)
        begin_rollups(settings)
        worker = settings.worker.model_copy(update={"health_port": free_port()})
        settings = settings.model_copy(update={"worker": worker})
        stack.enter_context(Worker(settings, worker.health_port)).wait_until_it_reads()
        control = stack.enter_context(Control(settings))
        there = settings.control.model_copy(update={"port": control.port})
        console = stack.enter_context(Console(stage, settings.model_copy(update={"control": there})))
        stack.enter_context(streaming(settings, RATE))
        yield console


# --- pages ------------------------------------------------------------------------------------------------------------
def rounds(console: Console, cookie: str, seconds: int) -> Times:
    """Each page once a round, spread over so many seconds, or as long as LEAST rounds take. The first round is not counted: in
    it templates are compiled."""
    times, keys, began = Times(), alert_keys(console, cookie), time.monotonic()
    for number in bar.track(range(-1, ROUNDS), ROUNDS, f"pages beside {RATE:,} events/s: rounds"):
        if number >= LEAST and time.monotonic() - began > seconds:
            break
        asked = pages(number + 1, keys)
        pace = max(PACE_S, seconds / ROUNDS / len(asked))
        for page, path in asked:
            started = time.monotonic()
            answer = console.ask(path, cookie)
            if number >= 0:
                times.add(page, answer)
            time.sleep(max(PACE_S, started + pace - time.monotonic()))
    return times


def pages(number: int, keys: list[str]) -> list[tuple[str, str]]:
    """Names and addresses of a round."""
    name, key, now = brand(RANKS[number % len(RANKS)]), keys[number % len(keys)], datetime.now(UTC)
    asked = [
        ("Now", "/"),
        ("Now: alerts", "/now/alerts"),
        ("Now: who waits", "/now/waiting"),
        ("Now: tone", "/now/tones"),
        ("Now of a brand", "/?" + urlencode({"brand": name})),
        ("Silences", "/silences"),
        ("Alert", f"/alerts/{key}"),
        ("Alert: chart", f"/charts/alert/{key}"),
        ("Brands", "/brands"),
    ]
    for span, label in SPANS.items():
        asked.append((f"Brand over {label}", f"/brands/{name}?{urlencode({'span': span})}"))
        given = urlencode({"brand": name, "span": span})
        asked += [(f"Brand over {label}: charts", f"/charts/brand/{chart}?{given}") for chart in CHARTS]
    for length, label in ((timedelta(minutes=15), "a quarter-hour"), (timedelta(days=7), "a week")):
        given = urlencode({"brand": name, "from": rfc3339(now - length), "to": rfc3339(now)})
        asked.append((f"Posts of {label}", f"/posts?{given}"))
    return [
        *asked,
        ("Operations", "/operations"),
        ("Source", f"/operations/sources/feed-{number % 30}"),
        ("Dead letters", "/operations/dead-letters"),
        ("Dead letters by reason", "/operations/dead-letters?reason=kind+7"),
        ("Record", "/record"),
        ("Record of a person", "/record?actor=person+7"),
    ]


def alert_keys(console: Console, cookie: str) -> list[str]:
    """Of the alerts on page Now."""
    found = list(dict.fromkeys(_ALERT.findall(console.ask("/", cookie).content.decode())))
    if not found:
        raise RuntimeError("page Now shows no alert")
    return found


# --- the first page ---------------------------------------------------------------------------------------------------
def first_page(console: Console, cookie: str) -> dict[str, float]:
    """kB of page Now and of each file that it loads, as they are sent."""
    page = console.ask("/", cookie)
    found = {"page": page.packed / 1000}
    for url in _LOADED.findall(page.content.decode()):
        found[url.rpartition("/")[2]] = console.ask(url).packed / 1000
    return found


def _sizes(kilobytes: dict[str, float]) -> str:
    return ", ".join(f"{name} {size:.1f}" for name, size in kilobytes.items())


def painted(console: Console, cookie: str) -> Iterator[float]:
    """Milliseconds of each load of page Now in a browser that knows nothing yet. Raises RuntimeError where there is none."""
    try:
        from playwright.sync_api import sync_playwright  # of extra dev
    except ImportError:
        raise RuntimeError("no first paint: package playwright is not installed (extra dev)") from None
    if CHROMIUM is None:
        raise RuntimeError("no first paint: there is no chromium here (.ci/tools installs Debian's, for root)")
    name, _, token = cookie.partition("=")
    url = f"http://{HOST}:{console.port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            for _ in bar.track(range(PAINTS), PAINTS, "first paints"):
                context = browser.new_context(viewport={"width": 1440, "height": 900})
                context.add_cookies([{"name": name, "value": token, "url": url}])
                page = context.new_page()
                page.goto(url, wait_until="load", timeout=60_000)
                yield float(page.wait_for_function(_PAINT, timeout=60_000).json_value())
                context.close()
        finally:
            browser.close()
