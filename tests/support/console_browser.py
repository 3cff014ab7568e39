"""The console, served to a real Chromium."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from pipeline.config.settings import Settings
from pipeline.console.connections import Server
from pipeline.console.desk import Desk
from pipeline.console.door import listen
from tests.support.console import app_of, link

CHROMIUM = shutil.which("chromium")


class Served(NamedTuple):
    """A console that answers."""

    desk: Desk
    base: str


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="package playwright is not installed (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no chromium here (.ci/tools installs Debian's, for root)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def served(settings: Settings) -> Iterator[Served]:
    """The console of these settings with its hub and the browser's libraries, on a thread of its own; skipped without these."""
    app = app_of(settings)
    desk: Desk = app.state.desk
    if not desk.libraries.load(print):
        pytest.skip("the browser's libraries can't be had")
    with listen("127.0.0.1", 0) as sock:
        server = Server(app, None, None, desk.close)

        async def run() -> None:
            desk.hub.start()
            await server.serve([sock])
            await desk.hub.close()
            desk.reads.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()), name="console")
        thread.start()
        try:
            yield Served(desk, f"http://127.0.0.1:{sock.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(20)


def logged_in(browser: Any, site: Served, settings: Settings, **context: object) -> tuple[Any, list[str]]:
    """A page of somebody who is an admin, and what its browser complains of."""
    page = browser.new_context(base_url=site.base, **context).new_page()
    page.set_default_timeout(60_000)  # of a machine that does much else
    said = list[str]()
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(link(settings))
    page.click("main button")
    page.wait_for_url(f"{site.base}/")
    return page, said
