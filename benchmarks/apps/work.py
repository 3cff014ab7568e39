"""What every application of a peer is given, and the work in plain Python, an event at a time, as the documented forms do it.

It runs in the peers' own environments, so it imports nothing of Earshot. The tuned forms do the same in columns (columns.py).
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import clickhouse_connect
import xxhash
from ahocorasick_rs import AhoCorasick

COLUMNS = (
    "event_key", "revision", "version", "id", "platform", "kind", "operation", "direction", "created_at", "occurred_at", "text",
    "language", "author_id", "author_handle", "author_name", "author_kind", "author_followers", "metrics_likes",
    "metrics_shares", "source_name", "source_version", "brands",
)  # fmt: skip
"""Every field that the events of the load carry, and what the table needs so that the newest version of an event wins."""
DOCUMENTED_ROWS = 10_000
"""Of an insert, where the documented form has a say: ClickHouse's own page on inserts asks for 10,000 to 100,000."""
Row = tuple[Any, ...]


class Job(NamedTuple):
    """What this process is asked to do: the first argument, as JSON."""

    bootstrap: str
    topic: str
    group: str
    clickhouse_host: str
    clickhouse_port: int
    database: str
    terms: list[list[str]]
    """A term to look for, in lower case, and its brand."""

    def clickhouse(self) -> dict[str, Any]:
        """The arguments of clickhouse_connect.get_client."""
        return {
            "host": self.clickhouse_host,
            "port": self.clickhouse_port,
            "password": os.environ["CLICKHOUSE_PASSWORD"],
            "database": self.database,
        }


def job(*, tuned: bool = False) -> Job:
    """Says that everything is imported, waits until all processes of the run have said so, and returns the job."""
    asked = Job(**json.loads(sys.argv[1]))
    if tuned:
        # Fewer collections are worth some percent to each peer.
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)
    print("ready", flush=True)
    sys.stdin.readline()
    return asked


class Clock:
    """Says once when the first record is in hand, and how much CPU time was spent until then."""

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            print(f"reading {time.monotonic()} {time.process_time()}", flush=True)


class Work:
    """Duplicates and rows. An event is a duplicate when its id was seen: enough for a load without edits."""

    def __init__(self, terms: Iterable[Sequence[str]]) -> None:
        self._terms, self._brands = zip(*terms, strict=True)
        self._automaton = AhoCorasick(list(self._terms))
        self._seen: set[tuple[str, str]] = set()
        self._clock = Clock()

    def is_new(self, event: Mapping[str, Any]) -> bool:
        self._clock.begin()
        key = (event["platform"], event["id"])
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def row(self, event: Mapping[str, Any]) -> Row:
        author, metrics, source = event["author"], event["metrics"], event["source"]
        created = datetime.fromisoformat(event["created_at"])
        key = xxhash.xxh3_64_intdigest(f"{event['platform']}:{event['id']}".encode())
        return (
            key,
            key,
            int(created.timestamp() * 1000) << 22,
            event["id"],
            event["platform"],
            event["kind"],
            event["operation"],
            event["direction"],
            created,
            created,
            event["text"],
            event["language"],
            author["id"],
            author["handle"],
            author["name"],
            author["kind"],
            author["followers"],
            metrics["likes"],
            metrics["shares"],
            source["name"],
            source["version"],
            self._mentioned(event["text"].lower()),
        )

    def _mentioned(self, text: str) -> list[str]:
        whole = {
            self._brands[term]
            for term, start, end in self._automaton.find_matches_as_indexes(text)
            if not (start and _in_word(text[start - 1])) and not (end < len(text) and _in_word(text[end]))
        }
        return sorted(whole)


def _in_word(letter: str) -> bool:
    return letter == "_" or (letter.isascii() and letter.isalnum())


class Table:
    """Table interactions in a database of the peer's own; `insert` returns when the rows are visible."""

    def __init__(self, job: Job) -> None:
        self._client = clickhouse_connect.get_client(**job.clickhouse())

    def insert(self, rows: Sequence[Row]) -> None:
        if rows:
            self._client.insert("interactions", rows, column_names=COLUMNS)
