"""A part of a page: it can be had, or it says since when it can't; the rest of the page works."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pipeline.clock import Clock, wall
from pipeline.errors import EarshotError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """`value`, or why there is none."""

    value: T | None
    failed: str = ""
    """Blank: there is a value."""
    since: datetime | None = None
    """It can't be had since then, as far as this process knows; None: it alone failed, just now."""


async def part(work: Awaitable[T], clock: Clock = wall) -> Part[T]:
    """What the work gives. An EarshotError of it is the reason why there is nothing; `since` as the error has it, else now."""
    try:
        return Part(await work)
    except EarshotError as error:
        return Part(None, str(error), getattr(error, "since", datetime.fromtimestamp(clock(), UTC)))
