"""The result of a named query as a picture: lines over time, or bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from schemas.queries import NamedQuery, Plot

MOST = 12
"""Series of a picture; of others it says how many they are."""


def draw(path: Path, query: NamedQuery, result: pl.DataFrame) -> None:
    """Writes the picture of the query, as its file says (schemas/queries.py). Of many series or bars it shows the largest, and
    says so. Raises OSError, and KeyError if the query has no picture."""
    if query.plot is None:
        raise KeyError(query.name)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.add_subplot()
    parts, left = _parts(query.plot, result)
    for name, part in parts:
        (_line if query.plot.kind == "line" else _bars)(axes, query.plot, name, part)
    title = query.first if not left else f"{query.first} (the largest {MOST} of {MOST + left})"
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    if len(parts) > 1 and query.plot.kind == "line":
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _parts(plot: Plot, result: pl.DataFrame) -> tuple[list[tuple[str, pl.DataFrame]], int]:
    """The series with the largest sums, by name, and how many are left out. Of bars each is a series."""
    names = [*plot.series, *([plot.x] if plot.kind == "bar" else [])]
    named = result.with_columns(
        pl.concat_str(*(pl.col(name).cast(pl.String) for name in names), separator=" ", ignore_nulls=True).alias("series")
        if names
        else pl.lit(plot.y).alias("series"),
        pl.col(plot.y).cast(pl.Float64),
    )
    order = named.group_by("series").agg(pl.col(plot.y).abs().sum()).sort(plot.y, "series", descending=[True, False])
    shown = order.get_column("series").head(MOST).to_list()
    return [(name.strip(), named.filter(pl.col("series") == name)) for name in shown], max(order.height - MOST, 0)


def _line(axes: Axes, plot: Plot, name: str, part: pl.DataFrame) -> None:
    part = part.group_by(plot.x).agg(pl.col(plot.y).sum()).sort(plot.x)
    times = part.get_column(plot.x)
    if isinstance(times.dtype, pl.Datetime):
        times = times.dt.replace_time_zone(None)
    # The type stubs of matplotlib know only the numbers that it makes of times.
    x: Any = times.to_list()
    axes.plot(x, part.get_column(plot.y).to_list(), marker=".", markersize=3, linewidth=1.1, label=name)
    axes.set_ylabel(plot.y)
    if times.dtype.is_temporal():
        locator = AutoDateLocator(maxticks=16)  # type: ignore[no-untyped-call]  # matplotlib's stubs leave it out
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above


def _bars(axes: Axes, plot: Plot, name: str, part: pl.DataFrame) -> None:
    axes.barh(name, float(part.get_column(plot.y).sum()), color="#33475b")
    axes.set_xlabel(plot.y)
    if len(axes.patches) == 1:
        axes.invert_yaxis()
