"""Hides what is there of persons who were erased: the rows of each place that suppressed keys find.

A lightweight DELETE marks rows: no query finds them from its end on, and they leave the files when control purges
(privacy/purge.py). Every version of a row goes, so that none comes back as the newest. What is hidden stays hidden however
often it is done again: whoever is killed in between leaves the rest to the next one, who knows the keys from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from itertools import zip_longest
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, asker, one_line
from pipeline.clickhouse.row_versions import numbers, quoted
from pipeline.errors import EarshotError
from pipeline.privacy.conversations import alone
from pipeline.privacy.place import Place, Sets, where
from pipeline.privacy.register import TABLES
from pipeline.sinks.changes import Changing
from schemas.times import to_ms

DELETE: dict[str, object] = {**LONG_SQL, "lightweight_deletes_sync": 2}  # it returns when the rows are hidden, on each replica
PIECE = 20_000
"""Keys of a kind in one statement."""
AT_ONCE = 4
"""Tables: the statements of each wait for ClickHouse to take them up more than they take."""
_LAST = ("threads", "interactions", "account_events")
"""By them the rows of other places are found: who is killed in between finds them again."""
_MINUTE = "toStartOfMinute(created_at)"
_OF_ACCOUNTS = f"""
WITH there AS (SELECT DISTINCT {_MINUTE} AS minute, event_key FROM account_events
    WHERE account_key IN ({{accounts}}) AND event_key NOT IN ({{known}})),
others AS (SELECT {_MINUTE} AS minute, event_key FROM interactions WHERE ({_MINUTE}, event_key) IN there
    GROUP BY minute, event_key HAVING argMax(account_key, version) NOT IN ({{accounts}}) AND argMax(account_key, version) != 0)
SELECT event_key, min((minute, event_key) IN others) AS taken FROM there GROUP BY event_key ORDER BY event_key"""
_MINUTES = f"SELECT DISTINCT toDateTime64({_MINUTE}, 3, 'UTC') AS created_at FROM interactions WHERE event_key IN ({{events}})"
_SHARED = (
    "SELECT DISTINCT toDateTime64(toDateTime(arrayJoin(quarters) * 900, 'UTC'), 3, 'UTC') AS created_at FROM threads "
    "WHERE customer IN ({accounts}) AND customers > 1"
)
"""When something was said in conversations that they opened and others named a brand in: of those no row is left either, and
they are made anew by the others' words."""
_OTHERS = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%MergeTree'"
Numbers = Callable[[list[int]], None]


class Among(NamedTuple):
    """Which suppressions are looked at."""

    sql: str
    """A condition on table suppressions."""
    since: datetime | None = None
    """Rows without an account are looked for among those that landed from then on; None: among all."""
    thorough: bool = False
    """Rows of interactions are searched by every key, whatever it takes, and not by the event alone."""

    def keys(self, kind: str) -> str:
        """A SELECT of the keys of a kind."""
        column = "value" if kind == "value" else "key"
        return f"SELECT {column} FROM suppressions FINAL WHERE kind = '{kind}' AND {self.sql}"


def of_erasure(erasure: int) -> Among:
    """All that one erasure suppresses."""
    return Among(f"erasure = {erasure}")


class Hiding:
    """Finds and hides. `changing` hears of the rows before they are hidden and after it: rollups are made anew without them."""

    def __init__(self, client: Client, changing: Changing) -> None:
        self._client, self._changing = client, changing
        self._ask = asker(client)

    def check(self) -> None:
        """Raises EarshotError where rows can't be hidden: a Distributed table of a cluster takes no DELETE."""
        names = ", ".join(f"'{place.name}'" for place in _in_order())
        found = self._ask(f"{_OTHERS} AND name IN ({names}) ORDER BY name", {}).get_column("name").to_list()
        if found:
            raise EarshotError(
                f"rows of {', '.join(found)} can't be hidden (docs/sre.md, A cluster of ClickHouse): nothing was begun"
            )

    def _events(self, among: Among) -> tuple[list[int], list[int]]:
        """Events of these accounts, addresses and numbers that these suppressions lack: another erasure of the person may have
        been killed between its keys and its rows. And of those of the accounts such as another account has taken over since.
        Raises EarshotError."""
        accounts, values = among.keys("account"), among.keys("value")
        known = f"SELECT key FROM suppressions WHERE kind = 'event' AND {among.sql}"
        rows = self._ask(_OF_ACCOUNTS.format(accounts=accounts, known=known), {})
        found, taken = (rows.filter(pl.col("taken") == flag).get_column("event_key").to_list() for flag in (0, 1))
        if self._ask(f"SELECT count() AS n FROM ({values})", {}).get_column("n")[0]:
            landed = f" AND ingested_at >= fromUnixTimestamp64Milli({to_ms(among.since)}, 'UTC')" if among.since else ""
            unnamed = where(TABLES["interactions"], Sets(values=values))
            sql = f"SELECT DISTINCT event_key FROM interactions WHERE {unnamed}{landed} AND event_key NOT IN ({known})"
            found += self._ask(sql, {}).get_column("event_key").to_list()
        return sorted(set(found)), taken

    def conversations(self, among: Among) -> list[int]:
        """Those in which nobody else but a brand said a word. Raises EarshotError."""
        values = among.keys("value")
        known = self._ask(f"SELECT count() AS n FROM ({values})", {}).item()
        return alone(lambda sql: self._ask(sql, {}), among.keys("account"), values if known else "")

    def hide_conversations(self, conversations: Sequence[int]) -> int:
        """Hides what is there of these conversations; how many rows. Raises EarshotError."""
        sets = Sets(conversations=", ".join(map(str, conversations)))
        return sum(self._hide(place, sets) for place in _in_order() if place.conversations)

    def hide_cases(self, conversations: Sequence[int]) -> int:
        """The same of cases alone: a thread may be another's by now."""
        return self._hide(TABLES["cases"], Sets(conversations=", ".join(map(str, conversations))))

    def hide(
        self,
        among: Among,
        suppress: Numbers,
        noted: Numbers = lambda months: None,
        conversations: Sequence[int] | None = None,
    ) -> dict[str, int]:
        """How many rows of each table it hid. `suppress` suppresses events that were found; `noted` hears in which months
        (202611) rows go, while they are there; `conversations`: those of theirs alone; None: as their accounts say. Raises
        EarshotError, and what these and `changing` raise."""
        if conversations is None:
            conversations = alone(lambda sql: self._ask(sql, {}), among.keys("account"))
        talks = ", ".join(map(str, conversations))
        new, taken = self._events(among)
        if new:
            suppress(new)
        events = among.keys("event")
        minutes = self._ask(_MINUTES.format(events=events), {})
        if minutes.height:
            noted(minutes.get_column("created_at").dt.strftime("%Y%m").unique().sort().cast(pl.UInt32).to_list())
        told = pl.concat([minutes, self._ask(_SHARED.format(accounts=among.keys("account")), {})]).unique()
        with self._changing(told) if told.height else nullcontext(), ThreadPoolExecutor(AT_ONCE) as pool:
            places = [place for place in _in_order() if place.name not in _LAST]
            counts = list(pool.map(lambda place: self._hide(place, _found(place, among, talks)), places))
            for place in (TABLES[name] for name in _LAST):
                own = place.name == "account_events"
                places.append(place)
                counts.append(self._hide_times(among, taken) if own else self._hide(place, _found(place, among, talks)))
        return {place.name: count for place, count in zip(places, counts, strict=True) if count}

    def _hide(self, place: Place, sets: Sets) -> int:
        wanted = where(place, sets)
        count = 0 if wanted == "0" else self._count(place.name, wanted)
        for keys in self._there(place, sets, wanted) if count else ():  # one that finds nothing makes each part anew, too
            self._delete(place.name, where(place, keys))
        return count

    def _hide_times(self, among: Among, taken: list[int]) -> int:
        """In table account_events, not all of the accounts': by a row of an event that came just now its row in interactions is
        found the next time."""
        theirs = f"event_key IN ({among.keys('event')})" + (f" OR event_key IN {numbers(taken)}" if taken else "")
        wanted = f"account_key IN ({among.keys('account')}) AND ({theirs})"
        rows = self._ask(f"SELECT DISTINCT account_key, event_key FROM account_events WHERE {wanted}", {})
        count = self._count("account_events", wanted) if rows.height else 0
        accounts = numbers(rows.get_column("account_key").unique())
        for events in rows.get_column("event_key").unique().sort().to_frame().iter_slices(PIECE):
            self._delete(
                "account_events", f"account_key IN {accounts} AND event_key IN {numbers(events.get_column('event_key'))}"
            )
        return count

    def _count(self, table: str, condition: str) -> int:
        return int(self._ask(f"SELECT count() AS n FROM {table} WHERE {condition}", {}).item())

    def _delete(self, table: str, condition: str) -> None:
        with one_line(self._client):
            self._client.command(f"DELETE FROM {table} WHERE {condition}", settings=DELETE)

    def _there(self, place: Place, sets: Sets, wanted: str) -> Iterator[Sets]:
        """Those of the keys that these rows have, as literals. With a SELECT in a DELETE nobody could read the table before its
        end: readers apply it on the fly (clickhouse/pins.py), and ClickHouse refuses that."""
        pieces: dict[str, list[str]] = {}
        for kind in (kind for kind in Sets._fields if getattr(sets, kind)):
            found: set[object] = set()
            for sql in getattr(place, kind):
                key = f"arrayJoin({sql.removesuffix('[]')})" if sql.endswith("[]") else sql
                rows = f"SELECT {key} AS found FROM {place.name} WHERE {wanted}"
                found |= set(
                    self._ask(f"SELECT DISTINCT found FROM ({rows}) WHERE found IN ({getattr(sets, kind)})", {})["found"]
                )
            texts = [quoted(each) if isinstance(each, str) else str(each) for each in sorted(found, key=str)]
            pieces[kind] = [", ".join(texts[start : start + PIECE]) for start in range(0, len(texts), PIECE)]
        for each in zip_longest(*pieces.values(), fillvalue=""):
            yield Sets(**dict(zip(pieces, each, strict=True)))


def _found(place: Place, among: Among, conversations: str) -> Sets:
    if place.name == "interactions" and not among.thorough:
        return Sets(events=among.keys("event"))
    its = conversations if place.conversations else ""
    return Sets(among.keys("account"), among.keys("event"), among.keys("value"), "", its)


def _in_order() -> Iterator[Place]:
    places = [place for place in TABLES.values() if place.erase in ("rows", "rebuilt") and place.findable]
    yield from (place for place in places if place.name not in _LAST)
    yield from (TABLES[name] for name in _LAST)
