"""Every type of rule is judged somewhere."""

from __future__ import annotations

import re
from typing import Any, cast, get_args

from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.rule_types import AnyRule, EventRule, WindowedRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.alerts.verdicts import TRUE
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from pipeline.step import Step
from schemas.alerts import Scope
from tests.support.bad_records import event
from tests.support.hot_path import PathRun
from tests.support.isolation import ROOT
from tests.support.minutes import MINUTE, frame, history, load, said

BRANDS = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme"]}]})
KEYS: dict[str, dict[str, Any]] = {
    "spike": {},
    "threshold": {"measure": "count", "above": 0},
    "keyword": {"words": {"any": ["recall"]}},
    "reach": {"followers": 1, "negative": False},
    "campaign": {},
    "no_data": {},
}
"""The least keys of each type, with which it is true of what `windowed` and `on_one_event` say."""
OWN = {"campaign", "no_data"}
"""Judged by code of their own: evaluator.py calls it."""
RULES = Alerts.model_validate({"rules": [{"name": each, "type": each, **keys} for each, keys in KEYS.items()]})


def types_of(union: object) -> set[str]:
    return {name for rule in get_args(union) for name in get_args(rule.model_fields["type"].annotation)}


def windowed() -> set[str]:
    """The types that are true of something, while the minute goes on or when it is over."""
    windows = Evaluator(cast(Any, None), RULES).windows
    windows.move(MINUTE - 1)
    for learned in windows.histories.values():
        load(learned, history(30), (MINUTE - 1) // STEP_MINUTES)
    for minute in range(MINUTE, MINUTE + STEP_MINUTES):
        windows.move(minute)
        windows.put(frame(said(minute, 60)), [minute], None)
    return {
        rule.type
        for over in (False, True)
        for verdicts in windows.judge(minute, over, {Scope("Acme")})
        for column, rule in enumerate(verdicts.rules)
        if (verdicts.codes[:, column] == TRUE).any()
    }


def on_one_event() -> set[str]:
    table, mentions = MemoryTable(), Mentions(BRANDS, words_of(RULES))
    after: list[Step] = [Sentiment(MemoryLabeller(), 1.0), SingleEvent(RULES, mentions.words_in)]
    path = PathRun(MemoryLanding(table), Completion(table, 1e9), mentions, after)
    return {each.rule for each in path.feed(event(text="acme recall", author={"id": "1", "followers": 1})).candidates}


def test_each_type_is_judged() -> None:
    assert KEYS.keys() == types_of(get_args(AnyRule)[0])
    assert windowed() == types_of(WindowedRule)
    assert on_one_event() == types_of(EventRule)
    assert types_of(WindowedRule) | types_of(EventRule) | OWN == KEYS.keys()


def test_pages_name_each_type() -> None:
    """As the rows of a table and as the head of another in docs/ops.md, in the glossary, in the README."""
    ops = (ROOT / "docs/ops.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", ops.partition("\n```yaml")[0], re.MULTILINE) == list(KEYS)
    assert f"\n| | {' | '.join(KEYS)} |\n" in ops
    assert f"; types {', '.join(KEYS)} |" in (ROOT / "docs/glossary.md").read_text()
    alerts = (ROOT / "README.md").read_text().partition("\n## Alerts\n")[2].partition("\n```")[0]
    assert re.findall(r"\(`(\w+)`\)", alerts) == list(KEYS)
