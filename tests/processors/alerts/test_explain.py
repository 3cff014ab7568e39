"""Explanations: the words that set a window apart, and the line for people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from pipeline.processors.alerts.changes import first_alert, trial
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.explain import explain, query, significant_words, summary
from pipeline.processors.alerts.rule_types import ConditionRule, OverTimeRule
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Scope
from tests.support.minutes import MINUTE, at

WEEK = ["the coffee from acme is good", "love my acme mug", "acme opens at nine", "where is the nearest acme"] * 50
WINDOW = ["my acme kettle caught fire", "acme kettle fire again", "fire! the kettle from acme", "acme is good"] * 10


def test_the_words_of_the_window_come_first_and_those_of_every_week_do_not_come() -> None:
    terms = significant_words(WINDOW, WEEK)
    assert set(terms[:2]) == {"kettle", "fire"}
    assert "acme" not in terms and "good" not in terms


def test_handles_and_addresses_are_no_words_and_a_word_of_one_text_tells_nothing() -> None:
    texts = [*(f"@ines see https://acme.example/kettle{n} leaking" for n in range(20)), "zebra"]
    assert sorted(significant_words(texts, WEEK)) == ["leaking", "see"]


def test_nothing_to_compare_with_is_no_error() -> None:
    assert significant_words([], []) == []
    assert significant_words(["a kettle leaks"] * 3, []) == []
    assert significant_words(["kettle"] * 3, []) == []


NEGATIVE_SHARE = "Acme / x: 61% of what is labelled in 5 minutes is negative, 20% expected"
"""As tables and receivers have it."""


@pytest.mark.parametrize(
    ("rule", "observed", "expected", "line"),
    [
        ({"type": "spike"}, 340, 42.3, "Acme / x: 340 mentions in 5 minutes, 42 expected"),
        ({"type": "spike", "measure": "negative_share"}, 0.613, 0.2, NEGATIVE_SHARE),
        ({"type": "threshold", "measure": "count", "above": 100, "window": "1h"}, 120, None, "count 120 in 1 h, above 100"),
        (
            {"type": "threshold", "measure": "score", "below": -0.5, "window": "15m"},
            -0.72,
            None,
            "score -0.72 in 15 minutes, below -0.50",
        ),
        ({"type": "threshold", "measure": "likes", "above": 1e6, "aggregate": "mean"}, 2e6, None, "mean of likes 2,000,000 in"),
        ({"type": "campaign"}, 25, None, "the same text from 25 accounts within 10 minutes"),
        ({"type": "no_data"}, 61, None, "nothing since 2026-"),
    ],
)
def test_the_line_says_what_was_seen_and_what_was_expected(
    rule: dict[str, object], observed: float, expected: float | None, line: str
) -> None:
    made = Alerts.model_validate({"rules": [{"name": "a", **rule}]}).rules[0]
    assert isinstance(made, ConditionRule)
    assert line in summary(Condition(made, Scope("Acme", "x"), at(MINUTE), at(MINUTE), 5, observed, expected=expected))


def test_a_spike_of_a_longer_window_says_so() -> None:
    made = Alerts.model_validate({"rules": [{"name": "a", "type": "spike"}]}).rules[0]
    assert isinstance(made, ConditionRule)
    condition = Condition(made, Scope("Acme"), at(MINUTE), at(MINUTE), 5, 90, expected=42.3, span_s=14_400)
    assert summary(condition) == "Acme: 90 mentions in 5 minutes, 42 expected; unusual over 4 h"


def test_the_query_of_a_spike_of_a_longer_window_begins_with_that_window() -> None:
    made = Alerts.model_validate({"rules": [{"name": "a", "type": "spike"}]}).rules[0]
    assert isinstance(made, ConditionRule)
    shown = {
        span_s: first_alert(Condition(made, Scope("Acme"), at(MINUTE), at(MINUTE), 5, 90, span_s=span_s), at(MINUTE)).query
        for span_s in (0, 14_400)
    }
    assert f">= '{at(MINUTE) - timedelta(minutes=4):%Y-%m-%d %H:%M:%S}'" in shown[0]
    assert f">= '{at(MINUTE) - timedelta(minutes=239):%Y-%m-%d %H:%M:%S}'" in shown[14_400]


@pytest.mark.parametrize(
    ("rule", "scope", "condition"),
    [
        ({"type": "threshold", "measure": "count", "above": 1, "platforms": ["x", "app"], "languages": ["de"]}, Scope("Acme"),
         "platform IN ('x', 'app') AND if(sentiment_language != '', sentiment_language, language) IN ('de')"),
        ({"type": "spike", "by": ["platform"], "platforms": ["x", "app"]}, Scope("Acme", "x"), "platform = 'x'"),
        ({"type": "campaign", "platforms": ["x"]}, Scope("Acme"), "platform IN ('x')"),
        ({"type": "no_data", "of": "platform", "names": ["x"]}, Scope(platform="x"), "platform = 'x'"),
    ],
)  # fmt: skip
def test_the_query_and_the_texts_are_of_the_events_that_the_rule_looks_at(
    rule: dict[str, object], scope: Scope, condition: str
) -> None:
    made = Alerts.model_validate({"rules": [{"name": "a", **rule}]}).rules[0]
    assert condition in query(made, scope, at(MINUTE))
    asked: list[str] = []

    def ask(sql: str, _: object) -> pl.DataFrame:
        asked.append(sql)
        return pl.DataFrame()

    if isinstance(made, OverTimeRule):
        alert = replace(trial(made, scope.brand, "ines", at(MINUTE)), scope=scope)
        assert explain(ask, alert, made) == ((), ())
        assert [condition in sql for sql in asked] == [True, True]


def test_the_words_of_thousands_of_texts_are_counted_in_a_moment() -> None:
    many = pl.Series([f"word{n % 97} word{n % 31} acme" for n in range(4_000)])
    assert significant_words(many, many) == []
