"""Broken records, each with a part of the reason that step decode gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import xxhash

from pipeline.generate.output import moment
from pipeline.generate.world import SOURCE, World


class Break(NamedTuple):
    """One way to break a record."""

    reason: str
    keyed: bool
    """Whether platform and id stay readable."""
    apply: Callable[[bytes], bytes]


BREAKS = (
    Break("truncated", False, lambda value: value[: len(value) // 2]),
    Break("id is missing", False, lambda value: value.replace(b'"id":', b'"identifier":', 1)),
    Break("kind is not one of", True, lambda value: value.replace(b'"kind":"', b'"kind":"un', 1)),
    Break("created_at is outside 1995", True, lambda value: value.replace(b'"created_at":"20', b'"created_at":"00', 1)),
    Break("created_at is not an RFC 3339 time", True, lambda value: value.replace(b'"created_at":"', b'"created_at":"on ', 1)),
    Break("$.text", True, lambda value: value.replace(b'"text":', b'"text":{},"text":', 1)),
    Break("trailing", False, lambda value: value + value),
    Break("empty", False, lambda value: b""),
    Break("malformed", False, lambda value: b"<html><body>502 Bad Gateway</body></html>"),
    Break("malformed", False, lambda value: value.replace(b'"source":{', b'"rating":NaN,"source":{', 1)),
)


class Broken:
    def __init__(self, world: World) -> None:
        self._world = world

    def make(self) -> None:
        world = self._world
        account, voice = world.texts.pick(world.people.draws["twitter"]), world.voice()
        text, _ = world.texts.about(voice, account.language, "negative")
        ident = world.next_id()
        value = (
            f'{{"id":"{ident}","platform":"twitter","kind":"post","created_at":"{moment(world.at)}",'
            f'"text":"{text}",{account.author},{SOURCE}}}'
        )
        broken = world.texts.pick(BREAKS)
        raw = broken.apply(value.encode())
        key = f"twitter:{ident}" if broken.keyed else ""
        content = xxhash.xxh3_64_intdigest(raw)
        members = f'"record":{world.out.number},"reason":"{broken.reason}","content":"{content}"'
        world.out.write_truth("broken", members + (f',"event":"{key}"' if key else ""))
        world.out.emit_raw(key.encode() or None, raw, world.at)
