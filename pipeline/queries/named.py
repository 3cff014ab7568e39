"""The named queries of `earshot query`: which there are, and the values of their parameters, from what people write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.config.document import hint
from pipeline.config.zone import check_zone
from pipeline.errors import EarshotError, SettingsError
from schemas.queries import NamedQuery, Parameter, named_queries

IN_STEPS = {
    "customer": "one customer on a page: accounts, roles, mood, orders, influence, threads (--customer)",
    "timeline": "what the accounts of one customer did, newest first (--customer)",
}
"""The queries that are no file, with their meaning."""
OPTIONS = ("brand", "platform", "language", "from", "to", "zone", "period", "by", "limit")
"""The parameters that have an option of their own; others are given by --set."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_YEARS = range(1970, 2100)
"""What ClickHouse's times of seconds hold."""

Given = Mapping[str, Sequence[str]]
"""Parameter -> its values, as people write them."""


def named(text: str) -> NamedQuery | None:
    """The query of this name; None for SQL. Raises EarshotError for a single word that names no query."""
    if found := named_queries().get(text):
        return found
    if not text.strip() or len(text.split()) == 1:
        names = (*named_queries(), *IN_STEPS)
        raise EarshotError(f"no query is named {text!r}{hint(text, names)}: the names are {', '.join(names)}; or give SQL")
    return None


def values_of(query: NamedQuery, given: Given, now: datetime) -> dict[str, object]:
    """The values of all parameters, defaults included, as clickhouse-connect takes them. A zone goes with any time: days
    begin in it.

    Raises SettingsError for a parameter that the query does not take or lacks, and for a value that it can't have.
    """
    known = {each.name: each for each in query.parameters}
    for name in given:
        if name not in known and not (name == "zone" and "from" in known):
            takes = ", ".join(map(_option, known)) or "no options"
            raise SettingsError(f"query {query.name} takes no {_option(name)}{hint(name, known)}: it takes {takes}")
    zone = _zone(given.get("zone", ["UTC"]))
    values = {name: _value(each, given.get(name), zone, now) for name, each in known.items()}
    if "from" in values and "to" in values and str(values["from"]) >= str(values["to"]):
        raise SettingsError(f"--from is not before --to: {values['from']} UTC, {values['to']} UTC")
    return values


def _option(name: str, text: str = "") -> str:
    """As it is written, with its value if there is one."""
    return f"--{name} {text}".strip() if name in OPTIONS else f"--set {name}={text or '...'}"


def _zone(given: Sequence[str]) -> ZoneInfo:
    try:
        return ZoneInfo(check_zone(given[-1]))
    except ValueError as error:
        raise SettingsError(f"--zone {given[-1]}: {error}") from None


def _value(parameter: Parameter, given: Sequence[str] | None, zone: ZoneInfo, now: datetime) -> object:
    name = parameter.name
    if given is None and parameter.default is None:
        raise SettingsError(f"{_option(name)} is missing: {parameter.meaning}")
    default = parameter.default or ""
    texts = given if given is not None else [default] if not parameter.many else _listed(default)
    if parameter.many:
        return [_checked(parameter, text) for text in texts]
    if len(texts) != 1:
        raise SettingsError(f"{_option(name)} is given {len(texts)} times: it has one value")
    text = texts[0]
    if parameter.type.startswith("DateTime"):
        moment = time_of(_option(name, text), text, zone, now).astimezone(UTC)
        return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}"
    return _checked(parameter, text)


def _listed(default: str) -> list[str]:
    return [text for text in default.strip("[]").split(", ") if text]


def _checked(parameter: Parameter, text: str) -> str:
    """The text, if the type takes it."""
    said, choices, kind = _option(parameter.name, text), parameter.choices, parameter.type
    if "\0" in text or not _is_utf8(text):
        raise SettingsError(f"{_option(parameter.name, repr(text))}: it is not UTF-8")
    if choices and text not in choices:
        raise SettingsError(f"{said}: it is one of {', '.join(choices)}{hint(text, choices)}")
    if kind.startswith("UInt"):
        most = 2 ** int(kind[4:]) - 1
        if not (text.isascii() and text.isdigit() and len(text) <= 20 and 1 <= int(text) <= most):
            raise SettingsError(f"{said}: it is a whole number from 1 to {most:,}")
    if kind.startswith("Float"):
        try:
            float(text)
        except ValueError:
            raise SettingsError(f"{said}: it is a number") from None
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def time_of(said: str, text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """A time: 2026-11-01 (the beginning of that day in the zone), 2026-11-01T10:00 (there, if it names no zone), now, 3h or 90m
    ago, or 7d: the beginning of the day in the zone that was seven days ago."""
    if text == "now":
        return now
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text):
        moment = (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).astimezone(zone)
        return moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) if ago[2] == "d" else moment
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.year not in _YEARS:
        raise SettingsError(f"{said}: it should look like 2026-11-01, 2026-11-01T10:00, 2026-11-01T10:00:00Z or 7d")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
