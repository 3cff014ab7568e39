"""Where and as whom the pages read ClickHouse."""

from __future__ import annotations

from pipeline.config.settings import ClickHouseSettings, Settings


def as_console(settings: Settings) -> ClickHouseSettings:
    """ClickHouse of these settings, as user `console`."""
    console = settings.console
    login = {"user": console.clickhouse_user, "password": console.clickhouse_password}
    return settings.clickhouse.model_copy(update=login)
