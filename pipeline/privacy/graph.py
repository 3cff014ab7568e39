"""The part of an erasure that `earshot customers` does: who is whose customer, evidence, decisions, records of a CRM."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker
from pipeline.errors import EarshotError
from schemas.erasures import Keys

PATIENCE_S, LOOK_S = 5.0, 0.25
PIECE = 5_000
Sleep = Callable[[float], None]
_LEFT = """
SELECT (SELECT count() FROM identity_edges WHERE a IN ({keys}) OR kind = 'profile' AND b IN ({keys}))
    + (SELECT count() FROM assignments FINAL WHERE is_deleted = 0 AND (profile IN ({keys}) OR customer IN ({keys})))
    + (SELECT count() FROM customers WHERE profile IN ({keys})) AS left"""


def await_graph(client: Client, keys: Keys, patience_s: float = PATIENCE_S, sleep: Sleep = time.sleep) -> None:
    """Returns once nothing is left of these accounts, which are in table suppressions. Raises EarshotError if something is
    after `patience_s`: whoever asks again later finds it done as soon as the process runs."""
    for look in range(int(patience_s / LOOK_S) + 1):
        if look:
            sleep(LOOK_S)
        if not (left := _left(client, keys.accounts)):
            return
    raise EarshotError(f"`earshot customers` has {left:,} rows of the person still: it takes them out when it runs")


def _left(client: Client, accounts: Sequence[int]) -> int:
    ask = asker(client)
    return sum(int(ask(_LEFT.format(keys=keys), {}).get_column("left")[0]) for keys in _pieces(accounts))


def _pieces(keys: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(keys), PIECE):
        yield ", ".join(map(str, keys[start : start + PIECE]))
