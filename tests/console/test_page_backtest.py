"""What a rule would have raised: in the background, with progress; the same as `earshot alerts backtest`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from starlette.applications import Starlette

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.console.backtests import Backtests
from pipeline.errors import ConflictError
from pipeline.processors.alerts.backtest.judge import backtest
from pipeline.processors.alerts.rules import load_rules
from tests.console.test_page_alert import FIRST, KEY, store, write
from tests.support.console import Browser
from tests.support.worker import wait_for

AT = datetime(2026, 10, 26, 12, 2, tzinfo=UTC)
RULES = "rules:\n- {name: volume, type: threshold, measure: count, above: 20, window: 5m}\n"


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


@pytest.fixture
def settings_of(emptied: Settings, tmp_path: Path, app: Starlette) -> Settings:
    path = tmp_path / "alerts.yaml"
    path.write_text(RULES)
    settings = emptied.model_copy(update={"alerts": path})
    app.state.desk.settings, app.state.desk.backtests = settings, Backtests(settings)
    return settings


@pytest.fixture
def one_loop(settings_of: Settings, ines: Browser) -> Iterator[Browser]:
    with ines.client:
        yield ines


def ended(browser: Browser, path: str) -> str:
    """The page of a backtest, once it is done."""
    wait_for("the backtest to end", lambda: "Look again" not in browser.get(path).text, 60)
    return str(browser.get(path).text)


def test_it_says_what_the_command_would(client: Client, one_loop: Browser, settings_of: Settings) -> None:
    store(client, FIRST)
    write(client, [AT + timedelta(seconds=n) for n in range(30)] + [AT - timedelta(hours=20), AT + timedelta(hours=1)])
    started = one_loop.act("/backtests", {"rule": "volume", "brand": "Acme", "days": "1"}, f"/alerts/{KEY}")
    assert started.status_code == 303
    page = ended(one_loop, started.headers["location"])
    assert settings_of.alerts is not None
    (expected,) = backtest(
        asker(client), load_rules(settings_of.alerts), AT - timedelta(hours=20), AT.replace(second=0) + timedelta(minutes=61)
    )
    assert "<h2>1 alert</h2>" in page and expected.summary in page
    assert f'datetime="{expected.since:%Y-%m-%dT%H:%M:%S}.000Z"' in page


def test_what_it_can_not_do_is_said(client: Client, one_loop: Browser) -> None:
    store(client, FIRST)
    page = f"/alerts/{KEY}"
    for form, status in (({"rule": "", "days": "7"}, 422), ({"rule": "volume", "days": "9999"}, 422), ({}, 422)):
        assert one_loop.act("/backtests", form, page).status_code == status
    assert one_loop.get("/backtests/0").status_code == 404 and one_loop.get("/backtests").status_code == 405
    for rule, said in (("volume", "nothing to backtest"), ("gone", "has no rule")):
        started = one_loop.act("/backtests", {"rule": rule, "days": "7"}, page)
        assert said in ended(one_loop, started.headers["location"])


async def test_one_runs_at_a_time_and_ends_with_the_console(settings_of: Settings) -> None:
    backtests = Backtests(settings_of)
    job = backtests.start("volume", "", 7, "ines")
    assert backtests.start("volume", "", 7, "mia") is job
    with pytest.raises(ConflictError, match="ines runs a backtest of volume now"):
        backtests.start("volume", "", 30, "mia")
    await backtests.close()
    assert job.failed == "it was ended before it was done"
    assert backtests.start("volume", "", 30, "mia") is not job
    await backtests.close()
