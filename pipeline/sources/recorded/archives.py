"""Opens a recorded file as blocks of bytes: a plain file, gzip, or a file inside a zip archive, known by their first bytes.

Blocks are read as they are needed, so memory stays bounded whatever the size. An archive is unpacked twice: damage is an error
before the first row, not rows of garbage.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from os import fstat
from pathlib import Path, PurePosixPath
from stat import S_ISBLK, S_ISCHR
from typing import BinaryIO, Protocol, cast

from pipeline.errors import EarshotError, SettingsError

BLOCK = 1 << 20
HEAD = 1 << 20
"""The bytes at the start by which encoding, delimiter and header are recognised."""
BOMB_BYTES, BOMB_RATIO = 64 << 20, 250
"""An archive is refused once it has grown to this many bytes and to this many times its size: texts shrink 3 to 30 times."""

GZIP, ZIP, EMPTY_ZIP = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"
OTHERS = {
    b"BZh91AY&SY": "bzip2: unpack it first",
    b"\xfd7zXZ\x00": "xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"Rar!\x1a\x07": "a RAR archive: unpack it first",
    b"\xd0\xcf\x11\xe0\xa1\xb1": "an old Excel or Word file: save it as CSV UTF-8",
    b"PAR1": "Parquet: export it as CSV or JSON Lines",
    b"SQLite format 3\x00": "a SQLite database: export the table as CSV or JSON Lines",
    b"%PDF-": "a PDF: export the data as CSV",
}
_NO_DATA = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
_BROKEN = (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError)


class FileDamaged(Exception):
    """The file breaks off here; the text is the reason, for a person."""


class _Unpacked(Protocol):
    def read1(self, size: int, /) -> bytes:
        """Some of the unpacked bytes, at most `size`; none at the end."""
        ...


@dataclass
class Source:
    """An opened file: its first bytes, and all of it as blocks, once."""

    path: Path
    head: bytes
    whole: bool
    """`head` is all there is."""
    _rest: Iterator[bytes] = field(repr=False)

    def blocks(self) -> Iterator[bytes]:
        """Every block from the start. Raises FileDamaged where the file breaks off, OSError as the system does."""
        if self.head:
            yield self.head
        yield from self._rest


@contextmanager
def opened(path: Path, member: str | None = None) -> Iterator[Source]:
    """The file, unpacked. `member` names the file inside a zip archive, or is a glob for it.

    Raises EarshotError for an archive that is encrypted, empty or of another kind, SettingsError if `member` names no file or
    several, OSError as the system does.
    """
    with path.open("rb") as file:
        if S_ISCHR(mode := fstat(file.fileno()).st_mode) or S_ISBLK(mode):
            raise EarshotError(f"{path}: a device, and no file: it has no end")
        start = file.peek(32)
        if (kind := next((kind for magic, kind in OTHERS.items() if start.startswith(magic)), None)) is not None:
            raise EarshotError(f"{path}: the file is {kind}")
        if start.startswith((ZIP, EMPTY_ZIP)):
            with _zip(path, file) as archive:
                info = _member(path, archive, member)
                _check(path, _zip_blocks(path, archive, info))
                yield _source(path, _zip_blocks(path, archive, info), packed=True)
            return
        if member is not None:
            raise SettingsError(f"{path}: the mapping's key member is for zip archives")
        packed = start.startswith(GZIP)
        if packed and file.seekable():
            _check(path, _gzip_blocks(file))
            file.seek(0)
        yield _source(path, _gzip_blocks(file) if packed else _blocks(file), packed=packed)


def inner_name(path: Path, member: str | None = None) -> str:
    """The name that says the format: without .gz; of a .zip archive that of the file inside. Raises as `opened`."""
    if path.suffix.lower() in (".gz", ".gzip"):
        return path.stem
    if path.suffix.lower() != ".zip":
        return path.name
    with path.open("rb") as file, _zip(path, file) as archive:
        return PurePosixPath(_member(path, archive, member).filename).name


def is_packed(path: Path) -> bool:
    """Whether the bytes on disk are those of an archive: its lines can't be counted there."""
    try:
        with path.open("rb") as file:
            return file.peek(4).startswith((GZIP, ZIP, EMPTY_ZIP))
    except OSError:
        return False


def _source(path: Path, blocks: Iterator[bytes], packed: bool) -> Source:
    """Reads the head. Damage inside the head is raised after its bytes."""
    head, whole = b"", False
    try:
        while len(head) < HEAD and not whole:
            block = next(blocks, b"")
            head, whole = head + block, not block
    except FileDamaged as error:
        if not head:
            raise
        blocks = _raising(error)
    if packed and not head:
        raise EarshotError(f"{path}: the archive is empty")
    if head[257:262] == b"ustar":
        raise EarshotError(f"{path}: a tar archive: unpack it first")
    if packed and head.startswith((GZIP, ZIP)):
        raise EarshotError(f"{path}: an archive inside an archive: unpack it first")
    return Source(path, head, whole, blocks)


def _check(path: Path, blocks: Iterator[bytes]) -> None:
    """Unpacks all of it once: a checksum at the end says whether the rows before are those that were packed."""
    try:
        for _ in blocks:
            pass
    except FileDamaged as error:
        raise EarshotError(f"{path}: {error}") from None


def _raising(error: FileDamaged) -> Iterator[bytes]:
    raise error
    yield b""


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _gzip_blocks(file: BinaryIO) -> Iterator[bytes]:
    return _unpacked(gzip.GzipFile(fileobj=file, mode="rb"), file.tell)


def _zip_blocks(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        stream = archive.open(info)
    except _BROKEN as error:
        raise EarshotError(f"{path}: the archive can't be unpacked here ({type(error).__name__}): unpack it first") from None
    return _unpacked(cast(zipfile.ZipExtFile, stream), lambda: info.compress_size)


def _unpacked(stream: _Unpacked, packed_size: Callable[[], int]) -> Iterator[bytes]:
    size = 0
    while True:
        try:
            block = stream.read1(BLOCK)
        except _BROKEN:
            raise FileDamaged("the archive is damaged or cut off: get it again") from None
        if not block:
            return
        size += len(block)
        if size > BOMB_BYTES and size > BOMB_RATIO * max(packed_size(), 1):
            raise FileDamaged(f"the archive grows to over {BOMB_RATIO} times its size, as no data does: it is not read")
        yield block


# --- zip ------------------------------------------------------------------------------------------------------------
def _zip(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _BROKEN:
        raise EarshotError(f"{path}: a zip archive without its list of files: is it whole?") from None


def _member(path: Path, archive: zipfile.ZipFile, wanted: str | None) -> zipfile.ZipInfo:
    """The file inside to read: the only one, or that which `wanted` names."""
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_no_data(info.filename)]
    names = {info.filename for info in infos}
    if names & {"xl/workbook.xml", "word/document.xml", "content.xml"}:
        raise EarshotError(f"{path}: the file is a workbook or document: save it as CSV UTF-8")
    if not infos:
        raise EarshotError(f"{path}: the archive is empty")
    if wanted is not None:
        infos = [info for info in infos if info.filename == wanted] or [
            info for info in infos if fnmatchcase(info.filename, wanted) or PurePosixPath(info.filename).name == wanted
        ]
    if len(infos) != 1:
        listed = ", ".join(sorted(name if name.isprintable() else ascii(name) for name in names)[:10])
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        found = "none of these" if not infos else f"{len(infos)} of these"
        asked = f"member {wanted!r} is {found}" if wanted is not None else "name one by the key member (mapping new: --member)"
        raise SettingsError(f"{path}: the archive holds {listed}{more}: {asked}")
    if infos[0].flag_bits & 0x1:
        raise EarshotError(f"{path}: the archive is encrypted: unpack it first")
    return infos[0]


def _is_no_data(name: str) -> bool:
    return name.startswith(_NO_DATA[0]) or PurePosixPath(name).name in _NO_DATA[1:]
