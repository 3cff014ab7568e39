"""Decides which names a statement of a user who only reads may use, resolved as the engine resolves them: tables by scope, and
names of functions and tables inside expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from schemas.queries import named_queries

QUERY_VIEWS = tuple(query.view for query in named_queries().values() if not query.operators)
"""Of the named queries that the analyst may ask: with parameters they are table functions."""
READABLE = (
    "account_events",
    "account_quarters",
    "accounts",
    "alert_deliveries",
    "alert_events",
    "alert_silences",
    "alert_watermarks",
    "alerts",
    "alerts_now",
    "assignment_changes",
    "assignments",
    "assignments_as_of",
    "brand_calendars",
    "business_hours",
    "cases",
    "files_in_force",
    "identity_queue",
    "interactions",
    "interactions_now",
    "lost_offsets",
    "measures",
    "orders",
    "panels",
    "quarters",
    "rates",
    "relations",
    "reporting_currency",
    "rollup_marks",
    "source_gaps",
    "source_health",
    "threads",
    *QUERY_VIEWS,
)
"""The tables and views that an analyst reads; deploy/clickhouse/analyst.xml grants the same. Each other one is in WITHHELD."""
WITHHELD = {
    "account_events_filled": "fills account_events, which is readable",
    "alerts_now_filled": "fills alerts_now, which is readable",
    "alert_candidates": "what control still has to judge",
    "alert_late_days": "what control still has to judge again",
    "acts": "what each person did, and why",
    "business_seconds": "a dictionary: read the business seconds of threads, or business_hours",
    "calendar_of": "a dictionary: read brand_calendars",
    "console_names": "whose a name is at the login provider",
    "console_sessions": "who is logged in to the console",
    "conversation_quarters": "where threads finds its rows",
    "customer_of": "a dictionary: read interactions_now, or assignments",
    "customers": "records of a CRM",
    "erasures": "receipts of the privacy officer",
    "dead_letters": "records as they came, e-mail addresses and phone numbers in clear",
    "identity_commands": "which steward decided what of whom, and why",
    "identity_edges": "evidence, also what a person withdrew",
    "identity_marks": "how far customers is",
    "identity_rules": "blocked local parts",
    "key_fingerprints": "of the keys that hash and encrypt",
    "leaders": "who leads",
    "pending_changes": "changes as they came",
    "raised_hashes": "what a change of the hash key does",
    "rate_on": "a dictionary: read rates, or the amounts of orders",
    "retention": "what migrate did",
    "schema_migrations": "what migrate did",
    "source_arrivals": "what control knows of usual gaps",
    "source_cursors": "how far listeners are",
    "suppressions": "keys of persons who were erased",
    **{query.view: query.operators for query in named_queries().values() if query.operators},
}
"""The tables, views and dictionaries that are not for analysts, each with what it holds or why."""
_OPERATORS = ("q_quality", "q_rejects")
OF_CONSOLE = ("acts", "dead_letters", "leaders", "source_cursors", *_OPERATORS)
"""Of these, what user `console` reads, too: the console shows each to those who may see it. deploy/clickhouse/console.xml
grants the same."""
_FOR_DRIVERS = ("system", "settings")  # clickhouse-connect reads it when it connects
_IN = {"in", "notIn", "globalIn", "globalNotIn", "nullIn", "notNullIn", "globalNullIn", "globalNotNullIn",
       "inIgnoreSet", "notInIgnoreSet", "globalInIgnoreSet", "globalNotInIgnoreSet",
       "nullInIgnoreSet", "notNullInIgnoreSet", "globalNullInIgnoreSet", "globalNotNullInIgnoreSet"}  # fmt: skip

Tree = dict[str, Any]
Scope = frozenset[str]
"""The CTEs that a table's name may refer to."""


class Rights(NamedTuple):
    """Which tables and views a user reads."""

    user: str
    readable: tuple[str, ...]
    views: tuple[str, ...]
    """Of these, the named queries."""

    def not_readable(self, name: str) -> str:
        """Why this name is refused."""
        given = name or "a name given as a parameter"
        return f"{given} is not for user {self.user}, who reads {', '.join(self.readable)}"


ANALYST = Rights("analyst", READABLE, QUERY_VIEWS)
CONSOLE = Rights("console", tuple(sorted((*READABLE, *OF_CONSOLE))), (*QUERY_VIEWS, *_OPERATORS))


class Catalog(NamedTuple):
    """The tables and user functions of the engine; asked only if a statement depends on them."""

    tables: Callable[[], Container[tuple[str, ...]]]
    """All tables, as (database, name)."""
    user_functions: Callable[[], Container[str]]


def refused_name(
    tree: Tree, database: str, rights: Rights, may_call: Callable[[str], bool | None], catalog: Catalog
) -> str | None:
    """Why a name in this statement is refused; None: all are allowed.

    `may_call` returns whether the function of this name is allowed; None if the engine has no such function.
    """
    if not re.fullmatch(r"[\w-]+", database):
        return "a database's name is of letters, digits, _ and -"
    for table, scope in _tables(tree, frozenset()):
        if not _may_read(table, database, rights) and ("name_parts" in table or table["name"] not in scope):
            return rights.not_readable(table["name"])
    names = _Names(database, rights, may_call, catalog)
    return next((reason for node in nodes(tree) if (reason := names.refusal(node))), None)


class _Names:
    def __init__(self, database: str, rights: Rights, may_call: Callable[[str], bool | None], catalog: Catalog) -> None:
        self._database, self._rights = database, rights
        self._may_call = may_call
        self._catalog = catalog

    def refusal(self, node: Tree) -> str | None:
        if node["type"] == "WithElement":
            return self._of_cte(node["name"])
        if node["type"] == "Function" and node["name"] in _IN:
            return self._of_in(node)
        return self._of_identifier(node) if node["type"] == "Identifier" else None

    def _of_cte(self, name: str) -> str | None:
        """Where the CTE is out of scope, as in the first part of a recursive CTE, the engine reads the table."""
        if name not in self._rights.readable and (
            not re.fullmatch(r"\w+", name) or (self._database, name) in self._catalog.tables()
        ):
            return f"WITH {name}: name it otherwise, with letters, digits and _, and not as a table"
        return None

    def _of_in(self, node: Tree) -> str | None:
        """The engine would read a table after IN without FINAL."""
        for argument in (node.get("arguments") or {}).get("children", []):
            if argument["type"] in ("Identifier", "TableIdentifier") and _may_read(argument, self._database, self._rights):
                return f"IN {argument['name']}: ask IN (SELECT ... FROM {argument['name']})"
        return None

    def _of_identifier(self, node: Tree) -> str | None:
        """A column's name, an alias's or a parameter's. The engine would take it for a function's or a table's too: as the
        lambda of arrayMap, after IN, and by an alias (WITH name AS other)."""
        parts = _parts(node, self._database)
        for part in node.get("name_parts", [node["name"]]):
            if re.match(r"_\w", part):  # virtual columns: a filter by the part of a table acts before FINAL
                return f"{part}: names that begin with _ are not for user {self._rights.user}"
        if self._may_call(node["name"]) is False or node["name"] in self._catalog.user_functions():
            return f"{node['name']}, as a name: function {node['name']} is not for user {self._rights.user}"
        if _may_read(node, self._database, self._rights):
            return f"{node['name']} AS {node['alias']}: a table has no other name here" if "alias" in node else None
        # In default, files of this machine are tables by their paths.
        a_file = parts[0] == "default" and not re.fullmatch(r"\w+", parts[-1])
        return self._rights.not_readable(node["name"]) if a_file or parts in self._catalog.tables() else None


def nodes(tree: object) -> Iterator[Tree]:
    """All nodes but EXPLAIN's own settings; a table function is marked `of_tables`."""
    if isinstance(tree, dict) and "type" in tree:
        yield tree
    for each in _below(tree):
        yield from nodes(each)


def _below(tree: object) -> Iterator[object]:
    if isinstance(tree, list):
        yield from tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "table_function":
                value["of_tables"] = True
            if (tree.get("type"), key) != ("ExplainQuery", "settings"):
                yield value


def _tables(tree: Any, scope: Scope, after_first: Scope = frozenset()) -> Iterator[tuple[Tree, Scope]]:
    """Each table's name with the CTEs in scope; `after_first` are those that the first part of this UNION does not see."""
    kind = tree.get("type") if isinstance(tree, dict) else None
    if kind == "TableIdentifier":
        yield tree, scope
    elif kind == "SelectWithUnionQuery":
        first, *others = tree["list_of_selects"]["children"]
        yield from _tables(first, scope)
        # The engine gives the WITH of the first part to all.
        yield from _tables(others, scope | after_first | _ctes(first))
        scope |= after_first | _ctes(first)
        yield from _tables([value for key, value in tree.items() if key != "list_of_selects"], scope)
    elif kind == "SelectQuery":
        for element in (tree.get("with") or {}).get("children", []):
            yield from _of_with(element, scope, bool(tree.get("recursive_with")))
            scope |= _ctes_of(element)
        yield from _tables([value for key, value in tree.items() if key != "with"], scope)
    else:
        for each in _below(tree):
            yield from _tables(each, scope, after_first)


def _of_with(element: Tree, scope: Scope, recursive: bool) -> Iterator[tuple[Tree, Scope]]:
    """A CTE sees those before it, and, where it is recursive, itself after its first part."""
    yield from _tables(element.get("subquery", element), scope, _ctes_of(element) if recursive else frozenset())


def _ctes(select: Tree) -> Scope:
    elements = (select.get("with") or {}).get("children", []) if select["type"] == "SelectQuery" else []
    return frozenset[str]().union(*map(_ctes_of, elements))


def _ctes_of(element: Tree) -> Scope:
    return frozenset({element["name"]} if element["type"] == "WithElement" else ())


def _may_read(node: Tree, database: str, rights: Rights) -> bool:
    parts = _parts(node, database)
    return parts == _FOR_DRIVERS or (parts[0] == database and parts[1:] in {(table,) for table in rights.readable})


def _parts(node: Tree, database: str) -> tuple[str, ...]:
    return tuple(node["name_parts"]) if "name_parts" in node else (database, node["name"])
