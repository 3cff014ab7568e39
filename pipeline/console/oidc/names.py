"""Table console_names: whose a name is. It is of the account, an issuer's subject, that came with it first: a provider may let
people choose their name, or give that of somebody who left to somebody else."""

from __future__ import annotations

import time
import unicodedata

import orjson

from pipeline.clock import Clock, wall
from pipeline.console.session_table import SessionTable
from pipeline.fence import INSERT_MAX_S

SURE_S = INSERT_MAX_S + 0.5
"""After this no write of before is under way."""
_READ = "SELECT account, version FROM console_names FINAL WHERE name = {name:String}"


def compared(name: str) -> str:
    """The name as it is compared: two that are shown alike by their case or by forms of a letter are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def claim(table: SessionTable, name: str, account: str, clock: Clock = wall, sure_s: float = SURE_S) -> bool:
    """Whether the name is this account's; what is nobody's yet is from now on. Of several who ask at once one gets it: the
    table absorbs the second write of a version. Raises UnreachableError."""
    owner, version = _owner(table, name)
    if not owner:
        _write(table, name, account, version + 1, clock)
        owner, _ = _owner(table, name)
    if not owner:  # somebody's write is under way, or the server knows one that was lost when it was killed
        time.sleep(sure_s)
        owner, _ = _owner(table, name)
        if not owner:
            _write(table, name, account, version + 2, clock)
            owner, _ = _owner(table, name)
    return owner == account


def free(table: SessionTable, name: str, clock: Clock = wall) -> bool:
    """Lets the next account have the name; False: it is nobody's. Raises UnreachableError."""
    owner, version = _owner(table, name)
    if owner:
        _write(table, name, "", version + 1, clock)
    return bool(owner)


def _owner(table: SessionTable, name: str) -> tuple[str, int]:
    with table.asking() as client:
        rows = client.query(_READ, {"name": compared(name)}).result_rows
    return (str(rows[0][0]), int(rows[0][1])) if rows else ("", 0)


def _write(table: SessionTable, name: str, account: str, version: int, clock: Clock) -> None:
    key = compared(name)
    row = {"name": key, "account": account, "since": f"{clock():.3f}", "version": version}
    settings = {"insert_deduplication_token": f"{key}-{version}", "max_execution_time": f"{INSERT_MAX_S:g}"}
    with table.asking() as client:
        client.raw_insert("console_names", list(row), orjson.dumps(row), settings, "JSONEachRow")
