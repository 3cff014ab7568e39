"""Time zones that people name, as `Europe/Berlin`: names of the IANA database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from pipeline.config.document import hint

UTC = "UTC"


@cache
def _known() -> frozenset[str]:
    """Of the system's zone files and of package tzdata. `localtime` is another zone on each machine, Factory is none."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def zone_hint(name: str) -> str:
    """`, did you mean 'Europe/Berlin'?`; of places: an abbreviation as EST has no summer time."""
    return hint(name, {zone for zone in _known() if "/" in zone or zone == UTC}) or ": name a place, as Europe/Berlin"


def check_zone(name: str) -> str:
    """The name. Raises ValueError if there is no such zone, with the nearest one."""
    if name not in _known():
        raise ValueError(f"there is no time zone {name!r}{zone_hint(name)}")
    return name


Zone = Annotated[str, AfterValidator(check_zone), Field(json_schema_extra={"misnamed": ["tz"]})]
Zones = Mapping[str, str]
"""The zones of brands, by name; a brand that is not among them has UTC."""
NO_ZONES: Zones = MappingProxyType({})
