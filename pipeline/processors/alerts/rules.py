"""alerts.yaml: what is worth an alert, and who is told.

    receivers:
      - {name: chat, type: webhook, url_env: CHAT_URL, template: slack}
      - {name: incidents, type: webhook, url: "https://ops.example/hook", secret_env: HOOK_SECRET}
      - {name: alertmanager, type: alertmanager, url: "http://127.0.0.1:9093", allow: ["127.0.0.1"]}
    group: {by: [brand], interval: 30s}
    rules:
      - {name: volume, type: spike, by: [platform]}
      - {name: anger, type: threshold, measure: negative_share, above: 0.6, window: 15m, min_mentions: 30}
      - {name: crisis, type: keyword, words: {en: [recall, lawsuit], de: [rückruf]}}
      - {name: big-voice, type: reach, followers: 100000}
      - {name: copies, type: campaign, accounts: 15, window: 10m}
      - {name: quiet, type: no_data, of: platform, after: 1h}

Checked as a whole when it is read; an unknown key is an error. Durations are a number and s, m, h or d. docs/ops.md says what
each rule is for.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from pipeline.config import document
from pipeline.config.document import StrictModel, hint
from pipeline.processors.mentions.matching import term_text
from schemas import events

DEFAULT_RULES = Path(__file__).parents[2] / "alerts.yaml"
"""The rules that are in force where there is no other alerts.yaml."""
LONGEST_WINDOW = timedelta(hours=6)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*([smhd])", value.strip())):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} is no duration: it should look like 90s, 10m, 4h or 1d")


def _minutes(value: timedelta) -> timedelta:
    if value % timedelta(minutes=1) or not timedelta(minutes=1) <= value <= LONGEST_WINDOW:
        raise ValueError("a window is 1 to 360 whole minutes")
    return value


def _word(text: str) -> str:
    if not term_text(text):
        raise ValueError(f"{text!r} holds nothing to look for")
    return text


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Window = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_minutes)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Word = Annotated[str, AfterValidator(_word)]
Platform = Annotated[str, StringConstraints(pattern=events.PLATFORM_PATTERN)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Dimension = Literal["platform", "language"]


# --- receivers --------------------------------------------------------------------------------------------------------
class Receiver(StrictModel):
    """Who is told. Addresses that are private, loopback or link-local are refused unless `allow` names them: an address, a
    network (10.0.0.0/8) or a host name. Secrets are named by environment variables and never written here."""

    name: Name
    type: Literal["webhook", "alertmanager"]
    url: str = ""
    url_env: str = ""
    """The environment variable that holds the URL, where the URL itself is a secret (Slack's)."""
    secret_env: str = ""
    """The environment variable that holds the key of the HMAC-SHA256 signature of a webhook."""
    template: Literal["json", "slack"] | dict[str, Any] = "json"
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
    """Raises ValueError for what is no plain http(s) URL; the message does not hold the URL."""
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
    """Changes of one group that follow each other within `interval` are told together; the first is told at once."""

    by: tuple[Literal["brand", "rule", "platform"], ...] = ("brand",)
    interval: Duration = timedelta(seconds=30)


# --- rules ------------------------------------------------------------------------------------------------------------
class Rule(StrictModel):
    """What every type takes. A key that a type does not take is an error: it would do nothing."""

    name: Name
    receivers: tuple[Name, ...] = ()
    """Who is told; none: all."""
    repeat: Duration = timedelta(hours=4)
    """It is told again while it fires and nobody has acknowledged it."""
    runbook: str = ""


class Mentioning(Rule):
    """About what is said of brands."""

    brands: tuple[Text, ...] = ()
    """Of which brands; none: of all."""
    platforms: tuple[Platform, ...] = ()
    resolve: Duration = timedelta(minutes=10)
    """It is over when it has not been true for so long."""


class Windowed(Mentioning):
    by: tuple[Dimension, ...] = ()
    """One alert a brand, or a brand and platform, and language."""
    languages: tuple[Language, ...] = ()
    min_mentions: int = Field(10, ge=1)
    persistence: Duration = timedelta(0)
    """It fires when it has been true for so long."""


class SpikeRule(Windowed):
    """Volume, or the share of negative ones, is not what is expected at this time (docs/spikes.md); over five minutes."""

    type: Literal["spike"]
    measure: Literal["volume", "negative_share"] = "volume"
    direction: Literal["above", "below"] = "above"
    resolve: Duration = timedelta(hours=1)
    severity: int = Field(1, ge=1, le=10)
    """The least severity that counts."""


ADDED_UP = ("followers", "likes", "shares", "replies")
NUMBERS = {"count": "mentions", "authors": "authors"}


class ThresholdRule(Windowed):
    """A number over a window is above or below a limit."""

    type: Literal["threshold"]
    measure: Literal["count", "authors", "negative_share", "score", "followers", "likes", "shares", "replies"]
    aggregate: Literal["sum", "mean"] = "sum"
    """Of followers, likes, shares and replies."""
    window: Window = timedelta(minutes=10)
    above: float | None = None
    below: float | None = None
    severity: int = Field(5, ge=1, le=10)

    @property
    def asks_least(self) -> bool:
        """Whether `min_mentions` counts: of a share or a mean; in a sum `above` or `below` says how much it has to be."""
        return self.measure in ("negative_share", "score") or self.aggregate == "mean"

    @model_validator(mode="after")
    def _one_limit(self) -> ThresholdRule:
        if (self.above is None) == (self.below is None):
            raise ValueError("a threshold has either above or below")
        if "aggregate" in self.model_fields_set and self.measure not in ADDED_UP:
            raise ValueError(f"aggregate: it is for {', '.join(ADDED_UP)}, and does nothing to {self.measure}")
        if "min_mentions" in self.model_fields_set and not self.asks_least:
            what = f"a sum of {self.measure}" if self.measure in ADDED_UP else f"a number of {NUMBERS[self.measure]}"
            raise ValueError(f"min_mentions: it is for shares and means; of {what}, above or below says all")
        return self


class KeywordRule(Mentioning):
    """A word that means trouble, in what others write about a brand; by language, `any` for all."""

    type: Literal["keyword"]
    words: dict[Language | Literal["any"], Annotated[tuple[Word, ...], Field(min_length=1)]] = Field(min_length=1)
    severity: int = Field(7, ge=1, le=10)


class ReachRule(Mentioning):
    """One event that many see: its author's followers, or its own likes, shares and replies together."""

    type: Literal["reach"]
    followers: int | None = Field(None, ge=1)
    engagement: int | None = Field(None, ge=1)
    negative: bool = True
    """Only what is labelled negative."""
    severity: int = Field(6, ge=1, le=10)

    @model_validator(mode="after")
    def _some(self) -> ReachRule:
        if self.followers is None and self.engagement is None:
            raise ValueError("reach asks for followers, engagement or both")
        return self


class CampaignRule(Mentioning):
    """The same text, give or take, from many accounts."""

    type: Literal["campaign"]
    accounts: int = Field(10, ge=3)
    window: Window = timedelta(minutes=10)
    severity: int = Field(6, ge=1, le=10)


class NoDataRule(Rule):
    """Nothing has come for so long from a platform, a source or about a brand that talked within the week before."""

    type: Literal["no_data"]
    of: Literal["platform", "source", "brand"] = "platform"
    names: tuple[Text, ...] = ()
    """Of which; none: of all that talked within the week before."""
    after: Duration = timedelta(hours=1)
    severity: int = Field(4, ge=1, le=10)
    resolve: ClassVar[timedelta] = timedelta(0)
    """It is over as soon as data comes: no key."""

    @model_validator(mode="after")
    def _names_of_platforms(self) -> NoDataRule:
        for name in self.names if self.of == "platform" else ():
            if not re.fullmatch(events.PLATFORM_PATTERN, name):
                raise ValueError(f"names: {name!r} is no platform's name: it has small letters, digits, _ and -")
        return self

    @field_validator("after")
    @classmethod
    def _long_enough(cls, after: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= after <= timedelta(days=7):
            raise ValueError("it is 1 minute to 7 days")
        return after


def _present_type(rule: Any) -> Any:
    if isinstance(rule, dict) and rule.get("type") == "silence":
        raise ValueError("type: silence is named no_data now; nothing else about the rule changes")
    return rule


AnyRule = Annotated[
    SpikeRule | ThresholdRule | KeywordRule | ReachRule | CampaignRule | NoDataRule,
    Field(discriminator="type"),
    BeforeValidator(_present_type),
]


def brands_of(rule: AnyRule) -> tuple[str, ...]:
    """The brands that it names."""
    if isinstance(rule, NoDataRule):
        return rule.names if rule.of == "brand" else ()
    return rule.brands


def platforms_of(rule: AnyRule) -> tuple[str, ...]:
    """The platforms that it names."""
    if isinstance(rule, NoDataRule):
        return rule.names if rule.of == "platform" else ()
    return rule.platforms


class Alerts(StrictModel):
    """The whole file."""

    receivers: tuple[Receiver, ...] = ()
    group: Group = Group()
    rules: tuple[AnyRule, ...] = Field((), max_length=1_000)

    @model_validator(mode="after")
    def _consistent(self) -> Alerts:
        for what, names in (("receivers", [r.name for r in self.receivers]), ("rules", [r.name for r in self.rules])):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{what}: {count} are named {name}")
        known = {receiver.name for receiver in self.receivers}
        for rule in self.rules:
            for name in rule.receivers:
                if name not in known:
                    raise ValueError(f"rule {rule.name}: receivers: there is no {name!r}{hint(name, known)}")
        return self

    def rule(self, name: str) -> AnyRule | None:
        return next((rule for rule in self.rules if rule.name == name), None)

    def receivers_of(self, rule: str) -> tuple[Receiver, ...]:
        """The receivers that are notified of this rule's alerts."""
        found = self.rule(rule)
        return tuple(r for r in self.receivers if found is None or not found.receivers or r.name in found.receivers)


def load_rules(path: Path) -> Alerts:
    """Reads alerts.yaml. Raises SettingsError, one line that names the file, the rule and the key."""
    return document.load(path, Alerts)


def parse_rules(content: bytes, path: Path) -> Alerts:
    """What the content of `path` says. Raises as `load_rules`."""
    return document.parse(content, path, Alerts)
