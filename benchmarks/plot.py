"""Pictures of the figures that a run wrote: `python -m benchmarks.plot`, `make bench-plot`.

A picture for each family of figures (what stands before the point of a name), with a panel for each unit: a bar for each
figure, a line across it where its goal is, red where it misses it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.report import GOALS, Figure, short

GOOD, MISSED, GOAL = "#3b7dd8", "#d0453b", "#222222"
ROW_INCHES, PANEL_INCHES = 0.32, 0.9


def main(
    json_file: Annotated[Path, typer.Option("--json", help="What `python -m benchmarks` wrote.")] = Path("build/bench.json"),
    folder: Annotated[Path, typer.Option("--into", help="Where the pictures go.")] = Path("build/bench"),
) -> None:
    """Draw the figures of the last run. Exit codes: 0 drawn, 1 there are no figures."""
    try:
        report = json.loads(json_file.read_text())
        figures = [Figure(**each) for each in report["figures"]]
    except FileNotFoundError:
        raise SystemExit(f"{json_file} is not there: run `make bench`, or `python -m benchmarks FIGURE` for some") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{json_file} is no report of benchmarks: {error!r}") from None
    except OSError as error:
        raise SystemExit(f"{json_file} can't be read: {error.strerror}") from None
    if not figures:
        raise SystemExit(f"{json_file} holds no figures: run `python -m benchmarks FIGURE`")
    try:
        paths = draw(figures, report.get("machine", {}), folder)
    except OSError as error:
        raise SystemExit(f"pictures can't be written into {folder}: {error.strerror}") from None
    typer.echo("\n".join(map(str, paths)))


def draw(figures: Sequence[Figure], machine: dict[str, Any], folder: Path) -> list[Path]:
    """Writes FAMILY.png for each family into the folder, and returns the paths, by name. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    where = ", ".join(f"{machine[key]} {unit}" for key, unit in (("cores", "cores"), ("memory_gb", "GB")) if key in machine)
    families: dict[str, dict[str, list[Figure]]] = {}
    for figure in figures:
        families.setdefault(figure.name.partition(".")[0], {}).setdefault(figure.unit, []).append(figure)
    paths = []
    for family, panels in sorted(families.items()):
        heights = [len(panel) * ROW_INCHES + PANEL_INCHES for panel in panels.values()]
        picture = Picture(figsize=(11, sum(heights) + 0.4), layout="constrained")
        rows = picture.subplots(len(panels), squeeze=False, height_ratios=heights)
        for (axes,), (unit, panel) in zip(rows, panels.items(), strict=True):
            _bars(axes, unit, panel)
        picture.suptitle(f"{family} ({where})" if where else family, x=0.01, ha="left")
        paths.append(folder / f"{family}.png")
        picture.savefig(paths[-1], dpi=110)
    return paths


def _bars(axes: Axes, unit: str, figures: Sequence[Figure]) -> None:
    names = [figure.name.partition(".")[2] for figure in figures]
    colours = [GOOD if figure.met else MISSED for figure in figures]
    bars = axes.barh(names, [figure.value for figure in figures], color=colours, height=0.7)
    axes.bar_label(bars, [short(figure.value) for figure in figures], padding=3, fontsize=8)
    for place, figure in enumerate(figures):
        if figure.name in GOALS:
            axes.vlines(GOALS[figure.name][1], place - 0.45, place + 0.45, color=GOAL, linewidth=2)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    typer.run(main)
