"""Sweep: a range of quarters that is made anew from its end to its beginning, so that what is newest is there first."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.rollups.rollup import Span

LARGEST = 92 * 96
"""Quarters of one statement: their months are fewer than an insert may touch."""
FAILING_S = 600.0
FAST_S, SLOW_S = 1.0, 4.0
"""To plan the statement of threads alone takes 0.6 s on a slow processor, and many times that where it is busy: a piece that
takes a second may be a day or a year."""
AS_LONG = 0.8


@dataclass(slots=True)
class Sweep:
    """What is left of it: quarters `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)

    def take(self, most: int) -> Span:
        """Its last quarters; they stay until `done`."""
        return Span(max(self.first, self.last - most + 1), self.last)

    def done(self, span: Span) -> None:
        """This span, as taken, was made anew."""
        self.last = span.first - 1


@dataclass(slots=True)
class Fill:
    """A sweep of what was there before. A quarter that fails alone does not hold older ones back: it comes again
    FAILING_S later, and at the end. `now`: seconds of a steady clock. Restart: from where all is filled (`filled_from`)."""

    sweep: Sweep
    _failing: list[int] = field(default_factory=list)
    _again_at: float = 0.0

    def take(self, most: int, now: float) -> Span | None:
        """The next piece, of up to so many quarters; it stays until `done`. None: all is filled."""
        if self._failing and (not self.sweep or now >= self._again_at):
            return Span(self._failing[0], self._failing[0])
        return self.sweep.take(most) if self.sweep else None

    def filled_from(self, span: Span) -> int:
        """From which quarter on all is filled, once this span is."""
        left = [quarter for quarter in self._failing if quarter != span.first]
        return max(min(self.sweep.last, span.first - 1), *left, -1) + 1

    def done(self, span: Span) -> None:
        """This span, as taken, was filled."""
        if span.first in self._failing:
            self._failing.remove(span.first)
        else:
            self.sweep.done(span)

    def failed(self, span: Span, now: float) -> None:
        """This span, as taken, was not: it comes again."""
        if span.first == span.last:
            self.done(span)
            self._failing.append(span.first)
            self._again_at = now + FAILING_S


class Size:
    """How many quarters one statement takes: so many that it lasts about two to four seconds; more where that costs little."""

    def __init__(self) -> None:
        self.quarters = 96
        self._last = (0, 0.0)

    def took(self, quarters: int, seconds: float) -> None:
        """A statement of so many quarters took so long."""
        (before, earlier), self._last = self._last, (quarters, seconds)
        full = quarters >= self.quarters
        in_vain = full and 2 * quarters <= before and seconds > AS_LONG * earlier
        for_little = quarters >= 2 * before and AS_LONG * seconds < earlier
        if seconds > SLOW_S and not in_vain:
            self.quarters = max(1, min(quarters, self.quarters) // 2)
        elif full:
            larger = 8 if in_vain else 4 if seconds < FAST_S or for_little else 2 if seconds < SLOW_S / 2 or not before else 1
            self.quarters = min(LARGEST, self.quarters * larger)

    def failed(self) -> None:
        """It was too much, maybe."""
        self.quarters = max(1, self.quarters // 2)
