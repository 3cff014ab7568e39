"""Gzip and zip: read where they can be, and one line with the way out where not."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from tests.sources.recorded.test_delimited import AT, read

ROWS = f"id,at,text\n1,{AT},one\n2,{AT},two\n".encode()
LINE = f'{{"id":"1","at":"{AT}","text":"one"}}\n'.encode()
BOTH = [(2, ("1", "one")), (3, ("2", "two"))]


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def encrypted(content: bytes) -> bytes:
    """A zip archive with the flag that its only member is encrypted."""
    raw = bytearray(zipped(("rows.csv", content)))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + place] |= 1
    return bytes(raw)


def error_of(folder: Path, name: str, content: bytes, **keys: str) -> str:
    with pytest.raises(EarshotError) as caught:
        read(folder, name, content, **keys)
    assert str(caught.value).startswith(str(folder / name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- read -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv.gz", gzip.compress(ROWS)),
        ("rows.CSV.GZ", gzip.compress(ROWS)),
        ("rows.csv", gzip.compress(ROWS)),
        ("rows.csv.gz", ROWS),
        ("rows.csv.gz", gzip.compress(ROWS[:40]) + gzip.compress(ROWS[40:])),
        ("rows.csv.gz", gzip.compress(ROWS.decode().encode("utf-16"))),
        ("rows.zip", zipped(("rows.csv", ROWS))),
        ("rows.zip", zipped(("export/2026/rows.csv", ROWS), ("__MACOSX/._rows.csv", b"x"), ("export/.DS_Store", b"x"))),
        ("rows.csv", zipped(("rows.csv", ROWS))),
        ("rows.csv.zip", zipped(("rows.csv", b"\xef\xbb\xbf" + ROWS))),
    ],
)
def test_gzip_and_zip_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    assert read(tmp_path, name, content) == BOTH


def test_packed_json_and_events(tmp_path: Path) -> None:
    for name, content in (("a.jsonl.gz", LINE), ("a.json.gz", b"[" + LINE + b"]"), ("a.ndjson.gz", b"\xef\xbb\xbf" + LINE)):
        assert read(tmp_path, name, gzip.compress(content)) == [(1, ("1", "one"))]
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress(LINE * 3))
    assert [item.event for item in read_events(path) if isinstance(item, Mapped)] == [LINE.rstrip()] * 3


def test_a_member_is_named_by_its_path_its_name_or_a_glob(tmp_path: Path) -> None:
    content = zipped(("a/rows.csv", ROWS), ("a/users.csv", b"id\n1\n"), ("b/readme.txt", b"hello"))
    for member in ("a/rows.csv", "rows.csv", "*/rows.*"):
        assert read(tmp_path, "all.zip", content, member=member, format="csv") == BOTH
    assert "name one by the key member" in error_of(tmp_path, "all.zip", content)
    assert "a/rows.csv, a/users.csv, b/readme.txt" in error_of(tmp_path, "all.zip", content)
    assert "'*.csv' is 2 of these" in error_of(tmp_path, "all.zip", content, member="*.csv")
    assert "'none' is none of these" in error_of(tmp_path, "all.zip", content, member="none")
    with pytest.raises(SettingsError, match="key member is for zip archives"):
        read(tmp_path, "rows.csv", ROWS, member="rows.csv")


def test_the_mapping_beside_a_packed_file(tmp_path: Path) -> None:
    document = "events: [{fields: {id: x, platform: test, kind: post, created_at: {from: at, time: iso}}}]\n"
    (tmp_path / "rows.mapping.yaml").write_text(document)
    for name in ("rows.csv", "rows.csv.gz", "rows.zip"):
        assert find_mapping(tmp_path / name) is not None
    (tmp_path / "rows.csv.mapping.yaml").write_text(f"files: [own]\n{document}")
    chosen = find_mapping(tmp_path / "rows.csv.gz")
    assert chosen is not None
    assert chosen.files == ("own",)


# --- refused --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv.gz", gzip.compress(b""), "the archive is empty"),
        ("rows.zip", zipped(), "the archive is empty"),
        ("rows.zip", zipped(("folder/", b"")), "the archive is empty"),
        ("rows.zip", zipped(("rows.csv", b"")), "the archive is empty"),
        ("rows.csv", zipped(("__MACOSX/rows.csv", ROWS)), "the archive is empty"),
        ("rows.zip", encrypted(ROWS), "the archive is encrypted"),
        ("rows.csv", encrypted(ROWS), "the archive is encrypted"),
        ("rows.zip", zipped(("rows.csv", ROWS))[:-30], "without its list of files"),
        ("rows.csv", zipped(("xl/workbook.xml", b"x"), ("[Content_Types].xml", b"y")), "save it as CSV"),
        ("rows.csv.gz", gzip.compress(gzip.compress(ROWS)), "an archive inside an archive"),
        ("rows.zip", zipped(("rows.csv", gzip.compress(ROWS))), "an archive inside an archive"),
        ("rows.csv.gz", gzip.compress(ROWS)[:12], "the archive is damaged"),
        ("rows.csv.gz", b"\x1f\x8b" + b"x" * 50, "the archive is damaged"),
        ("rows.csv.gz", gzip.compress(b"rows.csv".ljust(257, b"\0") + b"ustar\0" + b"x" * 500), "a tar archive"),
        ("rows.csv", b"BZh91AY&SY" + b"x" * 50, "bzip2: unpack it first"),
        ("rows.json", b"\xfd7zXZ\x00" + b"x" * 50, "xz: unpack it first"),
        ("rows.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it as CSV"),
        ("rows.csv", b"PAR1" + b"x" * 50, "Parquet"),
        ("rows.jsonl", b"SQLite format 3\x00" + b"x" * 50, "SQLite"),
    ],
)
def test_an_archive_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    assert says in error_of(tmp_path, name, content)


@pytest.mark.slow
def test_a_bomb_is_refused_before_its_first_row(tmp_path: Path) -> None:
    bombs = (ROWS + b"0" * (80 << 20), ROWS + b"\n" * (80 << 20), b'[{"a":"' + b"0" * (80 << 20), ROWS + ROWS[11:] * 1_400_000)
    for content in bombs:
        for name, packed in (("rows.csv.gz", gzip.compress(content)), ("rows.zip", zipped(("rows.json", content)))):
            assert "over 250 times its size" in error_of(tmp_path, name, packed)


def test_damage_and_a_cut_are_known_before_the_first_row(tmp_path: Path) -> None:
    words = random.Random(1)
    rows = [f"{number},{AT},{words.getrandbits(200)}" for number in range(40_000)]
    packed = gzip.compress("\n".join(["id,at,text", *rows]).encode())
    flipped = bytearray(packed)
    flipped[len(flipped) // 2 : len(flipped) // 2 + 9] = b"\xff" * 9
    for content in (packed[: len(packed) // 2], packed[:-5], bytes(flipped), packed + b"garbage"):
        assert "damaged or cut off" in error_of(tmp_path, "rows.csv.gz", content)
    assert len(read(tmp_path, "rows.csv.gz", packed)) == 40_000
