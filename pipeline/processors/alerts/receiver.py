"""Receivers of alerts, as alerts.yaml names them; pipeline/notify/ notifies them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline.config.document import StrictModel
from pipeline.config.fields import Duration, Name, check_reachable
from pipeline.processors.alerts.hours import Hours, in_hours
from schemas.alerts import Alert

Template = Literal["json", "slack"]
"""The templates that ship (notify/payloads.py)."""


_ALWAYS = "{severity: 8} or {rules: [vip]}; to hear at any hour, leave out `when`"


class Always(StrictModel):
    """The alerts that a receiver gets at any hour: those of this severity or more, and those of these rules."""

    severity: int | None = Field(None, ge=1, le=10)
    rules: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Always:
        if self.severity is None and not self.rules:
            raise ValueError("it names a severity, rules or both")
        return self

    def names(self, rule: str, severity: int) -> bool:
        """Whether it names an alert of this rule and severity."""
        return rule in self.rules or (self.severity is not None and severity >= self.severity)


class Escalation(StrictModel):
    """Nobody has acknowledged an alert for so long while it fires: these receivers are notified, too."""

    after: Duration
    to: tuple[Name, ...] = Field(min_length=1, json_schema_extra={"misnamed": ["receivers"]})

    @field_validator("after")
    @classmethod
    def _some_time(cls, after: timedelta) -> timedelta:
        if not after:
            raise ValueError("it is 1 second at least: receivers that are notified at once are in `receivers`")
        return after


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
    when: Hours = ()
    """Its hours; none given: any time. Out of them it is notified of nothing but the alerts that `always` names."""
    always: Always | None = Field(None, json_schema_extra={"as": _ALWAYS})
    allow: tuple[str, ...] = ()
    timeout: Duration = timedelta(seconds=10)

    @field_validator("type", mode="before")
    @classmethod
    def _is_no_template(cls, type_: object) -> object:
        if type_ in get_args(Template):
            raise ValueError(f"write type: webhook, template: {type_}")
        return type_

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url:
            check_url(url)
        return url

    @field_validator("allow")
    @classmethod
    def _networks(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_reachable(entry) for entry in allow)

    @model_validator(mode="after")
    def _one_url(self) -> Receiver:
        if bool(self.url) == bool(self.url_env):
            raise ValueError("a receiver has either url or url_env")
        if self.type == "alertmanager" and (self.secret_env or self.template != "json"):
            raise ValueError("an alertmanager has neither secret_env nor template")
        if self.type == "alertmanager" and self.when:
            # It takes an alert for resolved that it does not get again and again.
            raise ValueError("an alertmanager has no `when`: its own time_intervals say who is notified at which hours")
        if self.always and not self.when:
            raise ValueError("`always` goes with `when`: without hours a receiver gets every alert")
        return self

    def hears(self, alert: Alert, at: datetime) -> bool:
        """Whether it may be notified of the alert at this moment."""
        named = self.always is not None and self.always.names(alert.rule, alert.severity)
        return named or in_hours(self.when, at)


def remembered(receivers: Iterable[Receiver]) -> timedelta:
    """For how long after its end an alert may still be news: longer than a receiver's hours are apart."""
    return timedelta(days=8 if any(receiver.when for receiver in receivers) else 1)


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
