"""The dead letters of a person: hidden, or taken along.

A letter has keys and hashes of whose it is, so no key is needed to find it. Of letters from before migration 032 the JSON says
it: all that are there are read, for as long as they are there. A letter that does not say whose it is goes after 90 days.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, one_line, settings_for
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.keys import DataKeys
from pipeline.queries.letters import DeadLetter, matching, select
from pipeline.sinks.letter_rows import Hashes, contacts_of
from pipeline.sinks.letter_subject import subject_of
from schemas.erasures import Keys
from schemas.hashes import STORED

PIECE = 5_000
"""Keys of one statement: a server parses 256 KiB."""
LONGEST = 200_000
"""Characters of one condition, for the same reason."""
_OLD = "SELECT topic, partition, offset, content, raw FROM dead_letters WHERE form = 0 AND raw != ''"
Position = tuple[str, int, int, int]


def hide_letters(client: Client, keys: Keys, hashes: Hashes | None = None) -> int:
    """Hides the letters with one of these keys, by a lightweight DELETE: no query finds them from its end on. Returns how many
    rows. It may be done again.

    `hashes` are those of step privacy; without them a letter from before migration 032 is not found by its address or number
    alone. Raises EarshotError.
    """
    hidden = 0
    for condition in _conditions(client, keys, hashes):
        with one_line(client):
            count = int(str(client.command(f"SELECT count() FROM dead_letters WHERE {condition}")))
            if count:  # one that finds nothing makes each part anew, too
                sync = {**LONG_SQL, "lightweight_deletes_sync": 2}
                client.command(f"DELETE FROM dead_letters WHERE {condition}", settings=sync)
        hidden += count
    return hidden


def letters_of(client: Client, keys: Keys, hashes: Hashes | None, data_keys: DataKeys) -> Iterator[DeadLetter]:
    """The letters with one of these keys, each once, in clear; by time, unless there are very many keys. Raises as
    `matching`."""
    seen, conditions = set(), list(_conditions(client, keys, hashes))
    together = " OR ".join(f"({each})" for each in conditions)
    for condition in [together] if 0 < len(together) < LONGEST else conditions:
        for letter in matching(
            client, select(f"WHERE {condition} ORDER BY rejected_at, topic, partition, offset"), {}, data_keys
        ):
            if (position := letter[:3]) not in seen:
                seen.add(position)
                yield letter


def _conditions(client: Client, keys: Keys, hashes: Hashes | None) -> Iterator[str]:
    for some in _pieces([key for key in keys.accounts if key not in keys.handles]):
        yield f"hasAny(accounts, [{some}]::Array(UInt64))"
    for some in _pieces(sorted(keys.handles)):  # beside an id the handle is the second
        yield f"accounts[1] IN ({some})"
    for some in _pieces(list(map(quoted, keys.values))):  # with an account it is that account's
        yield f"empty(accounts) AND hasAny(contacts, [{some}])"
    for some in _pieces(_of_letters(client, keys.events)):
        yield f"event_key IN ({some})"
    old = list(_old(client, keys, hashes))
    for some in _pieces(f"({quoted(topic)}, {partition}, {offset}, {content})" for topic, partition, offset, content in old):
        yield f"form = 0 AND (topic, partition, offset, content) IN ({some})"


def _of_letters(client: Client, events: Sequence[int]) -> list[int]:
    """Those of the events that may have letters: few letters say of which event they are, and a machine's account has a
    million."""
    if len(events) <= PIECE:
        return [key for key in events if key]
    with one_line(client):
        there = {row[0] for row in client.query("SELECT DISTINCT event_key FROM dead_letters WHERE event_key != 0").result_rows}
    return [key for key in events if key in there]


def _pieces(keys: Iterable[object]) -> Iterator[str]:
    texts = list(map(str, keys))
    for start in range(0, len(texts), PIECE):
        yield ", ".join(texts[start : start + PIECE])


def _old(client: Client, keys: Keys, hashes: Hashes | None) -> Iterator[Position]:
    accounts, events = set(keys.accounts) - keys.handles, set(keys.events) - {0}
    values = set(hashes(STORED, keys.values)) if hashes else set()
    with (
        one_line(client),
        client.query_row_block_stream(_OLD, {}, settings_for(client), column_formats={"raw": "bytes"}) as blocks,
    ):
        for block in blocks:
            rows = list(block)
            subjects = [subject_of(row[4]) for row in rows]
            contacts = contacts_of(subjects, hashes) if hashes and values else [[] for _ in rows]
            for row, subject, theirs in zip(rows, subjects, contacts, strict=True):
                named = not accounts.isdisjoint(subject.accounts) or not keys.handles.isdisjoint(subject.accounts[:1])
                if named or subject.event in events or (not subject.accounts and not values.isdisjoint(theirs)):
                    yield row[0], row[1], row[2], row[3]
