"""Settings of the console."""

from __future__ import annotations

from pydantic import Field, SecretStr

from pipeline.config.section import Section


class ConsoleSettings(Section):
    clickhouse_user: str = Field("console", description="user name with which the console reads, at clickhouse.url")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="the password of clickhouse_user")
