"""Chooses the columns for the fields of an event, by their names and by their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as made_by

from pipeline.sources.recorded.ids import lost_digits, rounded
from pipeline.sources.recorded.suggest.columns import Column, Columns
from pipeline.sources.recorded.suggest.names import is_of_author, is_of_other, likeness, words_of
from pipeline.sources.recorded.suggest.time_formats import hidden_time

_QUOTED = re.compile(r"['\"]\d+['\"]")
_LONG_ID = re.compile(r"\d{14,20}|[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}|[0-9a-f]{24,64}")
_POINT_ZERO = re.compile(r"\d+[.,]0+")
_OWN = re.compile(r"(?=\D*\d)(?=[^A-Za-z]*[A-Za-z])[\w.:-]{6,64}")
_ENOUGH = 20
"""So many rows, each with a value of its own, show an id."""
_ROW_NUMBER = {"", "index", "unnamed0", "row", "rownumber", "nr", "no", "lfdnr"}


@dataclass
class Choice:
    """A field's column, with the keys of its entry in the mapping, and the reasons to look at it again."""

    field: str
    column: Column
    keys: dict[str, object] = made_by(default_factory=dict)
    doubts: list[str] = made_by(default_factory=list)


def choose_text(columns: Columns) -> Column | None:
    """The column with the words of people: by name, length and variety."""

    def score(column: Column) -> float:
        if not column.texts or column.is_url or column.numeric > 0.5 or column.is_time:
            return 0.0
        named = likeness(column.label, "text")
        if is_of_author(column.label) and named < 1:
            named = 0.0
        penalty = 0.4 if is_of_other(column.label) or is_of_author(column.label) else 1.0
        shape = column.words * min(1.0, column.length / 60) * (0.2 + 0.8 * column.distinct) * (0.3 + 0.7 * column.fill)
        return (
            penalty * (2 * named * min(1.0, 0.2 + column.words + 0.5 * column.fill) + 2 * shape)
            if named or shape > 0.2
            else 0.0
        )

    return _best(columns, score)


def choose_id(columns: Columns, text: Column) -> tuple[Choice | None, list[str]]:
    """The column with an id of each row, and the reasons why a likely one is none. Rows with one id have one `text`."""
    notes: list[str] = []
    whole = Columns()
    for path, column in columns.items():
        named = 0.0 if is_of_author(column.label) or is_of_other(column.label) else likeness(column.label, "id")
        if named >= 0.6 and column.is_id and _lost(column):
            notes.append(f"{path} lost its last digits and can't be the id")
        else:
            whole[path] = column
    best = _best(whole, lambda column: _id_score(column, len(set(text.texts))))
    if best is not None:
        return with_find(Choice("id", best)), notes
    best = _best(whole, _is_own)
    return (Choice("id", best, {}, ["by its values: each row has one of its own"]) if best else None), notes


def _is_own(column: Column) -> float:
    """Letters with digits that no two rows share."""
    if is_of_author(column.label) or is_of_other(column.label) or column.is_time or column.label.startswith("column_"):
        return 0.0
    own = len(column.texts) >= _ENOUGH and column.fill == 1 and column.distinct == 1
    return column.share(_OWN) * own if column.share(_OWN) > 0.95 else 0.0


def _lost(column: Column) -> bool:
    lost = sum(lost_digits(value) is not None for value in column.values)
    return lost > 0.02 * len(column.values) or rounded(column.texts, False)


def _id_score(column: Column, texts: int) -> float:
    """`texts`: how many there are; a row may be in the file twice, and then the number of ids is theirs."""
    name = column.label
    named = likeness(name, "id")
    enough = column.distinct >= 0.9 or (named >= 0.9 and len(set(column.texts)) >= 0.95 * texts)
    if column.fill < 0.9 or not enough or not column.is_id or column.is_time:
        return 0.0
    if ((is_of_other(name) or is_of_author(name)) and named < 1) or "".join(words_of(name)) in _ROW_NUMBER:
        return 0.0
    if column.length < 2 and named < 0.9:
        return 0.0
    if named == 0:  # numbers and hashes that are too long to be anything else
        return 0.3 if column.share(_LONG_ID) > 0.95 and column.distinct > 0.95 else 0.0
    return named + 0.2 * column.distinct + 0.1 * ("." not in name)


def with_find(choice: Choice) -> Choice:
    """The choice, with the key that keeps the digits of ids in quotes, or before a .0."""
    if choice.column.share(_QUOTED) > 0.9:
        choice.keys["find"] = "[0-9]+"
    elif choice.column.share(_POINT_ZERO) > 0.9:
        choice.keys["find"] = "^[0-9]+"
    return choice


def choose_time(columns: Columns) -> Choice | None:
    """The column with the time of each row."""

    def score(column: Column) -> float:
        named = likeness(column.label, "created_at")
        if column.fill < 0.9 or (column.numeric > 0.9 and named < 0.4):
            return 0.0
        if (form := column.time) is None:
            return 0.0
        penalty = 0.3 if is_of_other(column.label) or is_of_author(column.label) else 1.0
        return penalty * (0.4 + named + 0.3 * form.zoned + 0.2 * min(1.0, column.distinct) + 0.1 * (len(column.texts[0]) > 12))

    best = _best(columns, score)
    if best is None or (form := best.time) is None:
        return None
    choice = Choice("created_at", best, {"time": form.time})
    if best.numeric > 0.9 and likeness(best.label, "created_at") < 0.5:
        choice.doubts.append("by a part of its name")
    if not form.zoned:
        choice.keys["zone"] = "UTC"
        choice.doubts.append("the file names no zone: UTC is a guess, write yours (Europe/Berlin)")
    if form.either:
        choice.doubts.append(f"it may also be {form.either}")
    return choice


def finer_time(columns: Columns, time: Column) -> Column | None:
    """The column with the same time in milliseconds, by the beginning of its name: Google Play has both."""
    begin = words_of(time.label)[:2]
    for column in columns.values():
        if column is not time and len(begin) == 2 and words_of(column.label)[:2] == begin and column.fill == time.fill:
            form = column.time if column.numeric > 0.9 else None
            if form is not None and form.time in ("epoch_ms", "epoch_us", "epoch_ns"):
                return column
    return None


def time_in_ids(columns: Columns, chosen: Choice | None) -> Choice | None:
    """A time that the platform put into its ids, if there is no other."""
    candidates = [chosen.column] if chosen else []
    candidates += [each for each in columns.values() if likeness(each.label, "id") and each.fill > 0.9]
    for column in candidates:
        texts = [text.strip("'\"") for text in column.texts]
        if texts and (kind := hidden_time(texts)):
            keys: dict[str, object] = {"find": "[0-9]+"} if column.share(_QUOTED) > 0.9 else {}
            what = "the time in ids of Twitter" if kind == "snowflake" else "the time in Instagram's shortcodes, of the post"
            return Choice("created_at", column, {**keys, "time": kind}, [f"no column holds a time: this is {what}"])
    return None


def _best(columns: Columns, score: Callable[[Column], float]) -> Column | None:
    scores = {path: score(column) for path, column in columns.items()}
    path = max(scores, key=lambda each: scores[each], default=None)
    return columns[path] if path is not None and scores[path] > 0 else None
