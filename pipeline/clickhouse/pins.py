"""What Earshot needs of ClickHouse's settings, pinned: each request of each client carries them.

The delivery contract hangs on them, and a server's version, its profiles and its users' defaults change them: asynchronous
inserts, say, are on by default since 26.2. What a user may not set is not sent; `unmet` says of it in words what is not as
needed, when tables are made and when a process starts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.fence import INSERT_MAX_S

OLDEST = (26, 2)
"""The first version that has all the settings; what is older was never run."""


class Pin(NamedTuple):
    """A setting, and what breaks without it (tests/clickhouse/test_pins.py shows it)."""

    name: str
    value: str
    without: str


_CUT = "an answer that is cut short counts as whole: revisions that landed are read again, changes that wait are forgotten"
PINS = (
    Pin("async_insert", "0", "rows are written by a queue, after the time limit of the insert and after its worker's fence"),
    Pin(
        "wait_for_async_insert", "1", "where a table queues inserts all the same: rows are acknowledged before they are written"
    ),
    Pin("timeout_overflow_mode", "throw", "an insert that runs out of time is acknowledged, and its rows are nowhere"),
    Pin("deduplicate_insert", "enable", "tokens do nothing: an insert whose answer was lost writes its rows twice"),
    Pin("deduplicate_insert_select", "disable", "new versions of rows are dropped where they equal a block from before"),
    Pin(
        "use_strict_insert_block_limits", "0", "an insert is several blocks: one that landed in part and is repeated is dropped"
    ),
    Pin("deduplicate_blocks_in_dependent_materialized_views", "1", "a repeated insert doubles the rows of views on our tables"),
    Pin("optimize_on_insert", "0", "revisions that a newer one of their insert replaces are not there for a replay to know"),
    Pin("max_partitions_per_insert_block", "100", "an insert of many months is refused for ever"),
    Pin("input_format_null_as_default", "1", "each row that lacks an optional field is refused, and becomes a dead letter"),
    Pin("final", "0", "revisions that a newer one has replaced look as if they had never landed"),
    Pin("apply_mutations_on_fly", "1", "what a migration takes away in the background, new versions bring back"),
    Pin("use_query_cache", "0", "what has just landed, or just waits, is not in the answer"),
    *(
        Pin(f"{what}_overflow_mode", "throw", _CUT)
        for what in ("result", "read", "group_by", "set", "join", "distinct", "sort", "transfer")
    ),
)


def pin(client: Client) -> None:
    """From now on each request of the client carries the settings, as far as its user may set them."""
    for name, value, _ in PINS:
        setting = client.server_settings.get(name)
        if setting is not None and not setting.readonly:
            client.set_client_setting(name, value)


def unmet(client: Client) -> str:
    """What of the server's version and of its user's settings is not as needed, on one line; blank: all is.

    Raises ClickHouseError when it can't be asked, and with the server's words when a limit of the user is in the way.
    """
    version = tuple(int(number) for number in re.findall(r"\d+", client.server_version or "")[:2])
    if version < OLDEST:
        return f"it is version {client.server_version}, Earshot needs {'.'.join(map(str, OLDEST))} or newer"
    names = ", ".join(f"'{pin.name}'" for pin in PINS)
    rows = client.query(f"SELECT name, value FROM system.settings WHERE name IN ({names})").result_rows
    found = {str(row[0]): str(row[1]) for row in rows}
    wrong = [
        f"{name} is {found.get(name, 'unknown')} and readonly for this user, it must be {value}"
        for name, value, _ in PINS
        if found.get(name) != value
    ]
    if not wrong:  # inserts set these on their own: the server says it when the user may not
        client.query("SELECT 1", settings={"max_execution_time": f"{INSERT_MAX_S:g}", "insert_deduplication_token": "none"})
    return "; ".join(wrong)
