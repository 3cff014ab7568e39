"""Pins the ClickHouse settings that the delivery contract depends on: each request of each client carries them.

A server's version, its profiles and its users' defaults change them: asynchronous inserts, for example, are on by default since
26.2. Settings that the user may not change are not sent; `unmet` names those that are not as needed, when tables are made and
when a process starts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.fence import INSERT_MAX_S

OLDEST = (26, 2)
"""The first version with all the settings; Earshot never ran with an older one."""


class Pin(NamedTuple):
    """A setting, and the fault without it (tests/clickhouse/test_pins.py shows each)."""

    name: str
    value: str
    without: str


_CUT = "a truncated answer counts as complete: landed revisions are read again, waiting changes are lost"
PINS = (
    Pin("async_insert", "0", "a queue writes rows after the time limit of the insert and after its worker's fence"),
    Pin(
        "wait_for_async_insert", "1", "where a table queues inserts all the same: rows are acknowledged before they are written"
    ),
    Pin("timeout_overflow_mode", "throw", "an insert that runs out of time is acknowledged, and its rows are lost"),
    Pin("deduplicate_insert", "enable", "tokens have no effect: an insert whose answer was lost writes its rows twice"),
    Pin("deduplicate_insert_select", "disable", "new versions of rows are dropped if they equal an earlier block"),
    Pin(
        "use_strict_insert_block_limits", "0", "an insert is several blocks: a repetition of a partly written insert is dropped"
    ),
    Pin("deduplicate_blocks_in_dependent_materialized_views", "1", "a repeated insert doubles the rows of views on our tables"),
    Pin("materialized_views_ignore_errors", "0", "rows are acknowledged that their account's timeline lacks"),
    Pin("optimize_on_insert", "0", "a replay does not know revisions that a newer one of the same insert replaced"),
    Pin("max_partitions_per_insert_block", "100", "an insert of many months is refused for ever"),
    Pin("input_format_null_as_default", "1", "each row without an optional field is refused, and becomes a dead letter"),
    Pin("final", "0", "revisions that a newer one has replaced look as if they were never written"),
    Pin("apply_mutations_on_fly", "1", "new versions of rows restore data that a migration removes in the background"),
    Pin("use_query_cache", "0", "the newest rows and waiting changes are not in the answer"),
    *(
        Pin(f"{what}_overflow_mode", "throw", _CUT)
        for what in ("result", "read", "group_by", "set", "join", "distinct", "sort", "transfer")
    ),
)


def pin(client: Client) -> None:
    """Makes each request of the client carry the settings that its user may set."""
    for name, value, _ in PINS:
        setting = client.server_settings.get(name)
        if setting is not None and not setting.readonly:
            client.set_client_setting(name, value)


def unmet(client: Client) -> str:
    """Names a server version or settings that are not as needed, on one line; blank if all are.

    Raises ClickHouseError if the server can't be asked, and with the server's text if a limit of the user forbids the query.
    """
    version = tuple(int(number) for number in re.findall(r"\d+", client.server_version or "")[:2])
    if version < OLDEST:
        return f"it is version {client.server_version}, Earshot needs {'.'.join(map(str, OLDEST))} or newer"
    names = ", ".join(f"'{pin.name}'" for pin in PINS)
    rows = client.query(f"SELECT name, value FROM system.settings WHERE name IN ({names})").result_rows
    actual = {str(row[0]): str(row[1]) for row in rows}
    wrong = [
        f"{name} is {actual.get(name, 'unknown')} and readonly for this user, it must be {value}"
        for name, value, _ in PINS
        if actual.get(name) != value
    ]
    if not wrong:  # inserts set these on their own: the server raises if the user may not
        client.query("SELECT 1", settings={"max_execution_time": f"{INSERT_MAX_S:g}", "insert_deduplication_token": "none"})
    return "; ".join(wrong)
