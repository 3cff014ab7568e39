"""Rollup: a table beside `interactions` that is computed from it for quarter-hours, never added up.

A quarter-hour is a number: seconds since 1970 divided by 900. Days begin at :30 and :45 in places, never within a quarter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, runtime_checkable

from pipeline.clickhouse.query import Ask
from pipeline.errors import EarshotError

QUARTER_S = 900
MOST_PARTS = 16
"""So many statements in a row at most, where fewer quarters take fewer."""


class Span(NamedTuple):
    """Quarters `first` to `last`, both included."""

    first: int
    last: int


class Rollup(Protocol):
    """One such table. Engine: ReplacingMergeTree(version, is_deleted). Rows of `interactions` belong to the quarter of their
    created_at, of all brands. SQL is run with setting do_not_merge_across_partitions_select_final, and reads with FINAL."""

    name: str
    """Of the table."""
    prompt: bool
    """Whether its running quarter is at most 15 s late, whatever that costs. False: such tables share a twentieth of the
    time."""

    rules: str
    """The hash of the rules that its rows follow; blank: it follows none. Where they are others, the table is filled anew."""

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        """The INSERT ... SELECT that makes anew what depends on rows of these quarters: all of it with `version`, and what the
        table has and should not have any more with is_deleted = 1. It may run twice."""
        ...

    def differences(self, spans: Sequence[Span]) -> str:
        """SELECT day (Date, UTC), differing (UInt64): how many of the table's rows of these quarters differ from what `rebuild`
        would make, lack or are too many; days without a difference are left out. Floats are equal to 1e-9."""
        ...


@runtime_checkable
class Prepared(Protocol):
    """A rollup with a statement of its own that is run before each `rebuild`."""

    def prepare(self, spans: Sequence[Span]) -> str:
        """The statement, for the same quarters. It may run twice."""
        ...


@runtime_checkable
class ByMinute(Protocol):
    """A rollup whose running quarters are made anew by minutes (minutes since 1970), so that little is read."""

    def rebuild_minutes(self, minutes: Sequence[int], begin: Sequence[int], version: int) -> str:
        """As `Rollup.rebuild`, of these minutes of running quarters. Of those of `begin`, of which these are all minutes, it
        takes away what was made of them as a whole; from `rebuild` on they are whole again."""
        ...

    def add_up(self, spans: Sequence[Span], version: int) -> str:
        """INSERT ... SELECT: makes whole what `rebuild_minutes` has made of these quarters, from the table's own rows. It may
        run twice."""
        ...

    def minutes_left(self, before: int) -> str:
        """SELECT quarter (as a number), counts, hides: those before this one of which the table has rows by minutes. `counts`:
        any of them counts, so that `rebuild` has not made it whole since; `hides`: a marked one hides one that would count."""
        ...

    def drop_minutes(self, spans: Sequence[Span], hidden: bool) -> str:
        """DELETE: the rows by minutes of quarters that are whole: those that are `hidden`, or all. Soon, by ClickHouse, part by
        part: where a mark went before what it hides, that would count again for a while."""
        ...


@runtime_checkable
class Divided(Protocol):
    """A rollup of which one quarter may be too much for a statement: it depends on more than the rows of that quarter."""

    def sizes(self, spans: Sequence[Span]) -> str:
        """SELECT, one row: the size (UInt64) of what is to be made anew, and the keys (Array(UInt64)) of what is too large for
        any statement. To be asked after `prepare`."""
        ...

    def parts(self, size: int, too_large: Sequence[int]) -> Sequence[Rollup]:
        """Rollups that make all of it together, each in a statement of its own; what is too large has no row."""
        ...


def divided(rollup: Rollup, spans: Sequence[Span], ask: Ask) -> tuple[Sequence[Rollup], int]:
    """What is to stand for the rollup in these quarters, each in a statement of its own; and how much is too large."""
    if not isinstance(rollup, Divided):
        return [rollup], 0
    ((size, too_large),) = ask(rollup.sizes(spans), {}).rows()
    return rollup.parts(size, too_large), len(too_large)


def statements(
    rollup: Rollup, spans: Sequence[Span], version: int, ask: Ask, left_out: Callable[[int], object] = lambda count: None
) -> Iterator[str]:
    """What makes anew what depends on rows of these quarters, in this order: each is to be run before the next is taken.
    `left_out` is told how much is too large, if anything is. EarshotError: several quarters take too many statements."""
    if isinstance(rollup, Prepared):
        yield rollup.prepare(spans)
    parts, too_large = divided(rollup, spans, ask)
    if too_large:
        left_out(too_large)
    if len(parts) > MOST_PARTS and sum(span.last - span.first + 1 for span in spans) > 1:
        raise EarshotError(f"so many quarter-hours take {len(parts)} statements: fewer are tried")
    for part in parts:
        yield part.rebuild(spans, version)


def quarter_of(at: datetime) -> int:
    """The quarter of an aware time."""
    return int(at.timestamp()) // QUARTER_S


def start_of(quarter: int) -> datetime:
    """Its beginning, aware, UTC."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC)


def spans_of(quarters: Iterable[int]) -> list[Span]:
    """The quarters as spans without gaps, ascending."""
    spans: list[Span] = []
    for quarter in sorted(set(quarters)):
        if spans and spans[-1].last == quarter - 1:
            spans[-1] = Span(spans[-1].first, quarter)
        else:
            spans.append(Span(quarter, quarter))
    return spans


def within(column: str, spans: Sequence[Span]) -> str:
    """The condition that the time in `column` (of interactions: created_at, by which ClickHouse skips the rest) lies in one of
    the spans."""
    return f"({' OR '.join(f'({column} >= {time_of(span.first)} AND {column} < {time_of(span.last + 1)})' for span in spans)})"


def time_of(quarter: int) -> str:
    """Its beginning as an expression."""
    return f"toDateTime({quarter * QUARTER_S}, 'UTC')"
