"""The types of fields that the files which people write share."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> timedelta:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,9})\s*([smhd])", value.strip())):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} is no duration: it should look like 90s, 10m, 4h or 1d")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$"),
    Field(json_schema_extra={"as": "our-shop: small letters, digits, - and _, at most 64"}),
]


def check_reachable(entry: str) -> str:
    """An entry of a key `allow`. Raises ValueError for what http/addresses.py would never meet."""
    try:
        ip_network(entry)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", entry) or re.fullmatch(r"[\d.]+", entry):
            raise ValueError(f"{entry!r} is no address, network or host name") from None
    return entry
