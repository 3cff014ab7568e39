"""`earshot rollups rebuild`: what control answers meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.config.settings import Settings
from pipeline.errors import EarshotError
from pipeline.maintenance import rollups as module
from pipeline.maintenance.rollups import rebuild

DAY = datetime(2026, 9, 30, tzinfo=UTC)


def rebuilt(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> list[tuple[int, int]]:
    """The progress of a rebuild to which control answers that."""
    left, shown = iter(answers), list[tuple[int, int]]()
    monkeypatch.setattr(module, "ask_api", lambda *_: next(left))
    monkeypatch.setattr(module, "POLL_S", 0.0)
    rebuild(Settings(), DAY, None, lambda done, total: shown.append((done, total)))
    return shown


def test_a_control_that_knows_of_no_rebuild_has_done_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed in the midst of it, or one that stands by answers: the command said that all was made anew."""
    began, some, done = ({"of": 96, "left": left, "failed": ""} for left in (96, 40, 0))
    assert rebuilt(monkeypatch, began, some, done) == [(0, 96), (56, 96), (96, 96)]
    with pytest.raises(EarshotError, match="ended before its end: control was restarted, or another one answers"):
        rebuilt(monkeypatch, began, some, {"of": 0, "left": 0, "failed": ""})
