"""Table alert_late_days: the newest state of a day counts, whatever the clock did meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.store import LateDay
from pipeline.sinks.alerts import AlertTables

DAY = LateDay(20_000, 28_800_000, 28_800_009)


@pytest.mark.parametrize("restart", [False, True])
def test_a_day_is_done_although_the_clock_was_set_back(emptied: Settings, restart: bool) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    fence = Fence(lambda: 0.0)
    fence.polled()
    with clickhouse_client(emptied.clickhouse) as client:
        tables = AlertTables(Inserter(client, fence, Vitals(), "alerts"))
        assert tables.late_days() == []
        tables.write_late_days([DAY], now, 0)
        if restart:
            tables = AlertTables(Inserter(client, fence, Vitals(), "alerts"))
        assert tables.late_days() == [DAY]
        tables.write_late_days([DAY._replace(done=True)], now - timedelta(hours=1), 0)
        assert tables.late_days() == []
