"""`make train-sentiment DATA=FOLDER`: trains the bundled models again from the recorded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pipeline.processors.sentiment.models import BUNDLED
from pipeline.processors.sentiment.training.recipe import ON, train


def main(
    data: Annotated[Path, typer.Argument(help="The folder of the recorded data: it holds sentiment/, stream/ and platforms/.")],
    models: Annotated[Path, typer.Option(help="Where the folders accurate and fast are written.")] = BUNDLED,
) -> None:
    """Train both models: some ten minutes on a large GPU, days on two cores."""
    bars: dict[str, int] = {}
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:

        def say(name: str, done: int, steps: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=steps)
            progress.update(bars[name], completed=done)  # type: ignore[arg-type]  # rich's TaskID is an int

        figures = train(data, models, say)
    table = Table("validation", *figures, title=f"macro recall; a language is used from {ON:.2f} on")
    for split in sorted(next(iter(figures.values()))):
        table.add_row(split, *(f"{recall[split]:.3f}" for recall in figures.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
