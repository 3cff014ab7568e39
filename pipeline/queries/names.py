"""Names that people type: brands, platforms, rules. An unknown name is refused, with the nearest known one; in a filter of a
list it is a warning.

A brand exists if brands.yaml, a rule or a stored row names it, because sources name brands of their own; a platform likewise.
Files are looked at first; only for other names ClickHouse is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from threading import Lock

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.document import hint
from pipeline.config.settings import Settings
from pipeline.errors import SettingsError, UnknownName
from pipeline.processors.alerts.rule_types import brands_of, platforms_of
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, load_rules
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands
from pipeline.queries.counted_names import is_named_sql, names_sql

Column = Callable[[str], Iterable[str]]
"""Runs SQL; returns the first column of the result."""
NEAR = 20


@dataclass(frozen=True)
class Names:
    """The known names. Each check raises UnknownName for another, and what `ask` raises."""

    ask: Column | None
    """None: only the files count."""
    rules: Alerts
    brands: Collection[str]
    """The brands of brands.yaml."""

    def check_brand(self, name: str) -> None:
        named = {*self.brands, *(brand for rule in self.rules.rules for brand in brands_of(rule))}
        self._check("brand", name, named)

    def check_platform(self, name: str) -> None:
        self._check("platform", name, {platform for rule in self.rules.rules for platform in platforms_of(rule)})

    def check_rule(self, name: str, past: bool = False) -> None:
        """`past`: a rule that was removed, and has alerts in the table, passes too."""
        named = [rule.name for rule in self.rules.rules]
        if name in named or (past and self._any(f"SELECT 1 FROM alerts_now WHERE rule = {quoted(name)} LIMIT 1")):
            return
        if past:
            raise self._unknown("rule", name, named)
        raise UnknownName(f"there is no rule {name!r}{hint(name, named) or ': there are ' + (', '.join(named) or 'none')}")

    def _check(self, what: str, name: str, named: set[str]) -> None:
        if name in named or self._any(f"SELECT 1 FROM alerts_now WHERE {what} = {quoted(name)} LIMIT 1"):
            return
        if self._any(is_named_sql(what, name)):
            return
        raise self._unknown(what, name, {*named, *self._landed(name, what)})

    def _landed(self, name: str, what: str) -> list[str]:
        """The names of stored rows that look most like it."""
        distance = f"editDistanceUTF8(lowerUTF8(name), lowerUTF8({quoted(name[:100])}))"
        return self._column(f"SELECT name FROM ({names_sql(what)}) GROUP BY name ORDER BY {distance}, name LIMIT {NEAR}")

    def _unknown(self, what: str, name: str, known: Iterable[str]) -> UnknownName:
        where = ", neither in the files nor in stored events" if self.ask else " in the files here"
        return UnknownName(f"there is no {what} {name!r}{where}{hint(name, known)}")

    def _any(self, sql: str) -> bool:
        return bool(self._column(sql))

    def _column(self, sql: str) -> list[str]:
        return list(self.ask(sql)) if self.ask else []


def brand_names(settings: Settings) -> tuple[str, ...]:
    """The brands of brands.yaml as it is now; none if it is broken: the commands that read it say so. It is read once."""
    path = settings.brands or SAMPLE_BRANDS
    with _reading:
        return _brands(path, _stamp(path))


def rules_of(settings: Settings) -> Alerts:
    """alerts.yaml as it is now; it is read once. Raises SettingsError."""
    path = settings.alerts or DEFAULT_RULES
    with _reading:
        return _rules(path, _stamp(path))


def rule_names(settings: Settings) -> tuple[str, ...]:
    """The rules of alerts.yaml as it is now; none if it is broken."""
    with suppress(SettingsError):
        return tuple(rule.name for rule in rules_of(settings).rules)
    return ()


def names_of(settings: Settings, tables: bool = True) -> Names:
    """The names for a command with these settings; connects to ClickHouse when it has to ask, never without `tables`."""
    return Names(_Lazy(settings) if tables else None, rules_of(settings), brand_names(settings))


def unknown(names: Names, brand: str, rule: str) -> Iterator[str]:
    """A warning for each unknown name of a filter. It knows the files and tables of this machine; control may know more."""
    for name, check in ((brand, names.check_brand), (rule, partial(names.check_rule, past=True))):
        if name:
            try:
                check(name)
            except UnknownName as error:
                yield str(error)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


_reading = Lock()
"""Ten thousand brands take two seconds to read: of many who want them one reads."""


@lru_cache(maxsize=4)
def _brands(path: Path, stamp: tuple[int, int]) -> tuple[str, ...]:
    with suppress(SettingsError):
        return tuple(brand.name for brand in load_brands(path).brands)
    return ()


@lru_cache(maxsize=4)
def _rules(path: Path, stamp: tuple[int, int]) -> Alerts:
    return load_rules(path)


class _Lazy:
    """A Column that connects at the first question."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> Client:
        return clickhouse_client(self._settings.clickhouse)

    def __call__(self, sql: str) -> Iterable[str]:
        with one_line(self._client):  # without settings: a user who may only read can't send them
            return [str(row[0]) for row in self._client.query(sql).result_rows]
