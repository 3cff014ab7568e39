"""Inbound, about a tracked brand: who wrote an event and whether it counts, as Polars expressions and as SQL side by side.

Each pair agrees on every row of interactions (tests/schemas/test_inbound.py); a null and an empty text are the same, because a
null is stored as the column's default. A missing or unknown direction counts as inbound.
"""

from __future__ import annotations

import polars as pl

INBOUND = pl.col("direction").fill_null("") != "outbound"
INBOUND_SQL = "direction != 'outbound'"
"""Written by somebody else than the brand."""

ABOUT_A_BRAND = INBOUND & (pl.col("is_deleted") == 0) & (pl.col("brands").list.len().fill_null(0) > 0)
ABOUT_A_BRAND_SQL = f"{INBOUND_SQL} AND is_deleted = 0 AND notEmpty(brands)"
"""Inbound, not deleted, and about one tracked brand at least."""

TO_LABEL = ABOUT_A_BRAND & (pl.col("text").fill_null("") != "")
TO_LABEL_SQL = f"{ABOUT_A_BRAND_SQL} AND text != ''"
"""Such an event with a text: it gets a sentiment label."""
