"""Where a batch of records ends: its header says so, if it is to be believed."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from pipeline.errors import EarshotError
from pipeline.kafka.batches import _last_offset

FIRST, RECORDS = 1_000, 20


def batch() -> bytearray:
    """A batch of 20 records as the broker keeps it, packed with gzip."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=1, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=1 << 20
    )
    for place in range(RECORDS):
        builder.append(place, 0, None, b"x" * 1_000, [])
    packed = bytearray(builder.build())
    packed[:8] = FIRST.to_bytes(8, "big")
    return packed


@pytest.mark.parametrize("offset", [FIRST, FIRST + 7, FIRST + RECORDS - 1])
def test_the_header_says_where_the_batch_ends(offset: int) -> None:
    assert _last_offset(bytes(batch()), offset) == FIRST + RECORDS - 1
    assert _last_offset(bytes(batch()) + b"more", offset) == FIRST + RECORDS - 1


def test_another_batch_is_no_answer() -> None:
    for offset in (FIRST - 1, FIRST + RECORDS):
        with pytest.raises(EarshotError):
            _last_offset(bytes(batch()), offset)


@pytest.mark.parametrize("place", [9, 23, 26, 100])
def test_a_damaged_batch_is_not_believed(place: int) -> None:
    damaged = batch()
    damaged[place] ^= 1
    with pytest.raises(EarshotError, match="damaged"):
        _last_offset(bytes(damaged), FIRST)


@pytest.mark.parametrize("found", [b"", b"\0" * 60, b"\0" * 200])
def test_what_is_no_batch_is_not_believed(found: bytes) -> None:
    with pytest.raises(EarshotError, match="does not return"):
        _last_offset(found, FIRST)
