from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from pipeline.config.settings import Settings
from tests.support.console import Browser, app_of, one_loop
from tests.support.coroutines import pytest_pyfunc_call  # noqa: F401  # a hook: tests may be coroutines


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    with one_loop():
        yield


@pytest.fixture
def app(emptied: Settings) -> Starlette:
    return app_of(emptied)


@pytest.fixture
def browser(app: Starlette) -> Browser:
    """Not logged in."""
    return Browser(app)


@pytest.fixture
def ines(browser: Browser, emptied: Settings) -> Browser:
    """Logged in, as admin."""
    browser.log_in(emptied)
    return browser
