"""The bytes of a JSON document that is read in blocks, from a position on."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPACE = re.compile(rb"[\s\x00;]*+")


class Buffer:
    """The blocks of a document, from a position on."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.data, self.at = b"", 0
        self._line, self._column = 1, 1
        """The place of the first byte of `data`."""

    def more(self) -> bool:
        """Reads another block and forgets the bytes before the position. False at the end."""
        block = next(self._blocks, b"")
        if block:
            self._line, self._column = self.place()
            self.data, self.at = self.data[self.at :] + block, 0
        return bool(block)

    def place(self) -> tuple[int, int]:
        """Line and column of the position."""
        lines = self.data.count(b"\n", 0, self.at)
        if not lines:
            return self._line, self._column + self.at
        return self._line + lines, self.at - self.data.rindex(b"\n", 0, self.at)

    def next(self) -> bytes:
        """The next byte that is no space; blank at the end."""
        while True:
            space = _SPACE.match(self.data, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.data):
                return self.data[self.at : self.at + 1]
            if not self.more():
                return b""
