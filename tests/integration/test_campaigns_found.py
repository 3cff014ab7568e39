"""Campaigns are found whenever their search comes: late, after an error, after a restart, and with posts that come late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError
from pipeline.processors.alerts import campaign_search
from pipeline.processors.alerts.backtest.judge import backtest
from pipeline.processors.alerts.campaign_search import CampaignFinder
from pipeline.processors.alerts.rules import Alerts
from tests.integration.test_control_by_clock import NOON, Bench, scopes, seconds

RULE = {"name": "copies", "type": "campaign", "accounts": 10, "window": "10m"}
TEXT = "buy the kettle of your dreams at half the price today"
FOUND = {("copies", "Copied", "")}


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    with Bench(settings, RULE) as bench:
        bench.start(seconds(-60))
        bench.tick(seconds(-30))
        assert not bench.look(seconds(-30))
        yield bench


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


def post(bench: Bench, *, first: int, posts: int, apart: int) -> None:
    """Copies by different accounts, heard of as they come."""
    for n in range(posts):
        at = seconds(first + n * apart)
        bench.land("Copied", at, text=TEXT)
        bench.hear(at, "Copied")


def test_a_campaign_is_found_although_its_search_comes_after_its_window(bench: Bench) -> None:
    post(bench, first=1, posts=10, apart=60)
    bench.hear(seconds(1_500), "Other")
    assert bench.evaluator.campaigns.waited(seconds(1_500)).total_seconds() == 1_499
    assert scopes(bench.look(seconds(1_500))) == FOUND
    assert bench.evaluator.campaigns.waited(seconds(1_500)).total_seconds() == 0
    bench.hear(seconds(1_510), "Copied")
    assert not bench.look(seconds(1_510))


def test_copies_over_more_than_a_window_are_no_campaign_however_late_the_search_is(bench: Bench) -> None:
    post(bench, first=1, posts=20, apart=70)
    assert not bench.look(seconds(1_500))


def test_what_an_error_kept_from_a_search_is_part_of_the_next_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    post(bench, first=1, posts=10, apart=1)

    def fail(*_: Any) -> None:
        raise EarshotError("ClickHouse is away")

    with monkeypatch.context() as patch, pytest.raises(EarshotError):
        patch.setattr(CampaignFinder, "search", fail)
        bench.look(seconds(20))
    bench.hear(seconds(900), "Other")
    assert bench.evaluator.campaigns.waited(seconds(900)).total_seconds() > 880
    assert scopes(bench.look(seconds(900))) == FOUND


@pytest.mark.parametrize(("late", "few"), [(300, True), (1_500, True), (3_000, True), (3_000, False)])
def test_a_post_that_comes_late_completes_a_campaign(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, late: int, few: bool
) -> None:
    if not few:
        monkeypatch.setattr(campaign_search, "MOST_LATE", 0)
    post(bench, first=1, posts=9, apart=20)
    assert not bench.look(seconds(200))
    bench.hear(seconds(late), "Other")
    assert not bench.look(seconds(late))
    bench.land("Copied", seconds(100), text=TEXT, arrived=seconds(late))
    bench.hear(seconds(100), "Copied", now=seconds(late + 1))
    assert scopes(bench.look(seconds(late + 1))) == FOUND


def test_an_hour_later_it_is_history(bench: Bench) -> None:
    post(bench, first=1, posts=10, apart=1)
    bench.hear(seconds(3_700), "Other")
    assert not bench.look(seconds(3_700))


def test_posts_over_a_restart_are_one_campaign(bench: Bench) -> None:
    post(bench, first=1, posts=5, apart=60)
    assert not bench.look(seconds(250))
    bench.start(seconds(400))
    post(bench, first=401, posts=5, apart=20)
    assert scopes(bench.look(seconds(500))) == FOUND


def test_a_campaign_while_control_was_down_is_found(bench: Bench) -> None:
    moments = [seconds(600 + n * 5) for n in range(10)]
    for at in moments:
        bench.land("Copied", at, text=TEXT)
    bench.start(seconds(2_400))
    for at in moments:
        bench.hear(at, "Copied", now=seconds(2_400))
    assert scopes(bench.look(seconds(2_401))) == FOUND


def test_each_minute_alone_finds_what_all_find_together(bench: Bench) -> None:
    """The minutes that the finder remembers are as good as new ones."""
    found: list[datetime] = []
    for n in range(12):
        post(bench, first=1 + n * 50, posts=1, apart=1)
        if bench.look(seconds(2 + n * 50)):
            found.append(seconds(2 + n * 50))
    assert found == [seconds(452)]


def test_a_back_test_finds_it_as_well(bench: Bench, settings: Settings) -> None:
    post(bench, first=61, posts=10, apart=60)
    post(bench, first=3_000, posts=20, apart=70)
    config = Alerts.model_validate({"rules": [RULE]})
    with clickhouse_client(settings.clickhouse) as client:
        (alert,) = backtest(asker(client), config, NOON, seconds(7_200))
    assert (alert.scope.brand, alert.observed, alert.since, alert.last_at) == ("Copied", 10, seconds(60), seconds(600))


def test_rules_that_change_find_the_posts_before_them(bench: Bench) -> None:
    bench.evaluator.use(Alerts.model_validate({"rules": [{**RULE, "brands": ["Other"]}]}))
    post(bench, first=1, posts=5, apart=20)
    bench.hear(seconds(100), "Other")
    assert not bench.look(seconds(100))
    bench.evaluator.use(Alerts.model_validate({"rules": [{**RULE, "brands": ["Copied"]}]}))
    post(bench, first=181, posts=5, apart=20)
    assert scopes(bench.look(seconds(300))) == FOUND
