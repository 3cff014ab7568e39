"""Settings of the console."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config.section import Section


class ConsoleSettings(Section):
    host: str = Field("127.0.0.1", description="address that the console listens on")
    port: int = Field(9405, ge=0, le=65535, description="its port; 0: any that is free")
    users: Path | None = Field(
        None, description="users.yaml: who logs in with a password; none: only links of `earshot console login`"
    )
    public_url: str = Field("", description="under which browsers reach it behind a proxy, as https://earshot.example")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of the proxies that ask it; beyond loopback nobody else may"
    )
    certificate: Path | None = Field(None, description="its own certificate, with the chain, where no proxy speaks TLS")
    key: Path | None = Field(None, description="the key of certificate")
    idle_hours: float = Field(8, gt=0, le=168, description="after so long without a request, a person is logged out")
    clickhouse_user: str = Field("console", description="ClickHouse's user that its pages ask as: reads, and nothing else")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="the password of clickhouse_user")

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url.rstrip("/"))
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.username):
            raise ValueError("it should look like https://earshot.example, without a path")
        return f"{parts.scheme}://{parts.netloc.lower()}" if url else ""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is no address or network, as 10.0.0.7 or 10.0.0.0/24") from None
        return networks

    @model_validator(mode="after")
    def _pair(self) -> ConsoleSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self
