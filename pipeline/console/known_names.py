"""Names that a form offers: the brands of brands.yaml and the rules of alerts.yaml. Others may exist; control knows."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.config.settings import Settings
from pipeline.errors import SettingsError
from pipeline.processors.alerts.rules import DEFAULT_RULES, load_rules
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

MOST = 500
"""Of each: a list of more helps nobody."""


class KnownNames(NamedTuple):
    """In the order of their files."""

    brands: tuple[str, ...]
    rules: tuple[str, ...]


def known_names(settings: Settings) -> KnownNames:
    """Those of the files as they are now; of a broken one none. It reads files."""
    brands, rules = settings.brands or SAMPLE_BRANDS, settings.alerts or DEFAULT_RULES
    return KnownNames(_brands(brands, _stamp(brands)), _rules(rules, _stamp(rules)))


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4)
def _brands(path: Path, stamp: int) -> tuple[str, ...]:
    try:
        return tuple(brand.name for brand in load_brands(path).brands[:MOST])
    except SettingsError:
        return ()


@lru_cache(maxsize=4)
def _rules(path: Path, stamp: int) -> tuple[str, ...]:
    try:
        return tuple(rule.name for rule in load_rules(path).rules[:MOST])
    except SettingsError:
        return ()
