"""A view for each named query: made when it is missing or its file has changed, and dropped with its file."""

from __future__ import annotations

from collections.abc import Mapping

import xxhash
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import MigrationError
from schemas.queries import VIEW, NamedQuery

_THERE = f"""
SELECT name, engine, comment FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{VIEW}')"""
_MARK = "earshot query "
"""In the comment of each of these views: others are left alone."""


def renew_views(client: Client, queries: Mapping[str, NamedQuery]) -> list[str]:
    """Makes the views of these queries, and returns a line if one was missing or another one.

    A view that was made before is replaced at once: who reads it gets the old one or the new one. Raises MigrationError if a
    table has the name of a view, or the server refuses the SELECT.
    """
    with one_line(client, error=MigrationError):
        there = {name: (engine, comment) for name, engine, comment in client.query(_THERE).result_rows}
    changed = []
    for query in queries.values():
        engine, comment = there.get(query.view, ("View", ""))
        if engine != "View" or (comment and _MARK not in comment):
            raise MigrationError(
                f"ClickHouse at {client.uri}: {query.view} is not Earshot's, and has the name of a view that is"
            )
        if comment != comment_of(query):
            with one_line(client, error=MigrationError, what=f"view {query.view}"):
                client.command(made_by(query))
            changed.append(query.view)
    views = {query.view for query in queries.values()}
    for name, (engine, comment) in there.items():
        if name not in views and engine == "View" and _MARK in comment:
            with one_line(client, error=MigrationError, what=f"view {name}"):
                client.command(f"DROP VIEW {name}")
            changed.append(name)
    return [f"ClickHouse: views of queries renewed: {', '.join(changed)}"] if changed else []


def made_by(query: NamedQuery) -> str:
    """The statement that makes its view, whatever is there."""
    return f"CREATE OR REPLACE VIEW {query.view} AS {query.sql} COMMENT {quoted(comment_of(query))}"


def comment_of(query: NamedQuery) -> str:
    """What people read of the view, and the checksum of its file."""
    parameters = "".join(f"\n{each.name} {each.type}: {each.meaning}" for each in query.parameters)
    columns = "".join(f"\ncolumn {name}: {says}" for name, says in query.columns.items())
    return f"{query.meaning}{parameters}{columns}\n{_MARK}{query.name} ({xxhash.xxh3_64_hexdigest(query.text.encode())})"
