"""Classes of the reasons of dead letters: few and fixed, unlike a reason's text, which names fields, positions and limits."""

from __future__ import annotations

import re

UNREADABLE_STEP = "kafka"
"""The step of a dead letter for records that Kafka's client can't unpack."""
_PATTERNS = (
    ("empty", r"a tombstone|the record is empty"),
    ("missing", r"\w+ is missing$|Object missing required field"),
    ("time", r"\w+ is not an RFC 3339 time$|\w+ is outside 1995"),
    (
        "value",
        r"\w+ (is not one of|is not a finite number$|does not match) ?|Number out of range"
        r"|[\w.]+ has (a name of )?more than \d+ bytes$",
    ),
    ("type", r"Expected `"),
    ("json", r"the record|JSON is malformed|Input data was truncated|Invalid UTF-8|'utf-8' codec|Recursion|maximum rec"),
)
_CLASSES = tuple((name, re.compile(pattern)) for name, pattern in _PATTERNS)
OTHERS = {"clickhouse": "refused", UNREADABLE_STEP: "unreadable"}
"""Steps with a single class of reasons."""
CLASSES = (*(name for name, _ in _PATTERNS), "other")
"""The classes of step decode. (`refused` is ClickHouse's: its reason for refusing a row may quote the row.)"""


def told(text: str) -> str:
    """A step and its reason, as people may read it who must not read records: one that may quote a row is its class."""
    step, colon, reason = text.partition(": ")
    return f"{step}: {reason_class(step.lower(), reason)}" if colon and step.lower() in OTHERS else text


def reason_class(step: str, reason: str) -> str:
    """One of CLASSES or of OTHERS, never a part of the reason's text."""
    if step in OTHERS:
        return OTHERS[step]
    return next((name for name, pattern in _CLASSES if pattern.match(reason)), "other")
