"""The streams that inserts send: the same rows in the narrow form, in a buffer that is used again."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clickhouse.arrow import Bodies, arrow_stream

TEXTS = st.one_of(st.none(), st.text(max_size=20))
COLUMNS: dict[str, tuple[pl.DataType, st.SearchStrategy[object]]] = {
    "text": (pl.String(), TEXTS),
    "names": (pl.List(pl.String), st.one_of(st.none(), st.lists(TEXTS, max_size=3))),
    "keys": (pl.List(pl.UInt64), st.one_of(st.none(), st.lists(st.integers(0, 2**64 - 1), max_size=3))),
    "key": (pl.UInt64(), st.one_of(st.none(), st.integers(0, 2**64 - 1))),
    "raw": (pl.Binary(), st.one_of(st.none(), st.binary(max_size=20))),
    "at": (pl.Datetime("ms", "UTC"), st.one_of(st.none(), st.just(datetime(2026, 9, 1, tzinfo=UTC)))),
}


def read(body: pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


@settings(max_examples=50)
@given(st.lists(st.tuples(*(values for _, values in COLUMNS.values())), min_size=1, max_size=20), st.booleans())
def test_the_rows_are_the_same_and_narrow(rows: list[tuple[object, ...]], in_two_chunks: bool) -> None:
    frame = pl.DataFrame(rows, {name: kind for name, (kind, _) in COLUMNS.items()}, orient="row")
    frame = pl.concat([frame, frame], rechunk=False) if in_two_chunks else frame
    table = read(arrow_stream(frame))
    assert pl.DataFrame(table).equals(frame)
    assert not any("large" in str(kind) for kind in table.schema.types)
    assert [field.nullable for field in table.schema] == [column.null_count() > 0 for column in frame]


def test_a_stream_takes_the_place_of_the_one_before() -> None:
    bodies, large, small = Bodies(), pl.DataFrame({"n": range(1_000)}), pl.DataFrame({"n": range(10)})
    with bodies.of(large) as body:
        place = body.address
        with bodies.of(large) as other:
            assert other.address != place and pl.DataFrame(read(body)).equals(large)
    with bodies.of(small) as body:
        assert body.address == place and body.size < 1_000 and pl.DataFrame(read(body)).equals(small)
    with bodies.of(pl.concat([large, large])) as body:
        assert pl.DataFrame(read(body)).height == 2_000
