"""All rollups, in the order in which they have their turn."""

from __future__ import annotations

from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Rollup

ROLLUPS: tuple[Rollup, ...] = (Quarters(),)
