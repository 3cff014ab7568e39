"""Business hours: what brands.yaml may say, and the calendar, against a walk from quarter to quarter."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import SettingsError
from pipeline.processors.mentions.brands import parse_brands
from pipeline.processors.mentions.business_hours import Calendar

FORM = 'write it as {mon-fri: "09:00-18:00", holidays: DE}'
QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ("mon-fri", FORM),
        ("[mon-fri]", FORM),
        ("{}", "name a day and its hours"),
        ("{holidays: DE}", "name a day and its hours"),
        ('{mon-fry: "09:00-18:00"}', "there is no day 'fry', did you mean 'fri'?"),
        ('{mon-fri: "09:00-18:00", holiday: DE}', "unknown key 'holiday', did you mean 'holidays'?"),
        ('{mon-fri: "09:00-18:00", fri: "09:00-18:00"}', "fri: it names a day that mon-fri names, too"),
        ('{mon-fri: "9-18"}', "mon-fri: '9-18' are no hours: it should look like 08:00-18:00"),
        ('{mon-fri: "18:00-18:00"}', "mon-fri: '18:00-18:00' begin when they end: the whole day is 00:00-24:00"),
        ('{mon-fri: "09:10-18:00"}', "mon-fri: '09:10-18:00': business hours begin and end at :00, :15, :30 or :45"),
        ('{mon-fri: ["09:00-12:00", "11:00-13:00"]}', "mon-fri: its hours overlap with others"),
        ('{sun: "22:00-08:00", mon: "07:00-09:00"}', "sun: its hours overlap with others"),
        ('{mon-fri: "09:00-18:00", holidays: Germany}', "holidays: there is no country 'Germany', did you mean 'DE'?"),
        ('{mon-fri: "09:00-18:00", holidays: UK}', "holidays: there is no country 'UK', did you mean 'GB'?"),
        ('{mon-fri: "09:00-18:00", holidays: XX}', "holidays: there is no country 'XX': it is a code of ISO 3166"),
        ('{mon-fri: "09:00-18:00", holidays: DE-BYE}', "holidays: DE has no part 'BYE', did you mean 'BY'?"),
        ('{mon-fri: "09:00-18:00", holidays: DE-XX}', "holidays: DE has no part 'XX': BB, BE"),
    ],
)
def test_what_is_wrong_is_one_line(hours: str, says: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_brands(f"brands: [{{name: A, hours: {hours}}}]".encode(), Path("brands.yaml"))
    assert str(error.value).startswith("brands.yaml: brands.0 (A): hours: " + says)
    assert "\n" not in str(error.value)


def test_norway_is_no_and_other_names_of_the_key_are_known() -> None:
    (brand,) = parse_brands(b'brands: [{name: A, hours: {mon: "09:00-18:00", holidays: NO}}]', Path("brands.yaml")).brands
    assert brand.hours == {"mon": ("09:00-18:00",), "holidays": ("NO",)}
    with pytest.raises(SettingsError, match="unknown key, did you mean 'hours'"):
        parse_brands(b"brands: [{name: A, opening_hours: {}}]", Path("brands.yaml"))


HOURS = {"mon-thu": ("09:00-12:00", "13:30-18:00"), "fri": ("22:00-03:00",), "sun": ("01:00-04:00",), "holidays": ("DE-BE",)}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_a_calendar_is_a_walk_from_quarter_to_quarter(zone: str) -> None:
    """A year with its changes of the clock. 8 March is a holiday in Berlin, and in few other parts of Germany."""
    spans = Calendar.of(HOURS, zone, 2021).spans()
    assert spans["opens"][0] == datetime(1995, 1, 1, tzinfo=UTC)
    assert spans["until"][-1] == (end := datetime(2022, 1, 1, tzinfo=UTC))
    assert (spans["opens"][1:] == spans["until"][:-1]).all()
    holidays = {(1, 1), (3, 8), (4, 2), (4, 5), (5, 1), (5, 13), (5, 24), (10, 3), (12, 25), (12, 26)}
    at, local = datetime(2021, 1, 1, tzinfo=UTC), ZoneInfo(zone)
    opens, rows = spans["opens"].to_list(), spans.rows()
    seconds = -1
    while at < end:
        began, closes, _, before = rows[bisect_right(opens, at) - 1]
        there = before + int((min(at, closes) - began).total_seconds())
        seconds = there if seconds < 0 else seconds
        assert there == seconds, at
        seconds += 900 * _open(at.astimezone(local), holidays)
        at += QUARTER


def _open(local: datetime, holidays: set[tuple[int, int]]) -> bool:
    minute, yesterday = local.hour * 60 + local.minute, local.replace(tzinfo=None) - timedelta(days=1)
    today = (local.month, local.day) not in holidays
    before = (yesterday.month, yesterday.day) not in holidays
    if local.weekday() <= 3:
        return today and (540 <= minute < 720 or 810 <= minute < 1080)
    late = {4: minute >= 1320, 5: False, 6: 60 <= minute < 240}[local.weekday()]
    return (today and late) or (before and yesterday.weekday() == 4 and minute < 180)


def test_equal_hours_are_one_calendar_and_no_hours_are_none() -> None:
    one = Calendar.of({"mon-tue": ("09:00-18:00",)}, "UTC", 2021)
    assert one == Calendar.of({"tue": ("9:00-18:00",), "mon": ("09:00-18:00",)}, "UTC", 2021)
    assert one.package == "" != Calendar.of(HOURS, "UTC", 2021).package
