"""The result of a named query as a picture: lines over time, or bars."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from schemas.queries import NamedQuery, Plot

MOST = 12
"""Series of a picture; of others it says how many they are."""
LONGEST = 60
"""Characters of a name; what is longer is cut."""
LARGEST = 1e300
"""A number beyond it is no point: axes can't be drawn for it."""
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
"""Characters that XML forbids, and other controls: a browser shows no SVG in which one is."""


def draw(path: Path, query: NamedQuery, result: pl.DataFrame) -> None:
    """Writes the picture of the query, as its file says (schemas/queries.py). Of many series or bars it shows the largest, and
    says so. Raises OSError, and KeyError if the query has no picture."""
    if query.plot is None:
        raise KeyError(query.name)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    # Names are not ours: $ is no formula in them, and the font may lack their letters, which are boxes then.
    with rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        axes = figure.add_subplot()
        parts, left = _parts(query.plot, result)
        (_lines if query.plot.kind == "line" else _bars)(axes, query.plot, parts)
        title = query.first if not left else f"{query.first} (the largest {MOST} of {MOST + left})"
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)


def _parts(plot: Plot, result: pl.DataFrame) -> tuple[list[tuple[str, pl.DataFrame]], int]:
    """The series with the largest sums, and how many are left out: of bars the largest first, of lines by name. Of bars each is
    a series."""
    names = [*([plot.x] if plot.kind == "bar" else []), *plot.series]
    number = pl.col(plot.y).cast(pl.Float64).fill_nan(None)
    named = result.with_columns(number).filter(pl.col(plot.y).abs() < LARGEST)
    parts = named.partition_by(names, maintain_order=True, as_dict=True) if names else {(plot.y,): named}
    order = sorted(parts, key=lambda key: -float(parts[key].get_column(plot.y).abs().sum()))
    shown = order[:MOST] if plot.kind == "bar" else sorted(order[:MOST], key=_label)
    return [(_label(key), parts[key]) for key in shown], max(len(order) - MOST, 0)


def _label(key: tuple[object, ...]) -> str:
    text = " ".join(str(each) for each in key if each not in (None, "")) or "(none)"
    text = _UNREADABLE.sub("\ufffd", text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"
    return f" {text}" if text.startswith("_") else text  # a legend passes over names that begin with it


def _lines(axes: Axes, plot: Plot, parts: list[tuple[str, pl.DataFrame]]) -> None:
    for name, part in parts:
        part = part.group_by(plot.x).agg(pl.col(plot.y).sum()).sort(plot.x)
        times = part.get_column(plot.x)
        if isinstance(times.dtype, pl.Datetime):
            times = times.dt.replace_time_zone(None)
        # The type stubs of matplotlib know only the numbers that it makes of times.
        x: Any = times.to_list()
        axes.plot(x, part.get_column(plot.y).to_list(), marker=".", markersize=3, linewidth=1.1, label=name)
        if times.dtype.is_temporal():
            locator = AutoDateLocator(maxticks=16)  # type: ignore[no-untyped-call]  # matplotlib's stubs leave it out
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
        else:
            axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if len(parts) > 1:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def _bars(axes: Axes, plot: Plot, parts: list[tuple[str, pl.DataFrame]]) -> None:
    places = range(len(parts))
    axes.barh(places, [float(part.get_column(plot.y).sum()) for _, part in parts], color="#33475b")
    axes.set_yticks(places, [name for name, _ in parts])
    axes.invert_yaxis()
    axes.set_xlabel(plot.y)
