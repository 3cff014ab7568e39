"""Records of evidence: what is dumped is parsed, and what is none is refused."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest

from schemas.evidence import EVIDENCE_COLUMNS, LARGEST, dump, parse
from schemas.identity import account_key, edge_keys

ROW = {
    "kind": "profile", "type": "handle", "a_platform": "forum", "b_platform": "twitter", "rule": "url", "rule_version": 3,
    "basis": "public", "at": 1_788_220_800_000, "event": 2**64 - 1, "held": 0, "claimed": "ann", "hash": "",
}  # fmt: skip


def edges(count: int) -> pl.DataFrame:
    rows = [{**ROW, "a": number + 1, "b": account_key("twitter", None, "ann")} for number in range(count)]
    frame = pl.DataFrame(rows, {name: type_ for name, type_ in EVIDENCE_COLUMNS.items() if name != "edge"})
    return frame.with_columns(edge_keys(frame).alias("edge")).select(list(EVIDENCE_COLUMNS))


@pytest.mark.parametrize(("count", "records"), [(0, 0), (1, 1), (LARGEST, 1), (LARGEST + 1, 2)])
@pytest.mark.parametrize("imported", [False, True])
def test_what_is_dumped_is_parsed(count: int, records: int, imported: bool) -> None:
    dumped = list(dump(edges(count), imported))
    assert len(dumped) == records and all(len(record) < 500_000 for record in dumped)
    read = [parse(record) for record in dumped]
    assert [of_import for _, of_import in read] == [imported] * records
    if read:
        assert pl.concat([frame for frame, _ in read]).equals(edges(count))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"edges": 5},
        {"edges": {"kind": ["profile"]}},
        {"at": [-1]},
        {"at": [None]},
        {"type": ["nose"]},
        {"a": [-1]},
    ],
    ids=str,
)
def test_what_is_no_record_is_refused(change: dict[str, Any]) -> None:
    [record] = dump(edges(1))
    values = orjson.loads(record)
    columns = {name: column for name, column in change.items() if name in EVIDENCE_COLUMNS}
    values["edges"] |= columns
    values |= {name: value for name, value in change.items() if name not in columns}
    with pytest.raises(ValueError, match="evidence|version"):
        parse(orjson.dumps(values))


@pytest.mark.parametrize("record", [b"", b"[]", b"null", b"{}", b"\xff"])
def test_what_is_no_json_of_ours_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError):
        parse(record)


def test_a_record_of_an_earlier_release_has_no_hashes() -> None:
    [record] = dump(edges(2))
    values = orjson.loads(record)
    del values["edges"]["hash"]
    assert parse(orjson.dumps(values))[0].equals(edges(2))
