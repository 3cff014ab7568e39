"""Links that log in once: `earshot console login` makes them, for the person who runs it, by ClickHouse alone."""

from __future__ import annotations

import secrets

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clock import Clock, wall
from pipeline.config.settings import Settings
from pipeline.console.place import Place
from pipeline.console.roles import Role
from pipeline.console.session_table import Row, SessionTable, hash_of, new_token
from pipeline.embedded.token import actor

VALID_S = 600.0
PATH = "/login/"


def make_link(table: SessionTable, actor: str, clock: Clock = wall) -> str:
    """The path of a link that logs `actor` in as admin, once, within ten minutes."""
    token, now = new_token(), clock()
    table.write(Row(hash_of(token), "link", actor, (Role.ADMIN,), "link", "", now, now))
    return PATH + token


def standing(table: SessionTable, token: str, clock: Clock = wall) -> Row | None:
    """The link with this token; None: there is none, it was used, or its time is over."""
    row = table.read(hash_of(token))
    if row is None or row.kind != "link" or row.ended or not -60 < clock() - row.created_at < VALID_S:
        return None
    return row


def was(table: SessionTable, token: str) -> bool:
    """Whether there ever was a link with this token."""
    row = table.read(hash_of(token))
    return row is not None and row.kind == "link"


def take(table: SessionTable, token: str, clock: Clock = wall) -> Row | None:
    """Uses the link up; None as `standing`. Of several that do so at once, also in several processes, one gets it: the table
    absorbs the second write with the same token."""
    row = standing(table, token, clock)
    if row is None:
        return None
    mine = secrets.token_hex(16)
    table.write(row._replace(ended=True, entry=mine), once=f"link-{row.hash}")
    taken = table.read(row.hash)
    return row if taken is not None and taken.entry == mine else None


def login_url(settings: Settings) -> str:
    """A link for the user who runs this process. Raises UnreachableError, MigrationError, SettingsError."""
    place = Place(settings.console)
    client = clickhouse_client(settings.clickhouse, timeout_s=10)
    try:
        check_tables(client)
        return place.url(make_link(SessionTable(lambda: client), actor()), settings.console.port)
    finally:
        client.close()
