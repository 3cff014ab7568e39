"""What a platform's mapper has to do with payloads, for tests/sources/platforms/test_mappers.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.registry import mapper
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, table

Seen = list[Observation | LeftOut]


@dataclass(frozen=True)
class Mapped:
    """Of one platform."""

    platform: str
    payloads: Mapping[str, tuple[object, Seen]]
    """By a name: a payload in words of our own, and all that is observed in it, written by hand."""
    unreadable: Sequence[object]
    """Payloads of another shape."""
    origin: Origin = Origin()
    folder: str = ""
    """Of recorded payloads."""
    recorded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How many of each kind are observed in each of its files (`table`), by the end of its name."""
    longest: int = 40
    """Letters of the kind of what is left out: a mapper's own words, and none of a payload's."""

    def seen(self, payload: object, origin: Origin | None = None) -> Seen:
        """All that is observed, without the originals."""
        found = mapper(self.platform)(payload, self.origin if origin is None else origin)
        return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]

    def check(self, name: str) -> None:
        """The payload is these events, and the pipeline would take each."""
        payload, observed = self.payloads[name]
        assert self.seen(payload) == observed
        self._check_each(observed)

    def check_garbled(self, name: str) -> None:
        """Whatever is broken in the payload raises Unreadable or is left out: no event is one that the pipeline refuses."""
        for broken in garbled(self.payloads[name][0], 300):
            try:
                found = self.seen(broken)
            except Unreadable:
                continue
            self._check_each(found)

    def check_recorded(self) -> None:
        """The recorded files are so many events."""
        files = sorted((RECORDED / "platforms" / self.folder).glob("*.json"))
        assert {self._name(path): dict(self._of_file(path)) for path in files} == self.recorded

    def _of_file(self, path: Path) -> Mapping[str, int]:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        observed = list(mapper(self.platform)(orjson.loads(content), self.origin if self.folder == "helpdesk" else Origin()))
        self._check_each(observed)
        return table(observed)

    def _name(self, path: Path) -> str:
        return next((name for name in self.recorded if path.name.endswith(name)), path.name)

    def _check_each(self, observed: Seen) -> None:
        for each in observed:
            if isinstance(each, LeftOut):
                assert len(each.kind) <= self.longest
            else:
                assert orjson.dumps(each.event)
                check(self.platform, each)
