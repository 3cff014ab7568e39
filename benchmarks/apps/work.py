"""The work that each peer does, in plain Python: it runs in the peers' own environments, so it imports nothing of Earshot.

An event is decoded with orjson, a duplicate is a record whose hash was seen (the cheapest test that is right for this load:
redeliveries are the same bytes), brands are found with ahocorasick_rs as whole words, and rows go to ClickHouse as columns.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import clickhouse_connect
import orjson
import xxhash
from ahocorasick_rs import AhoCorasick, Implementation

COLUMNS = (
    "event_key", "revision", "version", "id", "platform", "kind", "operation", "direction", "created_at", "occurred_at", "text",
    "language", "author_id", "author_handle", "author_name", "author_kind", "author_followers", "metrics_likes",
    "metrics_shares", "source_name", "source_version", "brands",
)  # fmt: skip
"""Every field that the events of the load carry, and what the table needs so that the newest version of an event wins."""
INSERT_ROWS = 30_000
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


def job() -> Job:
    """Says that everything is imported, waits until all processes of the run have said so, and returns the job."""
    asked = Job(**json.loads(sys.argv[1]))
    # Rows are tuples without cycles; fewer collections are worth some percent to each peer.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    print("ready", flush=True)
    sys.stdin.readline()
    return asked


class Work:
    """From a record's bytes to a row, or to None when it is a duplicate."""

    def __init__(self, terms: Iterable[Sequence[str]]) -> None:
        self._terms, self._brands = zip(*terms, strict=True)
        self._automaton = AhoCorasick(list(self._terms), implementation=Implementation.DFA)
        self._seen: set[int] = set()
        self._begun = False

    def begin(self) -> None:
        """Called with the first record, and again as often as is convenient: the clock starts."""
        if not self._begun:
            self._begun = True
            print(f"reading {time.monotonic()}", flush=True)

    def row(self, value: bytes) -> Row | None:
        revision = xxhash.xxh3_64_intdigest(value)
        if revision in self._seen:
            return None
        self._seen.add(revision)
        event = orjson.loads(value)
        identifier, platform, text = event["id"], event["platform"], event["text"]
        author, metrics, source = event["author"], event["metrics"], event["source"]
        # Milliseconds: the driver writes integers as they are.
        created = int(datetime.fromisoformat(event["created_at"]).timestamp() * 1000)
        return (
            xxhash.xxh3_64_intdigest(f"{platform}:{identifier}".encode()),
            revision,
            created << 22,
            identifier,
            platform,
            event["kind"],
            event["operation"],
            event["direction"],
            created,
            created,
            text,
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
            self._mentioned(text.lower()),
        )

    def rows(self, values: Iterable[bytes]) -> list[Row]:
        return [row for value in values if (row := self.row(value)) is not None]

    def _mentioned(self, text: str) -> list[str]:
        found = self._automaton.find_matches_as_indexes(text)
        if not found:
            return []
        whole = {
            self._brands[term]
            for term, start, end in found
            if not (start and _in_word(text[start - 1])) and not (end < len(text) and _in_word(text[end]))
        }
        return sorted(whole)


def _in_word(letter: str) -> bool:
    return letter == "_" or (letter.isascii() and letter.isalnum())


class Table:
    """Table interactions in a database of the peer's own; `insert` returns when the rows are visible."""

    def __init__(self, job: Job) -> None:
        self._client = clickhouse_connect.get_client(
            host=job.clickhouse_host,
            port=job.clickhouse_port,
            password=os.environ["CLICKHOUSE_PASSWORD"],
            database=job.database,
            autogenerate_session_id=False,
        )
        # As the worker inserts: the server need not merge versions in each block.
        self._context = self._client.create_insert_context(
            "interactions", column_names=COLUMNS, column_oriented=True, settings={"optimize_on_insert": 0}
        )

    def insert(self, rows: list[Row]) -> None:
        if rows:
            self._context.data = list(zip(*rows, strict=True))
            self._client.insert(context=self._context)
