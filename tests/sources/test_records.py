"""Records in one block: each is what it was, also where it holds line ends or is none."""

from __future__ import annotations

import pytest

from pipeline.records import Records

SOME = [b"{}", b"", None, b"{\n}", b"\n", b'{"a": 1}']


@pytest.mark.parametrize("records", [[], [None], [b""], [b"", b""], SOME, SOME[3:]])
def test_each_record_is_what_it_was(records: list[bytes | None]) -> None:
    kept = Records(records)
    assert list(kept) == records and len(kept) == len(records)
    assert [kept[at - len(records)] for at in range(len(records))] == records and kept[1:4] == records[1:4]
    with pytest.raises(IndexError):
        kept[len(records)]


@pytest.mark.parametrize("record", [b"{}", b'{"text": "}\n{"}'])
def test_objects_are_told_by_their_ends(record: bytes) -> None:
    assert Records([record] * 3).are_objects()
    for other in (None, b"", b"{", b" {}", b"{} ", b"[]", b"\n"):
        assert not Records([record, other]).are_objects() and not Records([other, record]).are_objects()
