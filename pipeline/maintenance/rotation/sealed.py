"""What the rotations of rows that `privacy.data_key` encrypts have in common.

Each page of rows is read, decrypted, encrypted with the newest key and inserted, and the old rows go. Meanwhile a person may be
erased, and an erasure is in table suppressions before it hides anything. So what was inserted is looked for there afterwards:
either it is found and hidden here, or the erasure begins later and hides it.
"""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.query import asker, one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.keys import DataKeys
from schemas.erasures import HANDLE, Keys

_SUPPRESSED = """
SELECT DISTINCT toString(kind) AS kind, key, value FROM suppressions FINAL WHERE kind = 'account' AND key IN ({accounts})
    OR kind = 'event' AND key IN ({events}) OR kind = 'value' AND value IN ({values})"""


def older(client: Client, keys: DataKeys) -> str:
    """SQL: whether a row is of an older key. A row that does not say it, as those from before keys had generations, is of the
    first. Raises EarshotError."""
    with one_line(client):
        stored = fingerprints.in_force(client, keys.name)
    first = not stored or stored[0].fingerprint == keys.fingerprints[-1]
    return f"sealed_by NOT IN ({keys.sealed_by}{', 0' if first else ''})"


def suppressed(client: Client, accounts: Iterable[int], events: Iterable[int] = (), values: Iterable[str] = ()) -> Keys:
    """Those of these keys that are of persons who were erased. Raises EarshotError."""
    given = {
        "accounts": ", ".join(map(str, {0, *accounts})),
        "events": ", ".join(map(str, {0, *events})),
        "values": ", ".join(map(quoted, sorted({"", *values}))),
    }
    rows = asker(client)(_SUPPRESSED.format(**given), {})
    found = {kind: rows.filter(kind=kind) for kind in ("account", "event", "value")}
    plain = set(found["account"].filter(value="").get_column("key"))
    handles = set(found["account"].filter(value=HANDLE).get_column("key")) - plain
    return Keys(
        [key for key in found["account"].get_column("key").unique().sort().to_list() if key],
        [value for value in found["value"].get_column("value").to_list() if value],
        [key for key in found["event"].get_column("key").to_list() if key],
        frozenset(handles),
    )
