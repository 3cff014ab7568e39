"""All rollups, in the order in which they have their turn."""

from __future__ import annotations

from pathlib import Path

from pipeline.processors.mentions.brands import SAMPLE_BRANDS, BrandNames, load_brands, names_of
from pipeline.rollups.accounts import Accounts
from pipeline.rollups.copied import MEASURES, ORDERS, RELATIONS
from pipeline.rollups.kept import ALL, Kept
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.roles import DEFAULT_ROLES, Roles, load_roles
from pipeline.rollups.rollup import Rollup
from pipeline.rollups.threads import Threads


def rollups(roles: Roles, brands: BrandNames, kept: Kept = ALL) -> tuple[Rollup, ...]:
    """Those of these rules and brands, made from the rows that are kept; their statements need the settings of `kept`, too."""
    return (Quarters(), Threads(kept), Accounts(roles, brands), RELATIONS, MEASURES, ORDERS)


def load_rollups(roles: Path | None, brands: Path | None, kept: Kept = ALL) -> tuple[Rollup, ...]:
    """The same, of files; None: those that ship. Raises SettingsError."""
    return rollups(load_roles(roles or DEFAULT_ROLES), names_of(load_brands(brands or SAMPLE_BRANDS)), kept)
