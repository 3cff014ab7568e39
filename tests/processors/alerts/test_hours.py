"""Hours of receivers: by the wall clock of a zone, over midnight, and over both changes of summer time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.processors.alerts import audience
from pipeline.processors.alerts.audience import uncovered_hours
from pipeline.processors.alerts.hours import MINUTE, When, in_hours, next_in_hours, text_of
from pipeline.processors.alerts.rules import Alerts

BERLIN = "Europe/Berlin"
OFFICE = {"days": ["mon-fri"], "hours": "08:00-18:00", "zone": BERLIN}
NIGHT = {"days": ["mon-fri"], "hours": "18:00-08:00", "zone": BERLIN}
WEEKEND = {"days": ["sat", "sunday"], "zone": BERLIN}
SUMMER, WINTER = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)
"""Sundays on which Berlin's clock changes, at 01:00 UTC."""


def when(**keys: Any) -> When:
    return When.model_validate(keys)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        (OFFICE, ["2026-11-27 08:00", "2026-11-27 17:59", "2026-07-03 08:00"],
         ["2026-11-27 07:59", "2026-11-27 18:00", "2026-11-28 12:00"]),
        (NIGHT, ["2026-11-23 18:00", "2026-11-28 07:59"], ["2026-11-28 08:00", "2026-11-23 07:59", "2026-11-27 12:00"]),
        ({"days": ["sat-mon"], "zone": BERLIN}, ["2026-11-28 00:00", "2026-11-30 23:59"],
         ["2026-12-01 00:00", "2026-11-27 23:59"]),
        ({"hours": "22:00-24:00", "zone": BERLIN}, ["2026-11-28 23:59"], ["2026-11-28 00:00", "2026-11-28 21:59"]),
        ({"days": ["sun"], "hours": "22:00-02:00", "zone": BERLIN}, ["2026-11-30 01:59"],
         ["2026-11-29 01:59", "2026-11-30 02:00"]),
        ({"zone": BERLIN}, ["2026-11-28 03:00"], []),
    ],
)  # fmt: skip
def test_days_and_hours_are_those_of_the_wall_clock(hours: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    assert [when(**hours).holds(berlin(at)) for at in inside] == [True] * len(inside)
    assert [when(**hours).holds(berlin(at)) for at in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("day", "hours", "lasts"),
    [
        (SUMMER, "00:00-08:00", 7), (WINTER, "00:00-08:00", 9), (SUMMER, "02:00-03:00", 0), (WINTER, "02:00-03:00", 2),
        (SUMMER, "08:00-18:00", 10), (WINTER, "08:00-18:00", 10),
    ],
)  # fmt: skip
def test_a_change_of_summer_time_makes_hours_longer_or_shorter(day: datetime, hours: str, lasts: int) -> None:
    """Of the day that begins at midnight in Berlin."""
    begin = day.astimezone(ZoneInfo(BERLIN)).replace(hour=0).astimezone(UTC)
    minutes = [begin + n * MINUTE for n in range(25 * 60)]
    local = [at for at in minutes if at.astimezone(ZoneInfo(BERLIN)).date() == day.date()]
    assert sum(when(hours=hours, zone=BERLIN).holds(at) for at in local) == lasts * 60


@pytest.mark.parametrize(
    ("hours", "at", "begin"),
    [
        ([OFFICE], "2026-11-27 18:00", "2026-11-30 08:00"),
        ([OFFICE], "2026-11-27 07:00", "2026-11-27 08:00"),
        ([OFFICE], "2026-03-27 18:00", "2026-03-30 08:00"),  # over the change to summer time
        ([OFFICE], "2026-10-23 18:00", "2026-10-26 08:00"),
        ([OFFICE], "2026-11-27 12:34", "2026-11-27 12:34"),
        ([NIGHT, WEEKEND], "2026-11-27 12:00", "2026-11-27 18:00"),
        ([NIGHT, WEEKEND], "2026-11-28 12:00", "2026-11-28 12:00"),
        ([], "2026-11-28 12:00", "2026-11-28 12:00"),
    ],
)
def test_the_next_moment_in_hours(hours: list[dict[str, Any]], at: str, begin: str) -> None:
    parsed = [when(**each) for each in hours]
    assert next_in_hours(parsed, berlin(at)) == berlin(begin)
    assert in_hours(parsed, berlin(begin))


@settings(deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.integers(0, 1439),
    st.integers(1, 1439),
    st.sampled_from(["mon", "sat-mon", "mon-sun", "sun"]),
)
def test_the_next_moment_is_the_first_by_the_minute(at: datetime, zone: str, start: int, lasts: int, days: str) -> None:
    end = (start + lasts) % 1440
    each = when(days=[days], hours=f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}", zone=zone)
    at = at.replace(second=0, microsecond=0, tzinfo=UTC)
    found = next_in_hours([each], at)
    assert each.holds(found)
    wait = (found - at) // MINUTE
    early = [n for n in range(0, wait, 7) if each.holds(at + n * MINUTE)]
    # Within an hour that the clock skips the first minutes may be missed, on that day.
    skipped = any(
        (at + n * MINUTE).astimezone(ZoneInfo(zone)).utcoffset() != found.astimezone(ZoneInfo(zone)).utcoffset()
        for n in range(max(0, wait - 120), wait)
    )
    assert not early or skipped


def test_hours_are_written_as_people_write_them() -> None:
    assert text_of([when(**OFFICE), when(**WEEKEND)]) == (
        "mon-fri 08:00-18:00 Europe/Berlin and sat, sunday 00:00-24:00 Europe/Berlin"
    )
    assert text_of([when(hours="08:00-18:00")]) == "08:00-18:00 UTC"


# --- hours at which nobody is notified --------------------------------------------------------------------------------
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def uncovered(*receivers: dict[str, Any], rule: dict[str, Any] | None = None) -> list[str]:
    named = [{"name": f"r{n}", "type": "webhook", "url": "https://ops.example/x", **each} for n, each in enumerate(receivers)]
    rules = [{"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, **(rule or {})}]
    config = Alerts.model_validate({"receivers": named, "rules": rules})
    return uncovered_hours(config, config.rules[0], NOW)


def test_the_hours_at_which_nobody_is_notified() -> None:
    assert uncovered({"when": OFFICE})[0] == "fri 18:00 to mon 08:00 Europe/Berlin"
    assert uncovered({"when": OFFICE}) == [
        f"{begin} 18:00 to {end} 08:00 Europe/Berlin"
        for begin, end in (("fri", "mon"), ("mon", "tue"), ("tue", "wed"), ("wed", "thu"), ("thu", "fri"))
    ]
    assert uncovered({"when": OFFICE}, {"when": NIGHT}) == ["sat 08:00 to mon 08:00 Europe/Berlin"]
    assert uncovered({"when": OFFICE}, {"when": [NIGHT, WEEKEND]}) == ["mon 00:00 to mon 08:00 Europe/Berlin"]
    nights = {"hours": "18:00-08:00", "zone": BERLIN}
    assert uncovered({"when": OFFICE}, {"when": [nights, WEEKEND]}) == []


def test_the_hours_of_many_receivers_are_worked_out_once_for_all_rules() -> None:
    hours = [{"when": {"days": ["mon"], "hours": f"0{n // 60}:{n % 60:02d}-18:00", "zone": BERLIN}} for n in range(100)]
    before = audience._minutes.cache_info().misses
    assert uncovered(*hours) == uncovered(*hours) == ["mon 18:00 to mon 00:00 Europe/Berlin"]
    assert audience._minutes.cache_info().misses == before + len(hours)


def test_who_is_notified_at_any_hour_leaves_no_gap() -> None:
    assert uncovered() == uncovered({}) == uncovered({"when": OFFICE}, {}) == []
    assert uncovered({"when": OFFICE, "always": {"severity": 7}}) == []
    assert uncovered({"when": OFFICE, "always": {"rules": ["crisis"]}}) == []
    assert uncovered({"when": OFFICE, "always": {"severity": 8}}) != []
    assert uncovered({"when": OFFICE}, {"min_severity": 8}) != [], "it never gets these alerts"
    assert uncovered({"when": OFFICE}, {}, rule={"escalate": {"after": "15m", "to": ["r1"]}}) == []
    assert uncovered({"when": OFFICE}, {}, rule={"receivers": ["r0"]}) != []


def test_two_zones_may_leave_a_gap_in_some_weeks_only() -> None:
    """Between the changes of New York and Berlin their distance is five hours, not six."""
    east = {"hours": "08:00-20:00", "zone": BERLIN}
    west = {"hours": "14:00-02:00", "zone": "America/New_York"}
    gaps = uncovered({"when": east}, {"when": west})
    assert gaps and all("07:00 to" in gap and gap.endswith("08:00 Europe/Berlin") for gap in gaps)
