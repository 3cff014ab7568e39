"""Names that people type: brands, platforms, rules. One that nobody has heard of is refused, with the nearest that exists;
where it only chooses what is shown, it is a warning.

A brand exists when brands.yaml or a rule names it, or something that landed does, for sources name brands of their own; and so
do platforms. What a file says costs nothing, ClickHouse is asked for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.document import hint
from pipeline.config.settings import Settings
from pipeline.errors import SettingsError, UnknownName
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, brands_of, load_rules, platforms_of
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

Column = Callable[[str], Iterable[Any]]
"""Runs SQL; the answer's first column."""
NEAR = 20
_OF = {
    "brand": ("SELECT toString(arrayJoin(brands)) AS name FROM interactions", "has(brands, {})"),
    "platform": ("SELECT toString(platform) AS name FROM interactions", "platform = {}"),
}


@dataclass(frozen=True)
class Names:
    """Raises UnknownName for what does not exist, and what `ask` raises."""

    ask: Column | None
    """None: the tables can't be asked, the files alone count."""
    rules: Alerts
    brands: Collection[str]
    """Of brands.yaml."""

    def check_brand(self, name: str) -> None:
        named = {*self.brands, *(brand for rule in self.rules.rules for brand in brands_of(rule))}
        self._check("brand", name, named)

    def check_platform(self, name: str) -> None:
        self._check("platform", name, {platform for rule in self.rules.rules for platform in platforms_of(rule)})

    def check_rule(self, name: str, past: bool = False) -> None:
        """`past`: one that was taken out and has alerts on record is as good."""
        named = [rule.name for rule in self.rules.rules]
        if name in named or (past and self._any(f"SELECT 1 FROM alerts WHERE rule = {quoted(name)} LIMIT 1")):
            return
        if past:
            raise self._unknown("rule", name, named)
        raise UnknownName(f"there is no rule {name!r}{hint(name, named) or ': there are ' + (', '.join(named) or 'none')}")

    def _check(self, what: str, name: str, named: set[str]) -> None:
        names, landed = _OF[what]
        if name in named or self._any(f"SELECT 1 FROM alerts WHERE {what} = {quoted(name)} LIMIT 1"):
            return
        if self._any(f"SELECT 1 FROM interactions WHERE {landed.format(quoted(name))} LIMIT 1"):
            return
        raise self._unknown(what, name, {*named, *self._landed(name, names)})

    def _landed(self, name: str, names: str) -> list[Any]:
        """Those that look most like it."""
        distance = f"editDistanceUTF8(lowerUTF8(name), lowerUTF8({quoted(name[:100])}))"
        return self._column(f"SELECT name FROM ({names}) GROUP BY name ORDER BY {distance}, name LIMIT {NEAR}")

    def _unknown(self, what: str, name: str, known: Iterable[str]) -> UnknownName:
        where = ", neither in the files nor in stored events" if self.ask else " in the files here"
        return UnknownName(f"there is no {what} {name!r}{where}{hint(name, known)}")

    def _any(self, sql: str) -> bool:
        return bool(self._column(sql))

    def _column(self, sql: str) -> list[Any]:
        return list(self.ask(sql)) if self.ask else []


def brand_names(settings: Settings) -> list[str]:
    """Of the brands.yaml in force; none when it is broken, for that is said elsewhere."""
    with suppress(SettingsError):
        return [brand.name for brand in load_brands(settings.brands or SAMPLE_BRANDS).brands]
    return []


def names_of(settings: Settings, tables: bool = True) -> Names:
    """What exists for a command with these settings; ClickHouse is reached when it has to be asked, never without `tables`."""
    return Names(_Lazy(settings) if tables else None, load_rules(settings.alerts or DEFAULT_RULES), brand_names(settings))


def unheard(names: Names, brand: str, rule: str) -> Iterator[str]:
    """What to say of names that only choose what is shown. Files and tables are those of here: control may know more."""
    for name, check in ((brand, names.check_brand), (rule, partial(names.check_rule, past=True))):
        if name:
            try:
                check(name)
            except UnknownName as error:
                yield str(error)


class _Lazy:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _ask(self) -> Callable[..., Any]:
        return asker(clickhouse_client(self._settings.clickhouse))

    def __call__(self, sql: str) -> Iterable[Any]:
        return list(self._ask(sql, {}).to_series())
