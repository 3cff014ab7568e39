"""The table of metrics in docs/metrics.md, made from pipeline/monitoring/: `make board` writes it between marks."""

from __future__ import annotations

from inspect import getsource
from pathlib import Path

from deploy.grafana.board import series
from pipeline.monitoring import console_metrics, erasing_metrics, identity_metrics, metrics, source_metrics
from pipeline.monitoring.declare import DECLARED, Metric

FILE = Path(__file__).parent.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: made by `make board` -->\n", "<!-- end of metrics -->\n"


SOURCES = [getsource(module) for module in (metrics, erasing_metrics, identity_metrics, source_metrics, console_metrics)]
"""What declares metrics, in the order of the table: that in which they were imported differs."""


def _module(declared: tuple[Metric, tuple[str, ...]]) -> int:
    (family,) = declared[0].describe()
    name = f'"{family.name.removeprefix("earshot_")}"'
    return next(index for index, source in enumerate(SOURCES) if name in source or f'"{family.name}"' in source)


def table() -> str:
    rows = []
    for metric, labels in sorted(DECLARED, key=_module):
        (family,) = metric.describe()
        rows.append(f"| `{series(metric)}` | {family.type} | {', '.join(labels)} | {family.documentation} |\n")
    return "".join(["| metric | type | labels | meaning |\n|---|---|---|---|\n", *rows])


def page() -> str:
    """docs/metrics.md with the table as it should be."""
    before, _, rest = FILE.read_text().partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    FILE.write_text(page())
