"""Frames as Arrow streams that ClickHouse reads."""

from __future__ import annotations

import polars as pl
import pyarrow as pa


def arrow_stream(rows: pl.DataFrame) -> pa.Buffer:
    """The frame as an Arrow IPC stream that ClickHouse reads (no string views), in a buffer of exactly its size."""
    table = rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    size = pa.MockOutputStream()
    _write(table, size)
    body = pa.allocate_buffer(size.size(), memory_pool=pa.system_memory_pool())
    _write(table, pa.FixedSizeBufferWriter(body))
    return body


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
