"""Frames as Arrow streams that ClickHouse reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
import pyarrow as pa

_NARROW_BYTES = (1 << 31) - 1
_KEPT_BYTES = 128 << 20


def arrow_stream(rows: pl.DataFrame) -> pa.Buffer:
    """The frame as an Arrow IPC stream that ClickHouse reads (no string views), in a buffer of its size."""
    with Bodies().of(rows) as body:
        return body


class Bodies:
    """Makes such streams in a buffer that stays for the next one: otherwise the system clears the pages of each anew."""

    def __init__(self) -> None:
        self._spare: deque[pa.Buffer] = deque(maxlen=1)

    @contextmanager
    def of(self, rows: pl.DataFrame) -> Iterator[pa.Buffer]:
        """The frame as a stream, which the next one overwrites."""
        table = _narrow(rows.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()))
        needed = pa.MockOutputStream()
        _write(table, needed)
        buffer = self._buffer(needed.size())
        _write(table, pa.FixedSizeBufferWriter(buffer))
        yield buffer.slice(0, needed.size())
        if buffer.size <= _KEPT_BYTES:
            self._spare.append(buffer)

    def _buffer(self, size: int) -> pa.Buffer:
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = None
        if buffer is not None and buffer.size >= size:
            return buffer
        return pa.allocate_buffer(size, memory_pool=pa.system_memory_pool())


def _write(table: pa.Table, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)


def _narrow(table: pa.Table) -> pa.Table:
    """The table with offsets of 32 bits, and columns without a null declared so: ClickHouse reads it in half the time."""
    if table.nbytes > _NARROW_BYTES:
        return table
    columns = [column.cast(_narrow_type(column.type)) for column in table.columns]
    fields = [
        pa.field(name, column.type, column.null_count > 0) for name, column in zip(table.column_names, columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _narrow_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_large_list(kind):
        return pa.list_(_narrow_type(kind.value_type))
    return kind
