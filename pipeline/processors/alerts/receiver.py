"""Receivers of alerts, as alerts.yaml names them; pipeline/notify/ notifies them."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline.config.document import StrictModel
from pipeline.processors.alerts.rule_fields import Duration, Name

Template = Literal["json", "slack"]
"""The templates that ship (notify/payloads.py)."""


class Receiver(StrictModel):
    """A webhook or an Alertmanager. Private, loopback and link-local addresses are refused unless `allow` names them: an
    address, a network (10.0.0.0/8) or a host name. Environment variables hold the secrets; alerts.yaml only names them."""

    name: Name
    type: Literal["webhook", "alertmanager"]
    url: str = ""
    url_env: str = ""
    """The environment variable that holds the URL, where the URL itself is a secret (Slack's)."""
    secret_env: str = ""
    """The environment variable that holds the key of the HMAC-SHA256 signature of a webhook."""
    template: Template | dict[str, object] = "json"
    """json: the alerts as they are. slack: `{"text": ...}`. Else any JSON, in which {text}, {rule}, {brand}, {state} ... of the
    first alert are filled in."""
    min_severity: int = Field(1, ge=1, le=10)
    allow: tuple[str, ...] = ()
    timeout: Duration = timedelta(seconds=10)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url:
            check_url(url)
        return url

    @field_validator("allow")
    @classmethod
    def _networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for entry in allow:
            try:
                ip_network(entry)
            except ValueError:
                if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", entry) or re.fullmatch(r"[\d.]+", entry):
                    raise ValueError(f"{entry!r} is no address, network or host name") from None
        return allow

    @model_validator(mode="after")
    def _one_url(self) -> Receiver:
        if bool(self.url) == bool(self.url_env):
            raise ValueError("a receiver has either url or url_env")
        if self.type == "alertmanager" and (self.secret_env or self.template != "json"):
            raise ValueError("an alertmanager has neither secret_env nor template")
        return self


def check_url(url: str) -> None:
    """Raises ValueError for anything but a plain http(s) URL; the message does not hold the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("a URL should look like https://host/path")
    if parts.username is not None:
        raise ValueError("a URL holds no user and password")


class Group(StrictModel):
    """A notification holds the changes of one group within `interval`; the first change is notified at once."""

    by: tuple[Literal["brand", "rule", "platform"], ...] = ("brand",)
    interval: Duration = timedelta(seconds=30)
