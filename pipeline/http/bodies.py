"""Decompresses bodies in bounded pieces: a kilobyte of gzip can stand for a megabyte, and a megabyte for a gigabyte."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from pipeline.http.failures import BadAnswer

PIECE = 64 << 10
"""Bytes of a piece, at most."""
MOST_MEMBERS = 100
"""A gzip body may be several, one after the other; each begins with work that its size does not pay for."""
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_BEGINS = b"\x1f\x8b"


class Decoder:
    """One body. Reads gzip and deflate, the encodings that requests ask for. Raises BadAnswer for another one."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower().removeprefix("x-")
        if self._encoding not in ("", "identity", "gzip", "deflate"):
            raise BadAnswer("the body has an encoding that the request does not accept")
        self._member: zlib._Decompress | None = None
        self._members = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What these bytes add to the body, piece by piece. Raises BadAnswer if they are not of the encoding."""
        if self._encoding not in ("gzip", "deflate"):
            yield data
            return
        more = False
        while data or more:
            if self._member is None and (not data or not self._begin(data)):
                return
            member = self._member
            assert member is not None
            try:
                piece = member.decompress(data, PIECE)
            except zlib.error:
                raise BadAnswer("the body's compression is broken") from None
            if member.eof:
                data, self._member, more = member.unused_data, None, False
            else:
                data, more = member.unconsumed_tail, len(piece) == PIECE
            if piece:
                yield piece

    def end(self) -> None:
        """Raises BadAnswer if the body breaks off."""
        if self._member is not None:
            raise BadAnswer("the body's compression breaks off")

    def _begin(self, data: bytes) -> bool:
        """Whether another member begins here; servers put garbage behind the last one, which is not read."""
        if self._members and not (self._encoding == "gzip" and data.startswith(_GZIP_BEGINS[: len(data)])):
            return False
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise BadAnswer(f"the body is more than {MOST_MEMBERS} compressed ones")
        # deflate means zlib's format, but some servers leave its header out.
        self._member = zlib.decompressobj(_GZIP if self._encoding == "gzip" else _ZLIB if data[0] & 0x0F == 8 else _RAW)
        return True
