"""The table of metrics in docs/metrics.md, made from pipeline/monitoring/: `make board` writes it between marks."""

from __future__ import annotations

from pathlib import Path

from deploy.grafana.board import series
from pipeline.monitoring import identity_metrics, metrics, source_metrics  # noqa: F401  # they declare
from pipeline.monitoring.declare import DECLARED

FILE = Path(__file__).parent.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: made by `make board` -->\n", "<!-- end of metrics -->\n"


def table() -> str:
    rows = []
    for metric, labels in DECLARED:
        (family,) = metric.describe()
        rows.append(f"| `{series(metric)}` | {family.type} | {', '.join(labels)} | {family.documentation} |\n")
    return "".join(["| metric | type | labels | meaning |\n|---|---|---|---|\n", *rows])


def page() -> str:
    """docs/metrics.md with the table as it should be."""
    before, _, rest = FILE.read_text().partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    FILE.write_text(page())
