"""The spike detector on generated brands with known bursts and drops: `python -m benchmarks.bursts`; see `--help`.

The parameters of the detector are chosen on these: 0.01 to 1,000 mentions a minute, with days, weeks, uneven noise and small
bursts of their own; the bursts to detect have all shapes and last 10 minutes to 12 hours. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Annotated, Literal, NamedTuple

import numpy as np
import typer
from numpy.lib.stride_tricks import sliding_window_view
from rich.console import Console
from rich.table import Table

from pipeline.processors.alerts.spike import expect, judge, reach
from pipeline.processors.alerts.spike_parameters import DROP, Bools, Floats, Ints, Spike
from pipeline.processors.alerts.study import DAYS, Study, study

HOUR, DAY = 12, 288
"""Steps of five minutes."""
FIRST = DAYS * DAY
"""The first step that is judged: the past before it is whole."""
WEEK_DAYS = 6
"""Days that are judged, with a burst in each half of them."""
LEAST = 15
"""Mentions that a burst adds, at least: fewer are no burst to anybody."""
MOST_FALSE = 0.05
"""A scope and day: recall is compared there."""
FACTORS = (0.8, 1.0, 1.15, 1.3)
"""Of parameter `factor`, with the shipped one among them."""
STILL = 0.5
"""An open alert goes on while the score is above this."""
Direction = Literal["above", "below"]
RULES: tuple[tuple[Direction, Spike], ...] = (("above", Spike()), ("below", DROP))
SHAPES: Mapping[str, Callable[[Floats], Floats]] = {
    "step": lambda at: np.ones_like(at),
    "decay": lambda at: np.exp(-4 * at),
    "double": lambda at: np.where(at < 0.25, 1.0, np.where(at < 0.6, 0.0, 0.8)),
    "plateau": lambda at: np.minimum(1, np.minimum(at, 1 - at) * 5),
    "ramp": lambda at: at,
    "swell": lambda at: np.sin(np.pi * at) ** 2,
}
"""By name: the height, 0 to 1, at each share of the length."""
SHARP = ("step", "decay", "double")


class Burst(NamedTuple):
    brand: int
    shape: str
    first: int
    """Its steps are from `first` to before `end`."""
    end: int


class World(NamedTuple):
    counts: Floats
    """Brands by steps."""
    bursts: list[Burst]


class Result(NamedTuple):
    recall: float
    false: float
    """Alerts a brand and day that no burst explains."""
    sharp_s: float
    """The median time from the beginning of a sharp burst that was found to its alert."""
    by_shape: dict[str, float]
    """Recall."""


def make(seed: int, brands: int, direction: Direction = "above") -> World:
    """Brands with DAYS days of past and WEEK_DAYS days with two bursts, or drops, each."""
    random = np.random.default_rng(seed)
    rate = 10 ** random.uniform(0 if direction == "below" else -2, 3, brands)
    expected = 5 * rate[:, None] * np.stack([_season(random) for _ in range(brands)])
    uneven = np.stack([_unevenness(random, brand) for brand in range(brands)])
    lift, bursts = np.zeros(expected.shape), []
    for brand in range(brands):
        for half in range(2):
            burst = _place(random, brand, half, direction)
            bursts.append(burst)
            at = (np.arange(burst.end - burst.first) + 0.5) / (burst.end - burst.first)
            height = SHAPES[burst.shape](at)
            if direction == "below":
                lift[brand, burst.first : burst.end] -= height * random.uniform(0.5, 1)
            else:
                ratio = 10 ** random.uniform(0.15, 1.1)
                added = (height * expected[brand, burst.first : burst.end]).sum()
                lift[brand, burst.first : burst.end] += height * max(ratio, LEAST / max(added, 1e-9))
    counts = random.poisson(np.maximum(expected * uneven * (1 + lift), 0)).astype(np.float32)
    return World(counts, bursts)


def _season(random: np.random.Generator) -> Floats:
    """The rate of each step by the hour and the day, about 1 in the mean."""
    at = np.arange((DAYS + WEEK_DAYS) * DAY) / DAY
    depth, second = random.uniform(0, 0.9), random.uniform(0, 0.3)
    daily = 1 + depth * np.sin(2 * np.pi * (at + random.random())) + second * np.sin(4 * np.pi * (at + random.random()))
    days = np.array([1, 1, 1, 1, 1, *random.uniform(0.4, 1.3, 2)])
    return np.asarray(np.maximum(daily, 0.05) * days[at.astype(np.int64) % 7])


def _unevenness(random: np.random.Generator, brand: int) -> Floats:
    """The factor on each step's rate: none, that of a negative binomial, one that lasts, or small bursts; by turns."""
    size = (DAYS + WEEK_DAYS) * DAY
    factor = np.ones(size)
    if brand % 4 in (1, 3):
        shape = 1 / random.uniform(0.02, 0.3)
        factor *= random.gamma(shape, 1 / shape, size)
    if brand % 4 in (2, 3):
        kept, spread = np.exp(-1 / random.uniform(6, 72)), random.uniform(0.1, 0.35)
        level, shocks = 0.0, random.normal(0, spread * np.sqrt(1 - kept**2), size)
        for step in range(size):
            shocks[step] = level = kept * level + shocks[step]
        factor *= np.exp(shocks - spread**2 / 2)
    if brand % 2:
        for first in np.flatnonzero(random.random(size) < random.uniform(0.02, 0.5) / DAY).tolist():
            length = min(int(random.uniform(2, 24)), size - first)
            height = random.lognormal(0.7, 0.5)
            factor[first : first + length] += height * np.exp(-3 * np.arange(length) / length)
    return factor


def _place(random: np.random.Generator, brand: int, half: int, direction: Direction) -> Burst:
    shape = list(SHAPES)[(2 * brand + half + brand // 3) % len(SHAPES)]
    shortest = 1.0 if direction == "below" else 1 / 6
    length = max(2, round(HOUR * shortest * (12 / shortest) ** random.random()))
    first = FIRST + half * (WEEK_DAYS // 2) * DAY + DAY // 2 + int(random.integers(0, DAY))
    return Burst(brand, shape, first, first + length)


def evaluate(world: World, spike: Spike, direction: Direction = "above") -> Result:
    """Each step of the judged days, by what was known before it."""
    found: dict[Burst, int] = {}
    false = 0
    for brand, each in enumerate(alerts(world, spike, direction)):
        explained = np.zeros(len(each), bool)
        for burst in (burst for burst in world.bursts if burst.brand == brand):
            inside = each[(each >= burst.first) & (each < burst.end + 3)]
            if inside.size:
                found[burst] = int(inside[0]) + 1 - burst.first
            explained |= (each >= burst.first) & (each < burst.end + HOUR)
        false += int((~explained).sum())
    sharp = [300.0 * steps for burst, steps in found.items() if burst.shape in SHARP]
    by_shape = {name: _share(burst in found for burst in world.bursts if burst.shape == name) for name in SHAPES}
    recall = _share(burst in found for burst in world.bursts)
    return Result(recall, false / len(world.counts) / WEEK_DAYS, median(sharp) if sharp else np.inf, by_shape)


def _share(found: Iterable[bool]) -> float:
    return float(np.mean(list(found)))


def alerts(world: World, spike: Spike, direction: Direction = "above") -> list[Ints]:
    """Of each brand, the steps at which alerts start."""
    verdicts = zip(*_verdicts(world.counts, spike, direction), strict=True)
    return [_alerts(unusual, score, spike.calm_s // 300) + FIRST for unusual, score in verdicts]


def _verdicts(counts: Floats, spike: Spike, direction: Direction) -> tuple[Bools, Floats]:
    """Whether each judged step is unusual, and its score: brands by steps."""
    back, unusual, scores = reach(spike), [], []
    for hour in range(FIRST, counts.shape[1], HOUR):
        studied = study(counts[:, hour - FIRST : hour], spike)
        rows = Study._make(np.repeat(array, HOUR, axis=0) for array in studied)
        recent = sliding_window_view(counts[:, hour - back : hour + HOUR - 1], back, axis=1).reshape(-1, back)
        baseline = expect(rows, recent, np.tile(hour + np.arange(HOUR), len(counts)), spike)
        verdict = judge(baseline, counts[:, hour : hour + HOUR].astype(np.float64).ravel(), spike)
        above = direction == "above"
        unusual.append(((verdict.above if above else verdict.below) > 0).reshape(-1, HOUR))
        scores.append((verdict.score if above else -verdict.lowest).reshape(-1, HOUR))
    return np.hstack(unusual), np.hstack(scores)


def _alerts(unusual: Bools, score: Floats, calm: int) -> Ints:
    """The steps at which alerts start: each goes on until it was calm for so many steps."""
    starts, last = [], -calm - 1
    for step in np.flatnonzero(unusual | (score > STILL)).tolist():
        if step - last > calm:
            if not unusual[step]:
                continue
            starts.append(step)
        last = step
    return np.array(starts, np.int64)


def at_rate(results: Sequence[Result]) -> Result:
    """The result at MOST_FALSE false alerts, between those of two factors. `results`: those of FACTORS."""
    false = [result.false for result in results]
    after = next((place for place, rate in enumerate(false) if rate <= MOST_FALSE), len(false) - 1)
    if not after or false[after] > MOST_FALSE:
        return results[after]
    one, other = results[after - 1], results[after]
    share = (one.false - MOST_FALSE) / (one.false - other.false)
    between = one.recall + share * (other.recall - one.recall)
    shapes = {name: rate + share * (other.by_shape[name] - rate) for name, rate in one.by_shape.items()}
    return Result(between, MOST_FALSE, one.sharp_s + share * (other.sharp_s - one.sharp_s), shapes)


def one_window(spike: Spike) -> Spike:
    """The detector with its shortest window only."""
    return replace(spike, windows_s=spike.windows_s[:1], least=spike.least[:1])


def main(
    seed: Annotated[int, typer.Option(help="Another seed, other brands. The parameters were chosen on seed 1.")] = 2,
    brands: Annotated[int, typer.Option(help="As many, with two bursts and as many drops each.")] = 200,
) -> None:
    """Show which generated bursts and drops the spike rule finds, with one window and with all.

    Takes about three minutes on one core.

    Example: python -m benchmarks.bursts --seed 3
    """
    table = Table("", "windows", "recall", "false", "sharp", *SHAPES, f"at {MOST_FALSE}", title=f"{brands} brands, seed {seed}")
    for direction, spike in RULES:
        world = make(seed, brands, direction)
        for each in (one_window(spike), spike):
            results = [evaluate(world, replace(each, factor=factor), direction) for factor in FACTORS]
            result, fixed = results[FACTORS.index(each.factor)], at_rate(results)
            shapes = [f"{result.by_shape[name]:.2f} ({fixed.by_shape[name]:.2f})" for name in SHAPES]
            sharp = f"{result.sharp_s / 60:.0f} min"
            windows = ", ".join(str(size // 60) for size in each.windows_s)
            table.add_row(
                direction, windows, f"{result.recall:.3f}", f"{result.false:.3f}", sharp, *shapes, f"{fixed.recall:.3f}"
            )
    Console(width=180).print(table)


if __name__ == "__main__":
    typer.run(main)
