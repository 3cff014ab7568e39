"""A series as a picture: counts, expected counts, the alerts, and the labelled windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from pipeline.processors.alerts.backtest.series import Raised, Replayed, Series

Window = tuple[datetime, datetime]

_COUNT = "#33475b"
_EXPECTED = "#1f77b4"
_ALERT = "#d62728"
_MISSED = "#f2c14e"
_LABELLED = "#7fb77e"
_FALSE = "#8c564b"


def draw(path: Path, series: Series, replayed: Replayed, windows: Sequence[Window] = (), title: str = "") -> Path:
    """Writes a PNG and returns its path. With labelled windows, an alert outside all of them is drawn as a false one and a
    window without an alert as missed. The scale is logarithmic above 10, so that nights and bursts can both be seen."""
    figure = Figure(figsize=(15, 5.5), layout="constrained")
    axes = figure.add_subplot()
    _windows(axes, windows, replayed.raised)
    times: Any = np.array(series.times)
    upper = np.where(np.isfinite(replayed.upper), replayed.upper, replayed.expected)
    lower = np.where(np.isfinite(replayed.lower), replayed.lower, 0)
    axes.fill_between(times, lower, upper, color=_EXPECTED, alpha=0.15, linewidth=0, step="mid")
    axes.plot(times, series.values, color=_COUNT, linewidth=0.6)
    axes.plot(times, replayed.expected, color=_EXPECTED, linewidth=1.3)
    _alerts(axes, replayed.raised, windows, float(np.max(series.values)))
    _scales(axes, series)
    axes.set_title(title, loc="left", fontweight="bold", pad=30)
    axes.legend(handles=_legend(windows), loc="lower left", bbox_to_anchor=(0, 1), ncols=7, frameon=False, borderaxespad=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _windows(axes: Axes, windows: Sequence[Window], raised: Sequence[Raised]) -> None:
    for start, end in windows:
        detected = any(start <= alert.started <= end for alert in raised)
        axes.axvspan(_number(start), _number(end), color=_LABELLED if detected else _MISSED, alpha=0.3, linewidth=0)


def _alerts(axes: Axes, raised: Sequence[Raised], windows: Sequence[Window], top: float) -> None:
    for alert in raised:
        false = windows and not any(start <= alert.started <= end for start, end in windows)
        colour = _FALSE if false else _ALERT
        height = max(alert.observed, 1) * 1.35
        axes.plot(_number(alert.started), height, marker="v", color=colour, markersize=8, markeredgecolor="white")
        axes.annotate(
            str(alert.severity),
            (_number(alert.started), height),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )


def _scales(axes: Axes, series: Series) -> None:
    axes.set_yscale("symlog", linthresh=10, linscale=0.8)
    axes.set_ylim(0, max(float(np.max(series.values)), 10) * 2.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("mentions per step")
    axes.set_xlim(_number(series.times[0]), _number(series.times[-1]))
    locator = AutoDateLocator(maxticks=16)  # type: ignore[no-untyped-call]  # matplotlib's stubs leave it out
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    axes.grid(alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(windows: Sequence[Window]) -> list[Any]:
    def mark(colour: str, label: str) -> Line2D:
        return Line2D([], [], marker="v", linestyle="", color=colour, markeredgecolor="white", markersize=8, label=label)

    always: list[Any] = [
        Line2D([], [], color=_COUNT, label="counted"),
        Line2D([], [], color=_EXPECTED, label="expected"),
        Patch(color=_EXPECTED, alpha=0.15, label="raises nothing"),
        mark(_ALERT, "alert, with its severity"),
    ]
    if not windows:
        return always
    labelled = [
        Patch(color=_LABELLED, alpha=0.3, label="labelled, detected"),
        Patch(color=_MISSED, alpha=0.3, label="labelled, missed"),
    ]
    return [*always, mark(_FALSE, "false alert"), *labelled]


def _number(time: datetime) -> Any:
    """A time as matplotlib takes it; its type stubs know only the numbers that it makes of them."""
    return time
