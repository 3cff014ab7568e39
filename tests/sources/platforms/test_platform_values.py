"""Values as platforms write them."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms.values import event, fits, name_of, time_of


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-11-28T12:00:00Z", "2026-11-28T12:00:00Z"),
        ("2026-11-28T12:00:00.000Z", "2026-11-28T12:00:00Z"),
        ("2026-11-28T12:00:00.250Z", "2026-11-28T12:00:00.250Z"),
        ("2026-11-28T12:00:00.123456789Z", "2026-11-28T12:00:00.123Z"),
        ("2026-11-28T14:00:00+02:00", "2026-11-28T12:00:00Z"),
        ("2026-11-28 12:00:00Z", "2026-11-28T12:00:00Z"),
        ("2026-W48-6T12:00:00Z", "2026-11-28T12:00:00Z"),
        ("2026-11-28T12:00:00,250Z", "2026-11-28T12:00:00.250Z"),
        ("2026-11-28T12:00:00", None),
        ("2026-13-45T99:00:00Z", None),
        ("abcd-ef-ghTij:kl:mnZ", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (1_795_176_000, None),
        (None, None),
    ],
)
def test_times(value: object, time: str | None) -> None:
    assert time_of(value) == time


def test_names_are_short() -> None:
    assert name_of("mira") == "mira"
    assert [name_of(value) for value in ("", " ", 5, None, "x" * 501, "é" * 251)] == [None] * 6
    assert name_of("é" * 250) == "é" * 250
    assert fits("\ud800" * 166, 500) and not fits("\ud800" * 167, 500)


def test_an_event_has_the_fields_with_a_value() -> None:
    assert event(a=0, b=False, c="", d=None, e={}, f=[], g=[0]) == {"a": 0, "b": False, "c": "", "g": [0]}
