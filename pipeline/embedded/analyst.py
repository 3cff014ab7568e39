"""What user `analyst` of the embedded ClickHouse may ask, decided on the engine's own syntax tree.

The tree (the engine's function parseQueryToJSON) names every table, function and clause, however a statement spells them: in
comments, escapes, subqueries or CTEs. What is not on a list here is refused: a kind of node, a function, a table, a setting.
That nothing is written is the engine's part (readonly = 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, NamedTuple

READABLE = (
    "alert_deliveries",
    "alert_events",
    "alert_silences",
    "alert_watermarks",
    "alerts",
    "interactions",
    "lost_offsets",
)
"""The tables; deploy/clickhouse/analyst.xml grants the same. Dead letters and waiting changes hold records as they came, e-mail
addresses and phone numbers in clear."""
NEWEST = {"final": "1", "do_not_merge_across_partitions_select_final": "1"}
"""Pinned: an older version of a row may hold what was edited away or deleted since."""
# Not format_* and output_format_schema: they name files, which the engine would read and write.
_MAY_SET = re.compile(
    r"output_format_(arrow|binary|csv|decimal|json|native|orc|parquet|pretty|tsv)_\w+"
    r"|date_time_output_format|max_result_rows|max_execution_time"
)
_FOR_DRIVERS = ("system", "settings")  # clickhouse-connect reads it when it connects
_STATEMENTS = {"SelectWithUnionQuery", "ExplainQuery", "ShowTablesQuery", "ShowColumnsQuery"}
_EXPLAINS = {"EXPLAIN", "EXPLAIN AST", "EXPLAIN SYNTAX", "EXPLAIN QUERY TREE", "EXPLAIN PIPELINE", "EXPLAIN ESTIMATE"}
_NODES = _STATEMENTS | {
    "ArrayJoin", "Asterisk", "ColumnsApplyTransformer", "ColumnsExceptTransformer", "ColumnsListMatcher",
    "ColumnsRegexpMatcher", "ColumnsReplaceTransformer", "ColumnsReplaceTransformerReplacement", "ColumnsTransformerList",
    "ExpressionList", "Function", "Identifier", "InterpolateElement", "Literal", "OrderByElement", "QualifiedAsterisk",
    "QualifiedColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QueryParameter", "SampleRatio",
    "SelectIntersectExceptQuery", "SelectQuery", "SetQuery", "Subquery", "TableExpression", "TableIdentifier", "TableJoin",
    "TablesInSelectQuery", "TablesInSelectQueryElement", "WindowDefinition", "WindowListElement", "WithElement",
}  # fmt: skip
_IN = {"in", "notIn", "globalIn", "globalNotIn", "nullIn", "notNullIn", "globalNullIn", "globalNotNullIn",
       "inIgnoreSet", "notInIgnoreSet", "globalInIgnoreSet", "globalNotInIgnoreSet",
       "nullInIgnoreSet", "notNullInIgnoreSet", "globalNullInIgnoreSet", "globalNotNullInIgnoreSet"}  # fmt: skip
_TABLE_FUNCTIONS = {"format", "generate_series", "generaterandom", "generateseries", "null", "numbers", "numbers_mt", "values",
                    "view", "viewexplain", "zeros", "zeros_mt"}  # fmt: skip
_CATEGORIES = {
    "Aggregate Functions", "Arithmetic", "Arrays", "Bit", "Bitmap", "Comparison", "Conditional", "Dates and Times", "Distance",
    "Encoding", "Financial", "Geo", "Geo Polygon", "Hash", "IP Address", "JSON", "Logical", "Map", "Mathematical", "Null",
    "Random Number", "Rounding", "String", "String Replacement", "String Search", "String Splitting", "Time Window", "Tuple",
    "Type Conversion", "URL", "UUID",
}  # fmt: skip
_FUNCTIONS = {
    # Of the category Other, in which the engine has file, joinGet, getMacro, showCertificate ... too.
    "bar", "byteSize", "countDigits", "currentDatabase", "currentUser", "defaultValueOfTypeName", "digits",
    "finalizeAggregation", "formatQuery", "formatReadableDecimalSize", "formatReadableQuantity", "formatReadableSize",
    "formatReadableTimeDelta", "getSetting", "identity", "ignore", "initializeAggregation", "isConstant", "materialize",
    "neighbor", "parseReadableSize", "parseTimeDelta", "rowNumberInAllBlocks", "rowNumberInBlock", "runningAccumulate",
    "runningDifference", "runningDifferenceStartingWithFirstValue", "throwIf", "toTypeName", "transform", "variantElement",
    "variantType", "version", "visibleWidth",
    # Syntax that the tree holds as a function.
    "_CAST", "caseWithExpression", "exists", "grouping", "lambda", "untuple",
}  # fmt: skip

Tree = dict[str, Any]
Tables = Callable[[], Container[tuple[str, str]]]
"""All tables there are, as (database, name)."""


class Function(NamedTuple):
    """A row of system.functions."""

    name: str
    alias_of: str
    category: str
    any_case: bool


class Analyst:
    """The rules, for an engine with these functions."""

    def __init__(self, functions: Iterable[Function], combinators: Iterable[str]) -> None:
        all_ = {function.name: function for function in functions}
        allowed = [f for f in all_.values() if _harmless(all_.get(f.alias_of, f))]
        self._functions = _FUNCTIONS | {function.name for function in allowed}
        self._any_case = {function.name.lower() for function in allowed if function.any_case}
        self._combinators = tuple(combinators)

    def refusal(self, tree: Tree, database: str, tables: Tables) -> str | None:
        """Why this statement is refused; None: it may run. `tables` is asked only where a name may be a CTE's."""
        if tree["type"] not in _STATEMENTS:
            return f"{tree['type']}: ask with SELECT, EXPLAIN, DESCRIBE table, SHOW TABLES or SHOW COLUMNS"
        nodes = list(_nodes(tree))
        common = {node["name"] for node in nodes if node["type"] == "WithElement"}
        for node in nodes:
            if reason := self._of_node(node, database) or _of_tables(node, database, common, tables):
                return reason
        return None

    def _of_node(self, node: Tree, database: str) -> str | None:
        kind = node["type"]
        if kind not in _NODES:
            return f"{kind} is not for user analyst"
        if "out_file" in node:
            return "INTO OUTFILE is not allowed"
        if kind == "QueryParameter" and node.get("param_type") == "Identifier":
            return _not_readable("")
        if kind == "ExplainQuery" and node.get("kind") not in _EXPLAINS:
            return f"{node.get('kind')} is not for user analyst"
        if kind == "SetQuery" and (names := list(_fixed(node))):
            return f"setting {names[0]} is not for user analyst"
        if kind in ("ShowTablesQuery", "ShowColumnsQuery"):
            return _of_show(node, database)
        called = node.get("func_name") if kind == "ColumnsApplyTransformer" else node["name"] if kind == "Function" else None
        if called and not self._may_call(called) and not (node.get("of_tables") and called.lower() in _TABLE_FUNCTIONS):
            return f"function {called} is not for user analyst"
        return None

    def _may_call(self, name: str) -> bool:
        """`name` may have combinators behind it, as countIf has."""
        if name in self._functions or name.lower() in self._any_case:
            return True
        return any(name.endswith(c) and self._may_call(name.removesuffix(c)) for c in self._combinators)


def may_set(name: str, value: str) -> bool:
    """Whether a statement of the analyst's may carry this setting."""
    return bool(_MAY_SET.fullmatch(name)) or NEWEST.get(name) == value


def _fixed(settings: Tree) -> Iterator[str]:
    """Settings of a SELECT that are not the analyst's to change: in a subquery the engine would take them, readonly or not."""
    for change in settings.get("changes", []):
        if not may_set(change["name"], str(change["value"].get("value"))):
            yield change["name"]


def _harmless(function: Function) -> bool:
    return function.category in _CATEGORIES or function.name in _FUNCTIONS


def _nodes(tree: Any) -> Iterator[Tree]:
    """All nodes but EXPLAIN's own settings; a table function is marked `of_tables`."""
    if isinstance(tree, list):
        for each in tree:
            yield from _nodes(each)
    elif isinstance(tree, dict):
        if "type" in tree:
            yield tree
        for key, value in tree.items():
            if key == "table_function":
                value["of_tables"] = True
            if (tree.get("type"), key) != ("ExplainQuery", "settings"):
                yield from _nodes(value)


def _of_show(node: Tree, database: str) -> str | None:
    """Only tables and columns of this database are listed; a WHERE is a node of its own."""
    others = {"databases", "clusters", "dictionaries", "settings", "merges", "temporary", "caches"} & node.keys()
    if others or (node.get("from") or {"name": database}).get("name") != database:
        return "SHOW is for TABLES and COLUMNS of the database in use"
    columns_of = (node.get("database") or database, node.get("table"))
    if node["type"] == "ShowColumnsQuery" and columns_of not in {(database, table) for table in READABLE}:
        return _not_readable(".".join(map(str, columns_of)))
    return None


def _of_tables(node: Tree, database: str, common: set[str], tables: Tables) -> str | None:
    """A table stands after FROM or JOIN, or as a bare name after IN, where it may be an expression's alias too."""
    if node["type"] == "TableIdentifier" and not _may_read(node, database):
        if node["name"] not in common or "name_parts" in node or (database, node["name"]) in tables():
            return _not_readable(node["name"])
    elif node["type"] == "Function" and node["name"] in _IN:
        for argument in (node.get("arguments") or {}).get("children", []):
            named = argument["type"] in ("Identifier", "TableIdentifier") and not _may_read(argument, database)
            if named and _parts(argument, database) in tables():
                return _not_readable(argument["name"])
    return None


def _may_read(node: Tree, database: str) -> bool:
    place = _parts(node, database)
    return place == _FOR_DRIVERS or (place[0] == database and place[1:] in {(table,) for table in READABLE})


def _parts(node: Tree, database: str) -> tuple[str, ...]:
    return tuple(node["name_parts"]) if "name_parts" in node else (database, node["name"])


def _not_readable(name: str) -> str:
    return f"{name or 'a name given as a parameter'} is not for user analyst, who reads {', '.join(READABLE)}"
