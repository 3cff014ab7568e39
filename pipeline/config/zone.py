"""Time zones that people name, as `Europe/Berlin`: names of the IANA database."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator

from pipeline.config.document import hint

UTC = "UTC"


@cache
def _known() -> frozenset[str]:
    """Of the system's zone files and of package tzdata. `localtime` is another zone on each machine."""
    return frozenset(available_timezones() - {"localtime"})


def _zone(name: str) -> str:
    if name not in _known():
        raise ValueError(f"there is no time zone {name!r}{hint(name, _known())}")
    return name


Zone = Annotated[str, AfterValidator(_zone)]
