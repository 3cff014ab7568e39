"""The regression gate: `make bench-check` fails when a step costs more than it did, measured against something that did not
change.

Seconds depend on the machine and on what else runs there, so each step's CPU time is divided by that of a reference on the same
records in the same round: `orjson.loads` of each and Arrow's JSON reader on all. The least of several rounds is compared with
what is stored in baseline.json; more than `TOLERANCE` above it fails. `--update` stores what was measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import prepare

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.25
EVENTS, ROUNDS = 60_000, 7
STEPS = ("decode", "dedup", "mentions", "mentions_5000", "identity", "shape")
"""Completion costs next to nothing here, less than its noise."""
Ratios = Mapping[str, float]


def main(update: Annotated[bool, typer.Option("--update", help="Store what is measured as the new baseline.")] = False) -> None:
    """Compare the steps' costs with the stored ones. Exit codes: 0 no step got dearer, 1 some did.

    Example: python -m benchmarks.check
    """
    prepare()
    measured = measure(EVENTS, ROUNDS)
    if update:
        BASELINE.write_text(json.dumps({name: round(ratio, 4) for name, ratio in measured.items()}, indent=2) + "\n")
    stored: dict[str, float] = json.loads(BASELINE.read_text())
    console = Console()
    console.print(_table(measured, stored))
    if dearer := regressions(measured, stored):
        console.print(f"dearer than it was by more than {TOLERANCE:.0%}: {', '.join(dearer)}", style="red")
        raise typer.Exit(1)


def regressions(measured: Ratios, stored: Ratios) -> list[str]:
    """The steps whose ratio is above the stored one by more than the tolerance, and those that have none stored."""
    return [name for name, ratio in measured.items() if ratio > stored.get(name, 0.0) * (1 + TOLERANCE)]


def measure(events: int, rounds: int) -> dict[str, float]:
    """CPU time of each step over that of the reference: least over least."""
    from benchmarks import load, steps  # after the cores are chosen

    values = load.records(events)
    reference, costs = [], []
    for _ in range(rounds):
        # Before and after the steps, so that a change of the machine's pace does not look like one of the steps.
        reference.append(_reference(values))
        costs.append(steps.each_step(values))
        reference.append(_reference(values))
    return {name: min(cost[name].cpu_seconds for cost in costs) / min(reference) for name in STEPS}


def _reference(values: Sequence[bytes]) -> float:
    """CPU seconds of parsing the records by two libraries, in slices as large as a batch."""
    import orjson
    import pyarrow.json

    from benchmarks.load import BATCH_ROWS

    started = time.process_time()
    for at in range(0, len(values), BATCH_ROWS):
        joined = b"\n".join(values[at : at + BATCH_ROWS])
        options = pyarrow.json.ReadOptions(use_threads=False, block_size=len(joined) + 1)
        pyarrow.json.read_json(pyarrow.py_buffer(joined), read_options=options)
    for value in values:
        orjson.loads(value)
    return time.process_time() - started


def _table(measured: Ratios, stored: Ratios) -> Table:
    table = Table("step", "ratio", "stored", "change", title="CPU time over the reference's", title_justify="left")
    for name, ratio in measured.items():
        before = stored.get(name)
        table.add_row(name, f"{ratio:.3f}", f"{before:.3f}" if before else "-", f"{ratio / before - 1:+.0%}" if before else "-")
    return table


if __name__ == "__main__":
    typer.run(main)
