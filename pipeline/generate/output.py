"""The output of a stream: records and lines of its truth, in blocks; and redeliveries of earlier records."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import lru_cache
from time import gmtime
from typing import NamedTuple

NEAR, FAR, FAR_EVERY = 1 << 10, 1 << 14, 8


class Block(NamedTuple):
    """A piece of a stream and of its truth, as columns: keys and values for Kafka, and the time of each delivery."""

    keys: list[bytes | None]
    """None if platform and id are unreadable."""
    values: list[bytes]
    times: list[int]
    """Milliseconds since 1970, ascending."""
    truth: list[str]
    """JSON, without line ends."""


class Output:
    """Collects the output. `number` is the next record's index in the stream, from 0."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self.number = 0
        self.truths: Counter[str] = Counter()
        self._block = Block([], [], [], [])
        self._dice = dice
        self._near: deque[tuple[int, str, bytes]] = deque(maxlen=NEAR)
        self._far: deque[tuple[int, str, bytes]] = deque(maxlen=FAR)

    def __len__(self) -> int:
        """Records in the current block."""
        return len(self._block.values)

    def emit(self, key: str, value: str, at: int) -> None:
        raw = value.encode()
        entry = (self.number, key, raw)
        self._near.append(entry)
        if self.number < FAR or not self.number % FAR_EVERY:
            self._far.append(entry)
        self.emit_raw(key.encode(), raw, at)

    def emit_raw(self, key: bytes | None, raw: bytes, at: int) -> None:
        """Emits a record that is never redelivered."""
        block = self._block
        block.keys.append(key)
        block.values.append(raw)
        block.times.append(at)
        self.number += 1

    def redeliver(self, at: int) -> bool:
        """Emits an earlier record again: one of the newest thousand or an old one. False if there is none yet."""
        known = self._near if self._dice() < 0.5 else self._far
        if not known:
            return False
        number, key, raw = known[int(self._dice() * len(known))]
        self.write_truth("duplicate", f'"record":{self.number},"of":{number},"event":"{key}"')
        self.emit_raw(key.encode(), raw, at)
        return True

    def write_truth(self, kind: str, members: str) -> None:
        """Adds a line to the truth."""
        self.truths[kind] += 1
        self._block.truth.append(f'{{"kind":"{kind}",{members}}}')

    def take(self) -> Block:
        """Returns the current block and starts the next."""
        block, self._block = self._block, Block([], [], [], [])
        return block


def moment(milliseconds: int) -> str:
    """RFC 3339, in UTC."""
    minute, rest = divmod(milliseconds, 60_000)
    return f"{_minute(minute)}{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    at = gmtime(minutes * 60)
    return f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}T{at.tm_hour:02d}:{at.tm_min:02d}:"
