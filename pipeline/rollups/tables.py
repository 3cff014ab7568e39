"""All rollups, in the order in which they have their turn."""

from __future__ import annotations

from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Rollup
from pipeline.rollups.threads import Threads

ROLLUPS: tuple[Rollup, ...] = (Quarters(), Threads())
