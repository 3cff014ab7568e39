"""The panel of a brand: its competitors, by brands.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.document import hint
from pipeline.errors import UnknownName
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, Brand, load_brands


def panel_of(file: Path | None, name: str) -> list[str]:
    """The competitors of the brand. Raises SettingsError for brands.yaml, UnknownName for a brand that is not in it."""
    brands = load_brands(file or SAMPLE_BRANDS)
    brand = brands.named(name)
    if brand is None:
        near = hint(name, (each.name for each in brands.brands))
        raise UnknownName(f"no brand is named {name!r} in {file or SAMPLE_BRANDS}{near or f': {_first_names(brands.brands)}'}")
    return list(brand.competitors)


def _first_names(brands: Sequence[Brand]) -> str:
    """The first 20 names, of up to ten thousand."""
    return "there are " + ", ".join(brand.name for brand in brands[:20]) + (" ..." if len(brands) > 20 else "")
