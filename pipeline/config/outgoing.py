"""The settings of requests to sources and receivers."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from pipeline.config.section import Section


class OutgoingSettings(Section):
    """Requests to sources and receivers. A proxy resolves the names of hosts, so that private addresses behind a name are its
    matter; a host that an `allow` names is reached without it."""

    proxy: SecretStr = Field(
        SecretStr(""), description="URL of an HTTP proxy, as http://proxy:3128 or http://user:password@proxy:3128; none: direct"
    )
    ca_file: Path | None = Field(None, description="CA certificates (PEM) that are accepted beside the system's")

    @field_validator("proxy")
    @classmethod
    def _http_proxy(cls, proxy: SecretStr) -> SecretStr:
        if (url := proxy.get_secret_value()) and not _is_http(url):
            raise ValueError("it should look like http://host:3128 or http://user:password@host:3128")
        return proxy


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # A path would be the rest of a password with an unquoted / or #.
        whole = parts.path in ("", "/") and not parts.query and not parts.fragment
        return whole and parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text holds parts of the URL
        return False
