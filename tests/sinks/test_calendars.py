"""Business hours in ClickHouse: what changes is written, and business seconds are those of a walk through the minutes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.processors.mentions.business_hours import Calendar
from pipeline.sinks.calendars import LOADS, changes

NOW = datetime(2026, 11, 1, tzinfo=UTC)
WEEK = {"mon-fri": ("09:00-18:00",), "holidays": ("DE",)}
NIGHT = {"mon-sun": ("22:00-02:00",)}


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def write(client: Client, later: int, **hours: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Writes and loads these hours in Berlin; returns the brands that changed."""
    ask = asker(client)
    wanted = {brand: Calendar.of(week, "Europe/Berlin", 2027) for brand, week in hours.items()}
    due = changes(lambda sql: ask(sql, {}), wanted, NOW + timedelta(seconds=later))
    for table, rows in due.rows:
        client.insert_arrow(table, rows.to_arrow())
    for statement in LOADS:
        client.command(statement)
    return due.brands


def numbers(client: Client) -> dict[str, int]:
    rows = client.query("SELECT brand, calendar FROM brand_calendars FINAL").result_rows
    return {brand: int(str(client.command(f"SELECT dictGet('calendar_of', 'calendar', '{brand}')"))) for brand, _ in rows}


def test_business_seconds_of_a_thread(client: Client) -> None:
    """Over a weekend, a holiday and a change of the clock; without hours every second counts."""
    assert write(client, 0, Acme=WEEK, Bolt=WEEK, Cast=NIGHT) == ["Acme", "Bolt", "Cast"]
    assert sorted(numbers(client).values()) == [1, 1, 2] or sorted(numbers(client).values()) == [1, 2, 2]
    spans = [
        (datetime(2026, 10, 23, 14, 7, 11, 125000, UTC), datetime(2026, 10, 26, 9, 0, 0, 500000, UTC)),
        (datetime(2026, 12, 23, 10, tzinfo=UTC), datetime(2026, 12, 28, 10, tzinfo=UTC)),
        (datetime(2026, 3, 28, 20, 50, tzinfo=UTC), datetime(2026, 3, 29, 0, 20, 30, tzinfo=UTC)),
    ]
    rows = [
        (brand, asked, n, "c", [n], [asked], [answered])
        for brand in ("Acme", "Cast", "Dune")
        for n, (asked, answered) in enumerate(spans)
    ]
    columns = ["brand", "opened", "conversation", "conversation_id", "answers", "asked_at", "answered_at"]
    client.insert("threads", rows, columns)
    found = client.query(
        "SELECT brand, answer_seconds[1], answer_business_seconds[1], first_business_seconds FROM threads FINAL "
        "ORDER BY brand, conversation"
    ).result_rows
    plain = [(answered - asked).total_seconds() for asked, answered in spans]
    of_week = [walk(asked, answered, "week") for asked, answered in spans]
    of_night = [walk(asked, answered, "night") for asked, answered in spans]
    assert [row[1] for row in found] == pytest.approx(plain * 3, abs=1e-9)
    assert [row[2] for row in found] == pytest.approx(of_week + of_night + plain, abs=1e-9)
    assert [row[3] for row in found] == [row[2] for row in found]
    assert of_week == pytest.approx([6768.875 + 3600.5, 25200.0 + 32400.0 + 7200.0, 0.0]), (
        "the eve of Christmas is a working day"
    )


def walk(begin: datetime, end: datetime, hours: str) -> float:
    """Second by second, but for the parts of a second at both ends."""
    zone, seconds, at = ZoneInfo("Europe/Berlin"), 0.0, begin
    while at < end:
        following = min(end, (at + timedelta(seconds=1)).replace(microsecond=0))
        local = at.astimezone(zone)
        free = (local.month, local.day) in ((10, 3), (12, 25), (12, 26))
        week = local.weekday() < 5 and not free and 9 <= local.hour < 18
        if week if hours == "week" else local.hour >= 22 or local.hour < 2:
            seconds += (following - at).total_seconds()
        at = following
    return seconds


def test_only_what_changes_is_written_and_numbers_are_used_again(client: Client) -> None:
    write(client, 0, Acme=WEEK, Bolt=NIGHT)
    before = numbers(client)
    assert sorted(before.values()) == [1, 2]
    assert write(client, 1, Acme=WEEK, Bolt=NIGHT) == []
    assert write(client, 2, Acme=WEEK) == ["Bolt"]
    assert numbers(client) == {"Acme": before["Acme"], "Bolt": 0}
    longer = {"mon-sat": ("08:00-20:00",)}
    assert write(client, 3, Acme=WEEK, Cast=longer) == ["Cast"]
    assert numbers(client)["Cast"] == before["Bolt"], "the number of Bolt's calendar is free"
    calendar = Calendar.of(longer, "Europe/Berlin", 2027).spans()
    stored = asker(client)(
        f"SELECT toUInt32(opens) AS opens, seconds FROM business_hours FINAL WHERE calendar = {before['Bolt']} ORDER BY opens",
        {},
    )
    assert stored["seconds"].to_list() == calendar["seconds"].to_list(), "nothing is left of the one before"
    assert stored["opens"].to_list() == calendar["opens"].dt.epoch("s").to_list()
    night = "SELECT dictGet('business_seconds', 'seconds', toUInt64({} * 2097152 + 4))"
    assert client.command(night.format(before["Acme"])) == 0
    assert write(client, 4, Acme=NIGHT, Cast=longer) == ["Acme"]
    assert numbers(client)["Acme"] == 3, "not the number that it has now: until all is loaded that one is read"
