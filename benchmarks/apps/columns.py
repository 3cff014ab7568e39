"""The work in columns, as the tuned forms do it: what Earshot's worker learned about speed, without what it checks.

Records are hashed by xxhash and parsed together by pyarrow's JSON reader; one Aho-Corasick search runs over all texts of a
batch; an Arrow stream with narrow, non-null columns goes to ClickHouse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import clickhouse_connect
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import xxhash
from ahocorasick_rs import BytesAhoCorasick, Implementation
from work import COLUMNS, Job

BATCH_ROWS = 30_000
INSERT_ROWS = 100_000
TEXT = pa.string()
EVENT = pa.schema(
    {name: TEXT for name in ("id", "platform", "kind", "operation", "direction", "text", "language")}
    | {
        "created_at": pa.timestamp("ms", "UTC"),
        "author": pa.struct({name: TEXT for name in ("id", "handle", "name", "kind")} | {"followers": pa.int64()}),
        "metrics": pa.struct({"likes": pa.int64(), "shares": pa.int64()}),
        "source": pa.struct({"name": TEXT, "version": TEXT}),
    }
)
IN_WORD = np.zeros(256, bool)
IN_WORD[list(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")] = True
END = 10
"""A line end, between texts: in no term."""


class Columns:
    """From the bytes of records to rows. A duplicate is a record whose hash was seen: redeliveries are the same bytes."""

    def __init__(self, terms: Iterable[Sequence[str]]) -> None:
        words, brands = zip(*terms, strict=True)
        self._names, self._brand_of = np.unique(brands, return_inverse=True)
        self._automaton = BytesAhoCorasick([word.encode() for word in words], implementation=Implementation.DFA)
        self._seen: set[int] = set()

    def rows(self, values: Sequence[bytes]) -> pa.Table:
        """The new ones among them."""
        hashes, seen = map(xxhash.xxh3_64_intdigest, values), self._seen
        new = {digest: value for digest, value in zip(hashes, values, strict=True) if digest not in seen}
        seen.update(new)
        if not new:
            return None
        body = b"\n".join(new.values())
        event = pj.read_json(
            pa.BufferReader(body),
            pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
            pj.ParseOptions(explicit_schema=EVENT, unexpected_field_behavior="ignore"),
        ).combine_chunks()
        column = {name: event[name].chunk(0) for name in EVENT.names}
        keys = pc.binary_join_element_wise(column["platform"], column["id"], ":").cast(pa.binary()).to_pylist()
        created = column["created_at"]
        author, metrics, source = (column[name] for name in ("author", "metrics", "source"))
        columns = [
            np.fromiter(map(xxhash.xxh3_64_intdigest, keys), np.uint64, len(keys)),
            np.fromiter(new, np.uint64, len(new)),
            created.cast(pa.int64()).to_numpy() << 22,
            *(column[name] for name in ("id", "platform", "kind", "operation", "direction")),
            created,
            created,
            *(column[name] for name in ("text", "language")),
            *(author.field(name) for name in ("id", "handle", "name", "kind", "followers")),
            *(metrics.field(name) for name in ("likes", "shares")),
            *(source.field(name) for name in ("name", "version")),
            self._mentioned(pc.utf8_lower(column["text"])),
        ]
        arrays = [pa.array(each) if isinstance(each, np.ndarray) else each for each in columns]
        schema = pa.schema([pa.field(name, each.type, False) for name, each in zip(COLUMNS, arrays, strict=True)])
        return pa.Table.from_arrays(arrays, schema=schema)

    def _mentioned(self, texts: pa.Array) -> pa.Array:
        joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "\n")[0].as_buffer()
        letters = np.frombuffer(joined, np.uint8)
        offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts)]
        starts = offsets - offsets[0] + np.arange(len(texts))
        found = self._automaton.find_matches_as_indexes(letters)  # type: ignore[arg-type]  # any buffer
        term, first, last = np.array(found, np.int64).reshape(-1, 3).T
        before = np.where(first > 0, letters[first - 1], END)
        after = np.where(last < len(letters), letters[np.minimum(last, len(letters) - 1)], END)
        whole = ~(IN_WORD[before] | IN_WORD[after])
        row = np.searchsorted(starts, first[whole], "right") - 1
        row, brand = np.divmod(np.unique(row * len(self._names) + self._brand_of[term[whole]]), len(self._names))
        ends = np.zeros(len(texts) + 1, np.int32)
        np.cumsum(np.bincount(row, minlength=len(texts)), out=ends[1:])
        return pa.ListArray.from_arrays(ends, pa.array(self._names[brand], TEXT))


class ArrowTable:
    """Table interactions in a database of the peer's own."""

    def __init__(self, job: Job) -> None:
        self._client = clickhouse_connect.get_client(**job.clickhouse(), autogenerate_session_id=False)
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[Any] | None = None

    def insert(self, tables: Sequence[pa.Table]) -> None:
        """Returns when the rows are visible."""
        if tables:
            rows, body = pa.concat_tables(tables), pa.BufferOutputStream()
            with pa.ipc.new_stream(body, rows.schema) as stream:
                stream.write_table(rows.combine_chunks())
            # As the worker inserts: the server need not merge versions in each block.
            self._client.raw_insert(
                "interactions",
                column_names=COLUMNS,
                insert_block=memoryview(body.getvalue()),  # type: ignore[arg-type]  # urllib3 takes it
                fmt="ArrowStream",
                settings={"optimize_on_insert": 0},
            )

    def insert_beside(self, tables: Sequence[pa.Table]) -> None:
        """Inserts on a thread, one insert at a time: returns when the one before is done."""
        self.finish()
        self._last = self._thread.submit(self.insert, tables)

    def finish(self) -> None:
        """Returns when all is inserted. Raises what the insert raised."""
        if self._last:
            self._last.result()
