"""Decides which statements users `analyst` and `console` of the embedded ClickHouse may run, on the engine's own syntax tree.

The tree (the engine's function parseQueryToJSON) names every table, function and clause, however a statement spells them: in
comments, escapes, subqueries or CTEs. Every kind of node, function, table and setting that is not listed here is refused. The
engine itself forbids writes (readonly = 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pipeline.embedded.analyst_names import Catalog, Tree, nodes, refused_name
from pipeline.embedded.readers import Reader

NEWEST = {"final": "1", "do_not_merge_across_partitions_select_final": "1", "apply_prewhere_after_final": "1"}
"""Pinned: an older version of a row may hold text that was edited or deleted since."""
SMALL_BLOCKS = ("max_block_size", "8192")
"""As named queries say it: little is read of each part."""
# Not format_* and output_format_schema: they name files, which the engine would read and write.
_MAY_SET = re.compile(
    r"output_format_(arrow|binary|csv|decimal|json|native|orc|parquet|pretty|tsv)_\w+"
    r"|date_time_output_format|max_result_rows|max_execution_time|result_overflow_mode"
)
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
_TABLE_FUNCTIONS = {"assignments_as_of", "format", "generate_series", "generaterandom", "generateseries", "null", "numbers",
                    "numbers_mt", "values", "view", "viewexplain", "zeros", "zeros_mt"}  # fmt: skip
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
    "neighbor", "parseReadableSize", "parseTimeDelta", "revision", "rowNumberInAllBlocks", "rowNumberInBlock",
    "runningAccumulate", "runningDifference", "runningDifferenceStartingWithFirstValue", "throwIf", "toTypeName", "transform",
    "variantElement", "variantType", "version", "visibleWidth",
    # Syntax that the tree holds as a function.
    "_CAST", "caseWithExpression", "exists", "grouping", "lambda", "untuple",
}  # fmt: skip


class Function(NamedTuple):
    """A row of system.functions."""

    name: str
    alias_of: str
    category: str
    any_case: bool


class Analyst:
    """The rules for a user of an engine with these functions."""

    def __init__(self, functions: Iterable[Function], combinators: Iterable[str], reader: Reader) -> None:
        self._rights, self._most = reader.rights, reader.most
        self._table_functions = _TABLE_FUNCTIONS | {*reader.rights.views}
        all_ = {function.name: function for function in functions}
        self._known = all_.keys() | {function.name.lower() for function in all_.values() if function.any_case}
        allowed = [f for f in all_.values() if _harmless(all_.get(f.alias_of, f))]
        self._functions = _FUNCTIONS | {function.name for function in allowed}
        self._any_case = {function.name.lower() for function in allowed if function.any_case}
        self._combinators = tuple(combinators)

    def refusal(self, tree: Tree, database: str, catalog: Catalog) -> str | None:
        """Why this statement is refused; None: it may run."""
        if tree["type"] not in _STATEMENTS:
            return f"{tree['type']}: ask with SELECT, EXPLAIN, DESCRIBE table, SHOW TABLES or SHOW COLUMNS"
        for node in nodes(tree):
            if reason := self._of_node(node, database):
                return reason
        return refused_name(tree, database, self._rights, self._may_call_if_known, catalog)

    def _of_node(self, node: Tree, database: str) -> str | None:
        kind = node["type"]
        if kind not in _NODES:
            return f"{kind} is not for user {self._rights.user}"
        if "prewhere" in node:  # it would filter before FINAL
            return f"PREWHERE is not for user {self._rights.user}: ask with WHERE"
        if "out_file" in node:
            return "INTO OUTFILE is not allowed"
        if kind == "QueryParameter" and node.get("param_type") == "Identifier":
            return self._rights.not_readable("")
        if kind == "ExplainQuery" and node.get("kind") not in _EXPLAINS:
            return f"{node.get('kind')} is not for user {self._rights.user}"
        if kind == "SetQuery" and (names := list(self._fixed(node))):
            return f"setting {names[0]} is not for user {self._rights.user}"
        if kind in ("ShowTablesQuery", "ShowColumnsQuery"):
            return self._of_show(node, database)
        called = node.get("func_name") if kind == "ColumnsApplyTransformer" else node["name"] if kind == "Function" else None
        if called and not self._may_call(called) and not (node.get("of_tables") and called.lower() in self._table_functions):
            return f"function {called} is not for user {self._rights.user}"
        return None

    def _may_call(self, name: str) -> bool:
        """Whether the function is allowed; `name` may end with combinators, as countIf does."""
        if name in self._functions or name.lower() in self._any_case:
            return True
        return any(name.endswith(c) and self._may_call(name.removesuffix(c)) for c in self._combinators)

    def _may_call_if_known(self, name: str) -> bool | None:
        """None: the engine has no function of this name."""
        return self._may_call(name) if self._is_known(name) else None

    def _is_known(self, name: str) -> bool:
        if name in self._known or name.lower() in self._known:
            return True
        return any(name.endswith(c) and self._is_known(name.removesuffix(c)) for c in self._combinators if name != c)

    def _fixed(self, settings: Tree) -> Iterator[str]:
        """Settings of a SELECT that its user may not change: in a subquery the engine would take them, readonly or not."""
        yield from settings.get("default_settings", [])
        for change in settings.get("changes", []):
            if not may_set(change["name"], str(change["value"].get("value")), self._most):
                yield change["name"]

    def _of_show(self, node: Tree, database: str) -> str | None:
        """Only tables and columns of this database are listed; a WHERE is a node of its own."""
        others = {"databases", "clusters", "dictionaries", "settings", "merges", "temporary", "caches"} & node.keys()
        if others or (node.get("from") or {"name": database}).get("name") != database:
            return "SHOW is for TABLES and COLUMNS of the database in use"
        columns_of = (node.get("database") or database, node.get("table"))
        if node["type"] == "ShowColumnsQuery" and columns_of not in {(database, table) for table in self._rights.readable}:
            return self._rights.not_readable(".".join(map(str, columns_of)))
        return None


def may_set(name: str, value: str, most: Mapping[str, int]) -> bool:
    """Whether a statement may carry this setting; those of `most` up to their values."""
    if name in most:
        return bool(re.fullmatch(r"\d{1,9}(\.\d+)?", value)) and 0 < float(value) <= most[name]
    return bool(_MAY_SET.fullmatch(name)) or NEWEST.get(name) == value or (name, value) == SMALL_BLOCKS


def _harmless(function: Function) -> bool:
    return function.category in _CATEGORIES or function.name in _FUNCTIONS
