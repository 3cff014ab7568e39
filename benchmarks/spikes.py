"""The spike detector on recorded, labelled series, beside what others use: `python -m benchmarks.spikes`; see `--help`.

All methods are scored by the score.py that lies beside the data, each with one parameter set for all series. "left out" is ours
with the parameters that are best on the other series, so that none was chosen on the series it is scored on.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from pipeline.processors.alerts.backtest.plot import Window, draw
from pipeline.processors.alerts.backtest.series import Series, mirrored, read_series, replay_series
from pipeline.processors.alerts.spike_parameters import DROP, Spike

Method = Callable[[Series], list[datetime]]

GRID = [
    replace(Spike(), windows_s=(window, *Spike().windows_s[1:]), quantile=quantile, factor=factor)
    for window, quantile, factor in product((600, 900, 1_800), (0.95, 0.97, 0.98), (1.05, 1.15, 1.25))
]
"""What "left out" chooses from."""
MOST_FALSE = 0.10
"""A day: a parameter set is better the more windows it finds within this, then the fewer false alerts it has."""


class Labelled(NamedTuple):
    name: str
    series: Series
    windows: list[Window]


class Scored(NamedTuple):
    found: int
    windows: int
    false: float
    """A day."""
    delays: list[timedelta]
    """From the beginning of each window that was found to the first alert in it."""


def load(folder: Path) -> list[Labelled]:
    """The series of the folder that have labels, by name."""
    labels: Mapping[str, list[tuple[str, str]]] = json.loads((folder / "windows.json").read_text())
    return [
        Labelled(
            Path(name).stem.removeprefix("Twitter_volume_"),
            read_series(folder / name),
            [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in windows],
        )
        for name, windows in sorted(labels.items())
    ]


def scorer(folder: Path) -> Callable[[Labelled, Sequence[datetime]], Scored]:
    """The data's own score, and the delays."""
    spec = importlib.util.spec_from_file_location("score", folder / "score.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Any = module.score

    def scored(labelled: Labelled, alerts: Sequence[datetime]) -> Scored:
        found, windows, false = score(alerts, labelled.windows, labelled.series.times)
        first = (min((at for at in alerts if start <= at <= end), default=None) for start, end in labelled.windows)
        delays = [at - start for at, (start, _) in zip(first, labelled.windows, strict=True) if at]
        return Scored(found, windows, false, delays)

    return scored


def ours(spike: Spike, series: Series) -> list[datetime]:
    return [alert.started for alert in replay_series(*series, spike).raised]


def drops(series: Series) -> list[datetime]:
    """Ours downwards on the mirrored series, whose drops are where the spikes were."""
    return [alert.started for alert in replay_series(*mirrored(series), DROP, "below").raised]


def three_deviations(series: Series, days: int = 7) -> list[datetime]:
    """What the market does: above the mean and three standard deviations of the last seven days."""
    values, size = series.values, days * 288
    return [
        series.times[step]
        for step in range(1, len(values))
        if values[step] > (past := values[max(0, step - size) : step]).mean() + 3 * past.std()
    ]


def ewma(series: Series, span: int = 288) -> list[datetime]:
    """Above three standard deviations of an exponentially weighted mean and variance, with a span of a day."""
    alerts, weight = [], 2 / (span + 1)
    level, variance = float(series.values[0]), 0.0
    for time, value in zip(series.times[1:], series.values[1:].tolist(), strict=True):
        if value > level + 3 * np.sqrt(variance):
            alerts.append(time)
        change = value - level
        level += weight * change
        variance = (1 - weight) * (variance + weight * change * change)
    return alerts


def left_out(folder: Path, data: Sequence[Labelled]) -> dict[str, tuple[Scored, Spike]]:
    """Of each series, the score with the parameters of the grid that are best on the others."""
    with ProcessPoolExecutor() as pool:
        scores = list(pool.map(_scores, [folder] * len(GRID), GRID))
    best = {}
    for place, labelled in enumerate(data):

        def worth(each: tuple[Spike, list[Scored]], place: int = place) -> tuple[bool, int, float]:
            others = [score for other, score in enumerate(each[1]) if other != place]
            false = mean(score.false for score in others)
            return false <= MOST_FALSE, sum(score.found for score in others), -false

        spike, row = max(zip(GRID, scores, strict=True), key=worth)
        best[labelled.name] = row[place], spike
    return best


def table(rows: Mapping[str, Mapping[str, Scored]]) -> Table:
    """Series by method: windows found, false alerts per day, the median time from a window's beginning to its first alert."""
    shown = Table("series", *rows, title="Spikes: windows found, false alerts per day, time to detect", title_justify="left")
    for name in next(iter(rows.values())):
        shown.add_row(name, *(_cell([row[name]]) for row in rows.values()))
    shown.add_section()
    shown.add_row("all (mean)", *(_cell(list(row.values())) for row in rows.values()))
    return shown


def _cell(scores: Sequence[Scored]) -> str:
    delays = [delay.total_seconds() / 3_600 for score in scores for delay in score.delays]
    delay = f"{median(delays):.1f} h" if delays else "-"
    found, windows = sum(score.found for score in scores), sum(score.windows for score in scores)
    return f"{found}/{windows}  {mean(score.false for score in scores):.3f}  {delay:>6}"


def _scores(folder: Path, spike: Spike) -> list[Scored]:
    scored = scorer(folder)
    return [scored(labelled, ours(spike, labelled.series)) for labelled in load(folder)]


def main(
    data: Annotated[Path, typer.Option(help="The folder with the series, windows.json and score.py.")] = Path(
        "../shared/data/spikes"
    ),
    out: Annotated[Path, typer.Option(help="Where the plots go.")] = Path("build/spikes"),
) -> None:
    """Score the shipped spike rule on labelled series, beside others, and draw each series.

    Takes about two minutes on two cores: the parameters left out are a grid.

    Example: python -m benchmarks.spikes --data ../shared/data/spikes
    """
    console = Console()
    series, scored = load(data), scorer(data)
    methods: dict[str, Method] = {
        "Earshot": lambda each: ours(Spike(), each),
        "mean + 3 SD, 7 days": three_deviations,
        "EWMA": ewma,
        "drops, mirrored": drops,
    }
    rows = {name: {each.name: scored(each, method(each.series)) for each in series} for name, method in methods.items()}
    best = left_out(data, series)
    rows = {"Earshot": rows.pop("Earshot"), "Earshot, left out": {name: score for name, (score, _) in best.items()}, **rows}
    console.print(table(rows))
    for name, (_, spike) in best.items():
        chosen = f"shortest window {spike.windows_s[0]} s, quantile {spike.quantile}, factor {spike.factor}"
        console.print(f"left out {name}: {chosen}")
    for each in series:
        draw(out / f"{each.name}.png", each.series, replay_series(*each.series, Spike()), each.windows, each.name)
    console.print(f"drawn in {out}")


if __name__ == "__main__":
    typer.run(main)
