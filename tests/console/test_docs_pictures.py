"""The pictures of docs/console.md: `make console-docs` makes them anew, from invented data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import CustomersSettings
from pipeline.config.listening import ListenSettings
from pipeline.config.settings import Settings
from pipeline.console.brand_data import brand_url
from pipeline.embedded.child import free_port
from pipeline.kafka.topics import migrate_topics
from pipeline.monitoring.health import Vitals, serve
from tests.support.console_browser import Served, chromium, served
from tests.support.console_look import fill, tab_of
from tests.support.console_whole import Whole, whole

pytestmark = [pytest.mark.look, pytest.mark.timeout(900)]
PICTURES = os.environ.get("DOCS_PICTURES", "")
"""The folder that they are written to; blank: none is."""
WIDTH, COLOURS, MOST_BYTES = 1440, 64, 500_000


@pytest.fixture
def bench(emptied: Settings, tmp_path: Path) -> Iterator[Whole]:
    """With processes that are well."""
    ports = [free_port() for _ in range(3)]
    changed = {
        "worker": emptied.worker.model_copy(update={"health_port": ports[0]}),
        "customers": CustomersSettings(port=ports[1]),
        "listen": ListenSettings(port=ports[2]),
    }
    migrate_topics(emptied.kafka)
    with ExitStack() as stack, whole(emptied.model_copy(update=changed), tmp_path) as console:
        for port in ports:
            stack.callback(serve(Vitals(), "127.0.0.1", port))
        yield console


def test_they_are_made_and_small(bench: Whole) -> None:
    with clickhouse_client(bench.settings.clickhouse) as client:
        alert = fill(client)
    total = 0
    with chromium() as chrome, served(bench.settings) as site:
        tab = tab_of(chrome, site, bench.settings, WIDTH, "light")
        for name, path, height in (
            ("now", "/", 900),
            ("alert", f"/alerts/{alert}", 980),
            ("brand", brand_url("Acme", span="7d"), 1_000),
            ("operations", "/operations", 760),
            ("dead_letters", "/operations/dead-letters", 640),
        ):
            total += len(picture(site, tab, name, path, height))
    assert total < MOST_BYTES


def picture(site: Served, tab: Any, name: str, path: str, height: int) -> bytes:
    """Of the page from its top on, at most so high, in few colours."""
    tab.goto(site.base + path, wait_until="load")
    tab.wait_for_function("!document.querySelector('[data-chart]:not(.drawn), [aria-busy=true]')")
    shown = min(height, tab.evaluate("document.body.scrollHeight"))
    raw = tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": shown})
    packed = BytesIO()
    few = Image.open(BytesIO(raw)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(packed, "PNG", optimize=True)
    if PICTURES:
        (Path(PICTURES) / f"console_{name}.png").write_bytes(packed.getvalue())
    return packed.getvalue()
