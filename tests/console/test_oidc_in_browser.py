"""Login by OpenID Connect in a real browser: the provider is another site, under the console's policy and with its cookies."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette

from pipeline.config.settings import Settings
from pipeline.console.connections import Server
from pipeline.console.door import listen
from tests.support.console import app_of
from tests.support.oidc_provider import OidcProvider

CHROMIUM = shutil.which("chromium")
SEND = """(token) => {
    const form = document.createElement('form');
    form.method = 'post';
    form.action = '/cases/take';
    for (const [name, value] of [['csrf', token], ['comment', '<b>known</b>']]) {
        const field = document.createElement('input');
        [field.name, field.value] = [name, value];
        form.append(field);
    }
    document.body.append(form);
    form.submit();
}"""


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    server = OidcProvider()
    with server.running():
        yield server


@pytest.fixture
def site(provider: OidcProvider, emptied: Settings) -> Iterator[str]:
    """The console, at a name that is another site than the provider's 127.0.0.1."""
    app: Starlette = app_of(provider.settings(emptied))
    with listen("127.0.0.1", 0) as sock:
        server = Server(app, None, None, app.state.desk.close)

        async def run() -> None:
            app.state.desk.hub.start()
            await server.serve([sock])
            await app.state.desk.hub.close()
            app.state.desk.reads.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()), name="console")
        thread.start()
        yield f"http://localhost:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def page(site: str) -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="package playwright is not installed (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no chromium here (.ci/tools installs Debian's, for root)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = started.new_context(base_url=site).new_page()
        page.set_default_timeout(60_000)
        yield page
        started.close()


def test_somebody_logs_in_and_again_in_the_midst_of_an_act(page: Any, site: str, provider: OidcProvider) -> None:
    blocked = list[str]()
    page.on("console", lambda message: blocked.append(message.text) if "Policy" in message.text else None)
    page.goto("/record?actor=ines")
    assert page.url == f"{site}/login?next=%2Frecord%3Factor%3Dines"
    page.click("text=Log in with 127.0.0.1")
    page.wait_for_url(f"{site}/record?actor=ines")
    assert "ines" in page.inner_text("header")
    assert [cookie["name"] for cookie in page.context.cookies()] == ["earshot"]
    assert page.evaluate("document.cookie") == ""

    token = page.get_attribute("input[name=csrf] >> nth=0", "value")
    page.context.clear_cookies()
    page.evaluate(SEND, token)
    page.wait_for_selector("text=Your session has ended")
    page.click("text=Log in with 127.0.0.1")
    page.wait_for_selector("text=Nothing was done yet")
    assert page.url.startswith(f"{site}/login/oidc/back?") and "<b>known</b>" in page.inner_text("main")
    assert len(provider.asked) == 2 and not blocked
