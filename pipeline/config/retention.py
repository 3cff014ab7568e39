"""The settings of how long rows are kept."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import Field, field_validator

from pipeline.config.document import check_names
from pipeline.config.section import Section
from schemas.events import PLATFORM_PATTERN

MOST_DAYS = 10_000
"""ClickHouse's times of seconds end in 2106."""


class Expiry(NamedTuple):
    """By which time rows of a table go, and after how many days without a setting; None: they stay."""

    time: str
    days: int | None = None
    sooner: str = ""
    """A column: rows where it is 1 go after UNREADABLE_DAYS at the latest."""


UNREADABLE_DAYS = 90
"""Of a dead letter that does not say whose it is: no erasure of a person finds it."""
TABLES = {
    "interactions": Expiry("created_at"),
    "account_events": Expiry("created_at"),
    "dead_letters": Expiry("rejected_at", 400, "unreadable"),
    "alert_events": Expiry("created_at", 400),
    "alert_deliveries": Expiry("tried_at", 90),
}
"""The tables that may have a setting."""
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class RetentionSettings(Section):
    """`earshot migrate` gives the tables their time to live, and takes it away when the setting goes. Restart control first: it
    makes no quarter-hour anew whose events may be gone."""

    tables: dict[str, Days] = Field({}, description="days that a table keeps its rows, as {interactions = 730}")
    platforms: dict[str, Days] = Field({}, description="days that interactions keeps rows of a platform, else the table's")

    @field_validator("tables")
    @classmethod
    def _are_tables(cls, tables: dict[str, int]) -> dict[str, int]:
        check_names("tables", tables, TABLES)
        return tables

    @field_validator("platforms")
    @classmethod
    def _are_platforms(cls, platforms: dict[str, int]) -> dict[str, int]:
        for name in platforms:
            if not re.fullmatch(PLATFORM_PATTERN, name):
                raise ValueError(f"{name!r} is no platform: it begins with a letter, then a-z, 0-9, _, . and -")
        return platforms
