"""Calls of the named queries, for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.queries.named import values_of
from schemas.queries import NamedQuery

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def asked(query: NamedQuery, **given: str | list[str]) -> dict[str, object]:
    """Values of all parameters: those given, a value for what must be given, and defaults."""
    values = {name: [value] if isinstance(value, str) else value for name, value in given.items()}
    lacking = {each.name: ["1"] for each in query.parameters if each.default is None and each.name not in values}
    return values_of(query, values | lacking, NOW)


def called(query: NamedQuery, values: dict[str, object]) -> str:
    """The view, as a statement calls it."""
    if not values:
        return query.view
    return f"{query.view}({', '.join(f'{name} = {_literal(value)}' for name, value in values.items())})"


def _literal(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
