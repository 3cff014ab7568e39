"""The command: `python -m benchmarks [FIGURE...]`; see `--help`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import prepare


def main(
    figure: Annotated[list[str] | None, typer.Argument(help="Figures to measure, by name or its beginning. None: all.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Small counts: a look whether all works, no figures to keep.")] = False,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=10_000, help="Interactions that are asked about, and among which persons are erased."),
    ] = None,
    seconds: Annotated[int | None, typer.Option("--seconds", min=1, help="How long streams of events last.")] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = Path("build/bench.json"),
) -> None:
    """Measure Earshot on two cores: print a table and write build/bench.json.

    Kafka, ClickHouse, the worker and its peers share the two cores. Exit codes: 0 all was measured, 1 a figure is missing.

    Example: python -m benchmarks steps.hot_path end_to_end --short

    Example: python -m benchmarks queries --rows 100000000
    """
    prepare()
    from benchmarks import report, suite  # after the cores are chosen: Polars counts them when it is imported

    console = Console()
    measurements = suite.chosen(figure or [])
    if not measurements:
        raise typer.BadParameter(f"no figure is named {' or '.join(figure or [])}")
    if short:
        console.print("a short run: the figures show that it works, not how fast")
    else:
        console.print(f"this takes about {sum(each.minutes for each in measurements):.0f} minutes on two quiet cores")
    sizes = suite.SHORT if short else suite.FULL
    sizes = replace(
        sizes,
        interactions=rows or sizes.interactions,
        searched=rows or sizes.searched,
        latency_seconds=seconds or sizes.latency_seconds,
    )
    figures = suite.run(measurements, sizes)
    console.print(report.table(figures))
    report.write(json_file, figures)
    console.print(f"written to {json_file}")
    missing = {name for each in measurements for name in each.names} - {each.name for each in figures}
    if missing:
        console.print(f"missing: {', '.join(sorted(missing))}", style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
