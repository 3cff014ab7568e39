"""A condition: a rule is true of a scope, for a time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pipeline.processors.alerts.rule_types import ConditionRule
from schemas.alerts import Scope


class Condition(NamedTuple):
    """The rule is true of the scope from `start` on, and still at `end`."""

    rule: ConditionRule
    scope: Scope
    start: datetime
    end: datetime
    severity: int
    observed: float
    measure: str = ""
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    samples: tuple[int, ...] = ()
    split: tuple[int, int, int] = (0, 0, 0)
    platforms: tuple[str, ...] = ()
    """Where it is true; blank: on any platform."""
    span_s: int = 0
    """Of a spike that only a longer window than the shortest has: that window."""
