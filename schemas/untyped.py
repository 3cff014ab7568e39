"""Names for data whose types are known only at run time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]
"""A JSON object, parsed or about to be written. Readers of foreign JSON check each value."""
Row = Mapping[str, Any]
"""A row of a frame or a table, by column."""
