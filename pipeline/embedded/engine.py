"""The ClickHouse engine (chdb) in this process, for the HTTP server.

Every query has a connection for itself, so that its settings, database and temporary tables end with it (connections.py).
Inserts with data run one at a time. Their data goes to the engine as a file in memory: chdb's streaming inserts (`send_insert`)
report success when the time limit has stopped them and nothing was written. An acknowledged insert survives SIGKILL.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from chdb import _chdb as _module

from pipeline.embedded import statement
from pipeline.embedded.analyst import NEWEST, Analyst, Function, may_set
from pipeline.embedded.analyst_names import Catalog
from pipeline.embedded.analyst_rows import filters
from pipeline.embedded.connections import Connection, Connections, call, quoted, set_sql
from pipeline.embedded.known import LONGEST, Known, may_change_names
from pipeline.embedded.query import Query, QueryError, QueryResult
from pipeline.embedded.readers import READERS

_chdb: Any = _module  # a compiled module without stubs
_kinds = _chdb.query_class
QUERY_SECONDS = 60
QUERY_BYTES, THREADS = 2 << 30, 2
_CONFIG = """<clickhouse>
    <timezone>UTC</timezone>
    <background_pool_size>2</background_pool_size>
    <background_schedule_pool_size>2</background_schedule_pool_size>
    <background_common_pool_size>1</background_common_pool_size>
    <background_merges_mutations_concurrency_ratio>4</background_merges_mutations_concurrency_ratio>
    <!-- Between the parts of a mutation; by default 0.1 to 1.1 s. -->
    <background_processing_pool_thread_sleep_seconds_if_nothing_to_do>0.05</background_processing_pool_thread_sleep_seconds_if_nothing_to_do>
    <background_processing_pool_task_sleep_seconds_when_no_work_random_part>0.02</background_processing_pool_task_sleep_seconds_when_no_work_random_part>
    <mark_cache_size>268435456</mark_cache_size>
    <max_server_memory_usage_to_ram_ratio>0.5</max_server_memory_usage_to_ram_ratio>
    <merge_tree>
        <!-- The default 8 fits pools of 32: with a pool of 4, merges would stay small for ever. -->
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    </merge_tree>
</clickhouse>
"""
_DEFAULTS = {
    "implicit_select": "0",  # chdb's own default reads `selec` as a column
    "max_threads": str(THREADS),
    "max_insert_threads": "1",
    "max_memory_usage": str(QUERY_BYTES),
}
_OWN = ("log_comment", "max_execution_time", "insert_deduplication_token")
"""Settings that each statement sets for itself, on a connection that others used before."""
_FUNCTIONS = "SELECT name, alias_to, categories, case_insensitive FROM system.functions WHERE origin = 'System'"
_COMBINATORS = "SELECT name FROM system.aggregate_function_combinators"
_TABLES = "SELECT database, name FROM system.tables"
_USER_FUNCTIONS = "SELECT name FROM system.functions WHERE origin != 'System'"
_TREE = "SELECT parseQueryToJSON(base64Decode({statement:String}))"
_DESCRIBE = re.compile(rb"\s*+DESC(?:RIBE)?(?:\s++TABLE)?\s++((?:\w++\.)?\w++)(?:\s++FORMAT\s++\w++)?\s*+;?\s*+", re.I)
"""The one statement that an analyst needs and parseQueryToJSON does not know.

No group is possessive: up to Python 3.11.4 one that fails after its first character ends the match (gh-106052)."""
_TREELESS = 36  # parseQueryToJSON's error for a kind of statement that it does not know


class Engine:
    """Runs statements. It makes `folder` the working directory of this process: the engine's path may hold no special
    character."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        Path("engine.xml").write_text(_CONFIG)
        self._path = "engine?config-file=engine.xml"
        _chdb.set_signal_handlers_enabled(0)
        self._keeper = _chdb.connect(self._path)
        self._connections = Connections(self._path)
        self.version = self._keeper.query("SELECT version()", "TabSeparatedRaw").bytes().decode().strip()
        functions = [Function(*row) for row in _rows(self._keeper, _FUNCTIONS)]
        combinators = [name for (name,) in _rows(self._keeper, _COMBINATORS)]
        self._known = Known()
        self._rules = {user: Analyst(functions, combinators, reader) for user, reader in READERS.items()}

    def close(self) -> None:
        """Ends the engine."""
        self._connections.close()
        self._keeper.close()

    def query(self, query: Query) -> QueryResult:
        """Runs a statement without separate data. Raises QueryError."""
        known = self._keeper.classify_query(query.statement)
        plain = known["statement_count"] == 1 and known["query_class"] in (_kinds.READ_ONLY, _kinds.MUTATING)
        with self._connection(query, plain) as connection:
            reads = self._check(connection, query, query.statement)
            changes = not query.limited and may_change_names(query.statement, reads, query.database)
            with self._known.changing() if changes else nullcontext():
                return self._answer(connection, query.statement, query)

    def insert(self, query: Query, insert: statement.DataInsert) -> QueryResult:
        """Writes the data of an INSERT: all, or on an error the part that ClickHouse would have written. Raises QueryError."""
        with self._connection(query, True) as connection, _as_file(insert.data) as path:
            sql = b"%s FROM INFILE '%s' %s FORMAT %s" % (insert.head, path.encode(), insert.settings, insert.format)
            self._check(connection, query, sql)
            return self._answer(connection, sql, query)

    def kill(self, mark: str) -> None:
        """Stops the query with this mark, if it runs."""
        with closing(_chdb.connect(self._path)) as connection:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = '{mark}' ASYNC", "Null")

    @contextmanager
    def _connection(self, query: Query, plain: bool) -> Iterator[Connection]:
        """`plain`: the statement changes nothing of what later ones on it mean. Then it is kept; setting readonly = 1 can't be
        set back."""
        token = dict(query.settings).get("insert_deduplication_token", "")
        own = set_sql(dict(zip(_OWN, (query.mark, _seconds_left(query), token), strict=True)))
        session = [set_sql(_settings(query))]
        if query.database != "default":
            session.append("USE " + quoted(query.database, "`"))
        readonly = 1 if query.limited else query.readonly
        session += ["SET readonly = 2"] if readonly == 2 else []
        with (self._connections.again if plain and readonly != 1 else self._connections.one)(session) as connection:
            call(connection, own)
            if readonly == 1:
                call(connection, "SET readonly = 1")
            yield connection

    def _check(self, connection: Connection, query: Query, sql: bytes) -> bool:
        """Whether the statement, which its user may run, only reads."""
        classes = connection.classify_query(sql)
        if classes["statement_count"] > 1:
            raise QueryError(62, "Code: 62. DB::Exception: Multi-statements are not allowed. (SYNTAX_ERROR)")
        kind = classes["query_class"]
        if (query.readonly or query.limited) and kind not in (_kinds.READ_ONLY, _kinds.UNKNOWN):
            raise QueryError(
                164,
                f"Code: 164. DB::Exception: {query.user}: Cannot execute query in readonly mode (the user, or GET). (READONLY)",
            )
        # The engine is its own client and would write the file here. No other CONTROL statement uses the word.
        reason = "INTO OUTFILE is not allowed" if kind == _kinds.CONTROL and b"OUTFILE" in sql.upper() else None
        if query.limited:
            key = (query.user, query.database, sql)
            refusal = partial(self._refusal, connection, query, sql)
            reason = self._known.get(key, refusal) if len(sql) <= LONGEST else refusal()
        if reason:
            raise QueryError(497, f"Code: 497. DB::Exception: {query.user}: {reason}. (ACCESS_DENIED)")
        return bool(kind == _kinds.READ_ONLY)

    def _refusal(self, connection: Connection, query: Query, sql: bytes) -> str | None:
        """Why this user may not run this statement; None: it may, or the statement is invalid."""
        described = _DESCRIBE.fullmatch(sql)
        sql = b"SELECT * FROM " + described[1] if described else sql
        try:
            answer = call(connection, _TREE, "TabSeparatedRaw", {"statement": base64.b64encode(sql).decode()})
        except QueryError as error:
            if error.code != _TREELESS:
                raise
            return "ask with SELECT, EXPLAIN, DESCRIBE table, SHOW TABLES or SHOW COLUMNS"
        catalog = Catalog(
            tables=lambda: self._known.get("tables", lambda: set(self._names(_TABLES))),
            user_functions=lambda: self._known.get("functions", lambda: {name for (name,) in self._names(_USER_FUNCTIONS)}),
        )
        return self._rules[query.user].refusal(json.loads(answer.bytes()), query.database, catalog)

    def _names(self, sql: str) -> list[tuple[str, ...]]:
        """On a connection of its own: with a reader's settings the result could be cut."""
        with closing(_chdb.connect(self._path)) as connection:
            return [tuple(row) for row in _rows(connection, sql)]

    def _answer(self, connection: Connection, sql: bytes, query: Query) -> QueryResult:
        result = call(connection, sql, query.default_format, dict(query.params))
        return QueryResult(
            body=result.bytes(),
            format=statement.output_format(sql) or query.default_format,
            rows_read=result.storage_rows_read(),
            bytes_read=result.storage_bytes_read(),
            rows_written=result.rows_written(),
            bytes_written=result.bytes_written(),
        )


def _settings(query: Query) -> dict[str, str]:
    reader = READERS.get(query.user)
    if reader:
        for name, value in query.settings.items():
            if not may_set(name, value, reader.most):
                raise QueryError(164, f"Code: 164. DB::Exception: Cannot modify '{name}' setting in readonly mode. (READONLY)")
    pinned = NEWEST | dict(reader.pinned) | filters(query.database, reader.rights) if reader else {}
    settings = _DEFAULTS | pinned | dict(query.settings)
    return {name: value for name, value in settings.items() if name not in _OWN}


def _seconds_left(query: Query) -> str:
    """The time limit counts from the arrival of the request: a client that gave up must not see its insert run later."""
    reader = READERS.get(query.user)
    most = reader.seconds if reader else QUERY_SECONDS
    try:
        limit = float(query.settings.get("max_execution_time", most))
    except ValueError:
        return query.settings["max_execution_time"]  # the engine reports the error
    if reader and not 0 < limit < most:
        limit = most
    if limit <= 0:
        return "0"
    waited = time.monotonic() - query.received
    if waited >= limit:
        raise QueryError(
            159, f"Code: 159. DB::Exception: Timeout exceeded: waited {waited:.1f} s, maximum {limit:g} s. (TIMEOUT_EXCEEDED)"
        )
    return f"{limit - waited:.3f}"


def _rows(connection: Connection, sql: str) -> list[list[Any]]:
    return [json.loads(line) for line in call(connection, sql, "JSONCompactEachRow").bytes().splitlines()]


@contextmanager
def _as_file(data: Sequence[bytes | memoryview]) -> Iterator[str]:
    """A path from which the engine reads `data`: in memory with memfd (Linux), else a file in the working directory."""
    if hasattr(os, "memfd_create"):
        handle, path, named = os.memfd_create("insert"), f"/proc/{os.getpid()}/fd/", ""
        path += str(handle)
    else:
        handle, named = tempfile.mkstemp(prefix="insert-", dir=".")
        path = os.path.abspath(named)
    try:
        with open(handle, "wb", closefd=False) as file:
            file.writelines(data)
        yield path
    finally:
        os.close(handle)
        if named:
            os.unlink(named)
