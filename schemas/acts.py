"""Acts of people, as table `acts` has them: who did what, how, of what, why, and what came of it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from schemas.times import utc_now

Way = Literal["console", "api", "command line"]
DONE, STOPPED = "done", "stopped by Ctrl-C"
COLUMNS = ("at", "id", "actor", "way", "act", "subject", "before", "after", "comment", "outcome")


@dataclass(slots=True)
class Act:
    """One act. Who records it fills in what is known at its end."""

    actor: str
    way: Way
    act: str
    """In a word or two: acknowledge, pause source."""
    subject: str = ""
    comment: str = ""
    before: object = None
    """How it was, as JSON takes it; None: nothing was, or nothing is kept of it."""
    after: object = None
    outcome: str = DONE
    """`done`, or why it failed."""
    at: datetime = field(default_factory=utc_now)
    id: int = field(default_factory=lambda: secrets.randbits(64))

    def row(self) -> list[object]:
        """Its values in the order of COLUMNS."""
        texts = {name: _text(getattr(self, name)) for name in ("before", "after")}
        return [texts.get(name, getattr(self, name)) for name in COLUMNS]


def _text(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
