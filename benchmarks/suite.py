"""The measurements of the suite: which figures each yields, how large it is, and how they are run."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from benchmarks import steps
from benchmarks.report import Figure


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    events: int
    """Of a pass, memory to memory."""
    passes: int


FULL = Sizes(events=600_000, passes=5)
SHORT = Sizes(events=60_000, passes=3)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run that yields figures; `minutes` is what it takes in full on two cores."""

    names: tuple[str, ...]
    minutes: float
    run: Callable[[Sizes], Iterator[Figure]]


def _steps(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"steps.{name}{suffix}" for name in names for suffix in ("", "_cpu"))


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement(_steps(steps.WORDS), 1, lambda sizes: steps.hot_path_figures(sizes.events, sizes.passes)),
    Measurement(_steps(steps.ALONE), 1, lambda sizes: steps.step_figures(sizes.events, sizes.passes)),
)


def chosen(patterns: Sequence[str]) -> list[Measurement]:
    """The measurements that yield any of the figures; a pattern is a name, its beginning, or has wildcards. None: all."""
    if not patterns:
        return list(MEASUREMENTS)
    return [each for each in MEASUREMENTS if any(_matches(name, pattern) for name in each.names for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern) or fnmatch.fnmatchcase(name, pattern)


def run(measurements: Sequence[Measurement], sizes: Sizes, console: Console) -> list[Figure]:
    """Runs them one after the other; what fails is said, and its figures are missing."""
    figures: list[Figure] = []
    for number, measurement in enumerate(measurements, 1):
        with console.status(f"{number} of {len(measurements)}: {measurement.names[0]} and what goes with it"):
            try:
                for figure in measurement.run(sizes):
                    figures.append(figure)
                    console.print(f"{figure.name:32} {figure.value:14,.2f} {figure.unit}")
            except Exception:
                console.print_exception(max_frames=4)
    return figures
