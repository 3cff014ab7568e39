"""The counts of four weeks in steps of five minutes, without zeros.

They are stored in chunks of half a day, sorted by row: two or three bytes a scope and step with mentions. A name with a mention
now and then costs next to nothing, one with mentions all day some 20 kB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.processors.alerts.table import Rows

CHUNK_STEPS = 144
"""Within a chunk the number of a step fits a byte."""
LATE_STEPS = 14
"""So many of the newest steps can be taken over again: more than an hour, within which late events are judged."""
Counts = npt.NDArray[Any]


class Chunk(NamedTuple):
    """The steps from `first` to before `end`. The counts of `rows[n]` are from `starts[n]` to before `starts[n + 1]`."""

    first: int
    end: int
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    steps: npt.NDArray[np.uint8]
    """Since `first`."""
    counts: Counts
    """Of the smallest type that holds them."""

    @classmethod
    def of(cls, first: int, end: int, rows: Rows, steps: Rows, counts: Counts) -> Chunk:
        """Each (row, step) once, steps numbered since 1970."""
        order = np.lexsort((steps, rows))
        distinct, starts = np.unique(rows[order], return_index=True)
        starts = np.append(starts, len(order))
        small = np.min_scalar_type(int(counts.max(initial=0)))
        return cls(
            first, end, distinct.astype(np.int32), starts.astype(np.int32), (steps[order] - first).astype(np.uint8),
            counts[order].astype(small),
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.rows, self.starts, self.steps, self.counts))

    def is_step(self, step: int) -> bool:
        return self.first == step and self.end == step + 1

    def cells(self) -> tuple[Rows, Rows, Counts]:
        """The arguments of `of`, sorted."""
        return np.repeat(self.rows, np.diff(self.starts)).astype(np.int64), self.steps + np.int64(self.first), self.counts

    def parted(self, step: int) -> Iterator[Chunk]:
        """The steps before `step` as one chunk, and each later one as a chunk of its own."""
        rows, steps, counts = self.cells()
        bounds = sorted({self.first, *range(max(self.first, step), self.end + 1)})
        for first, end in pairwise(bounds):
            here = (steps >= first) & (steps < end)
            yield Chunk.of(first, end, rows[here], steps[here], counts[here])

    def without(self, rows: Rows) -> Chunk:
        kept = ~np.isin(self.rows, rows)
        if kept.all():
            return self
        sizes = np.diff(self.starts)
        cells = np.repeat(kept, sizes)
        starts = np.append(0, np.cumsum(sizes[kept])).astype(np.int32)
        return Chunk(self.first, self.end, self.rows[kept], starts, self.steps[cells], self.counts[cells])

    def fill(self, dense: npt.NDArray[np.float32], rows: Rows, start: int) -> None:
        """Writes the counts of `rows` into `dense`: rows by steps, the first of which is `start`."""
        if not len(self.rows):
            return
        indices = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        mine = np.flatnonzero(self.rows[indices] == rows)
        begins, sizes = self.starts[indices[mine]], np.diff(self.starts)[indices[mine]]
        cells = np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        columns = self.steps[cells].astype(np.int64) + self.first - start
        fits = (columns >= 0) & (columns < dense.shape[1])
        dense[np.repeat(mine, sizes)[fits], columns[fits]] = self.counts[cells][fits]


class Past:
    """The chunks of one history. Restart: empty."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        """In order of time: long ones, then LATE_STEPS to CHUNK_STEPS + LATE_STEPS of one step each."""

    @property
    def nbytes(self) -> int:
        return sum(chunk.nbytes for chunk in self._chunks)

    def before(self, first: int, end: int, rows: Rows, steps: Rows, counts: Counts) -> None:
        """Takes over older counts than all before: CHUNK_STEPS steps or a part of them. So many steps become one chunk."""
        self._chunks.insert(0, Chunk.of(first, end, rows, steps, counts))
        parts = [chunk for chunk in self._chunks if chunk.end <= first + CHUNK_STEPS]
        if len(parts) > 1 and parts[-1].end == first + CHUNK_STEPS:
            self._chunks[: len(parts)] = [_joined(parts)]

    def part(self, step: int) -> None:
        """Makes chunks of one step each from `step` on, so that `put` can replace them."""
        late = [chunk for chunk in self._chunks if chunk.end > step]
        parts = [part for chunk in late for part in chunk.parted(step)]
        self._chunks[len(self._chunks) - len(late) :] = parts

    def put(self, step: int, rows: Rows, counts: Counts) -> bool:
        """Takes over a step: a new one, or again one that `holds` knows. Returns False if it is as it was."""
        new = Chunk.of(step, step + 1, rows, np.full(len(rows), step), counts)
        known = next((n for n in range(len(self._chunks) - 1, -1, -1) if self._chunks[n].is_step(step)), None)
        if known is not None:
            before, self._chunks[known] = self._chunks[known], new
            return not (np.array_equal(before.rows, new.rows) and np.array_equal(before.counts, new.counts))
        singles = [chunk for chunk in self._chunks if chunk.end == chunk.first + 1]
        if singles and step - singles[0].first >= CHUNK_STEPS + LATE_STEPS:
            old = [chunk for chunk in singles if chunk.first < singles[0].first + CHUNK_STEPS]
            self._chunks[-len(singles) :] = [_joined(old), *singles[len(old) :]]
        self._chunks.append(new)
        return True

    def replace(self, taken: Sequence[int], rows: Rows, steps: Rows, counts: Counts) -> None:
        """Takes over the steps `taken` again, of any age: they have these counts and no others."""
        for place, chunk in enumerate(self._chunks):
            if here := [step for step in taken if chunk.first <= step < chunk.end]:
                before = chunk.cells()
                kept, new = ~np.isin(before[1], here), np.isin(steps, here)
                both = (np.append(old[kept], values[new]) for old, values in zip(before, (rows, steps, counts), strict=True))
                self._chunks[place] = Chunk.of(chunk.first, chunk.end, *both)

    def holds(self, step: int) -> bool:
        """Whether the step is a chunk of its own."""
        return any(chunk.is_step(step) for chunk in reversed(self._chunks))

    def dense(self, rows: Rows, start: int, end: int) -> npt.NDArray[np.float32]:
        """The counts of the steps from `start` to before `end`: rows by steps."""
        dense = np.zeros((len(rows), end - start), np.float32)
        for chunk in self._chunks:
            if chunk.end > start and chunk.first < end:
                chunk.fill(dense, rows, start)
        return dense

    def sizes(self, rows: int) -> Rows:
        """The number of steps with mentions, of each of `rows` rows."""
        sizes = np.zeros(rows, np.int64)
        for chunk in self._chunks:
            sizes[chunk.rows] += np.diff(chunk.starts)
        return sizes

    def forget(self, rows: Rows) -> None:
        self._chunks = [chunk.without(rows) for chunk in self._chunks]

    def forget_before(self, step: int) -> None:
        self._chunks = [chunk for chunk in self._chunks if chunk.end > step]

    def shorten(self) -> int:
        """Drops the oldest chunk; returns the first step that is left."""
        return self._chunks.pop(0).end


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    rows, steps, counts = (np.concatenate(arrays) for arrays in zip(*(chunk.cells() for chunk in chunks), strict=True))
    return Chunk.of(chunks[0].first, chunks[-1].end, rows, steps, counts)
