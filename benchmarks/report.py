"""What a run reports: figures with stable names, the machine and the versions they hold for, as a table and as JSON.

build/bench.json: `{"machine": {...}, "versions": {...}, "figures": [{"name", "value", "unit", "conditions"}]}`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Group
from rich.table import Table

RATE = "events/s"
CPU = "CPU s/M events"
MS = "ms"
MB = "MB"
RATIO = "ratio"

GOALS: Mapping[str, tuple[str, float]] = {
    "steps.hot_path": (">=", 250_000),
    "end_to_end.throughput": (">=", 100_000),
    "end_to_end.cpu_total": ("<=", 13.5),
    "end_to_end.visible_p50_ms": ("<", 300),
    "end_to_end.visible_p99_ms": ("<", 1_000),
    "cost.idle_cores": ("<=", 0.15),
    "cost.cores_100": ("<=", 0.35),
    "cost.cores_1000": ("<=", 0.75),
    "worker.rss_mb": ("<", 900),
    "failover.worst_s": ("<", 15),
    "dedup.bytes_per_key": ("<=", 26),
    "scaling.keys_ratio": (">=", 0.85),
    "scaling.partitions_ratio": (">=", 0.85),
    "sentiment.engine_ratio": (">=", 3),
    "sentiment.fast_ratio": (">=", 15),
    "sentiment.reposts_ratio": (">=", 1.08),
    "sentiment.cache_ratio": (">=", 2),
    "sentiment.visible_p99_ms": ("<", 1_000),
    "alerts.single_p99_ms": ("<", 1_000),
    "alerts.windowed_p99_ms": ("<", 2_500),
    "alerts.control_cores": ("<", 0.2),
    "alerts.campaign_found": (">=", 19),
    "alerts.campaign_s": ("<", 600),
    "alerts.campaign_cores": ("<", 0.1),
    "reconcile.rss_mb": ("<", 500),
    "reconcile.visible_p99_ms": ("<", 1_000),
    "listen.map_rate": (">=", 20_000),
    "listen.visible_p99_ms": ("<", 1_000),
    "listen.feeds_cores": ("<", 0.2),
    "listen.feeds_mb": ("<", 300),
    "listen.mixed_cores": ("<", 0.3),
    "listen.mixed_mb": ("<", 300),
    "identity.lookups": (">=", 2_000_000),
    "identity.bytes_per_account": ("<=", 24),
    "identity.hot_path_ratio": ("<=", 1.1),
    "identity.insert_cpu": ("<=", 0.8),
    "identity.ready_s": ("<", 30),
    "identity.ready_mb": ("<", 1_000),
    "identity.relink_s": ("<", 2),
    "identity.relink_group_by_s": ("<", 5),
    "identity.relink_stream_s": ("<", 1),
    "identity.timeline_ms": ("<", 150),
    "identity.import_s": ("<", 600),
    "identity.import_alerts_p99_ms": ("<", 1_000),
    "queries.worst_median_ms": ("<", 1_000),
    "queries.worst_p95_ms": ("<", 2_000),
    "queries.years_median_ms": ("<", 300),
    "privacy.hide_s": ("<", 5),
    "privacy.purge_p99_ratio": ("<=", 1.5),
    "rollups.lag_s": ("<=", 15),
    "rollups.alerts_p99_ratio": ("<=", 1.1),
    "rollups.visible_p99_ratio": ("<=", 1.1),
    "console.page_p95_ms": ("<", 300),
    "console.first_page_kb": ("<", 150),
    "console.first_paint_ms": ("<", 1_000),
    "console.alert_p99_ms": ("<", 1_000),
    "console.streams_cores": ("<", 0.15),
    "console.streams_mb": ("<", 150),
    "peers.faust_ratio": (">=", 6),
    "peers.faust_documented_ratio": (">=", 20),
    "peers.quix_ratio": (">=", 1.8),
    "peers.bytewax_ratio": (">=", 1.25),
}
"""What is promised, of the figures that promise something."""

_PACKAGES = (
    "faust-streaming",
    "confluent-kafka",
    "polars",
    "pyarrow",
    "numpy",
    "xxhash",
    "clickhouse-connect",
    "chdb",
    "onnxruntime",
    "tokenizers",
)


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    conditions: str

    @property
    def goal(self) -> str:
        sign, bound = GOALS.get(self.name, ("", 0.0))
        return f"{sign} {bound:,g}" if sign else ""

    @property
    def met(self) -> bool:
        """Whether it is as good as promised; what promises nothing always is."""
        sign, bound = GOALS.get(self.name, ("", 0.0))
        return {"": True, ">=": self.value >= bound, "<": self.value < bound, "<=": self.value <= bound}[sign]


def machine() -> dict[str, Any]:
    """Where it was measured; nothing that names the machine."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / (1 << 30)),
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def table(figures: Sequence[Figure]) -> Group:
    """The figures, and below them the numbered conditions that they refer to."""
    notes = list(dict.fromkeys(figure.conditions for figure in figures))
    shown = Table("figure", "value", "unit", "goal", "see", title="Earshot's benchmarks", title_justify="left")
    for column in shown.columns:
        column.no_wrap = True
    shown.columns[1].justify = "right"
    for figure, following in zip(figures, [*figures[1:], None], strict=False):
        colour = "default" if not figure.goal else "green" if figure.met else "red"
        last = following is None or following.name.partition(".")[0] != figure.name.partition(".")[0]
        value, note = f"[{colour}]{short(figure.value)}[/]", str(notes.index(figure.conditions) + 1)
        shown.add_row(figure.name, value, figure.unit, figure.goal, note, end_section=last)
    return Group(shown, *(f"{number:2} {note}" for number, note in enumerate(notes, 1)))


def short(value: float) -> str:
    """The number in about four digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def write(path: Path, figures: Sequence[Figure]) -> None:
    report = {
        "machine": machine(),
        "versions": versions(),
        "figures": [asdict(figure) for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
