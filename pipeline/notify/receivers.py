"""Receivers: how one message is sent, and what its answer means.

Failures are of two kinds:

- No answer, a timeout, 408, 429 and 5xx: the receiver fails. Everything for it waits, longer each time (1 s to 5 min), or as
  long as its Retry-After says.
- Another status, a redirect, a refused address: `permanent`. The receiver does not accept this message; it is tried again
  seldom (5 min to 1 h), because somebody may mend the receiver, and newer alerts do not wait behind it.

Nothing is given up. No URL or secret is logged or put into an error: a webhook's URL often is a secret itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from pydantic import SecretStr
from yarl import URL

from pipeline.clock import Clock, wall
from pipeline.errors import SettingsError
from pipeline.http.addresses import Allowed
from pipeline.http.answer import retry_after_s
from pipeline.http.failures import AddressRefused, OutgoingError, TimedOut
from pipeline.http.lookups import Resolver
from pipeline.http.outgoing import DIRECT, Limits, Outgoing
from pipeline.http.route import Route
from pipeline.notify import payloads
from pipeline.notify.payloads import Message
from pipeline.processors.alerts.receiver import Receiver, check_url
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert

LONGEST_RETRY_AFTER_S = 3600.0
HOLD = timedelta(minutes=5)
"""For so long Alertmanager takes an alert for firing without getting it again."""
_RETRIED = {408, 425, 429}


class Outcome(NamedTuple):
    """Of one try."""

    sent: bool
    reason: str
    """The status, or why there is none: `204`, `timeout`, `refused: 127.0.0.1 is loopback`. Never the URL."""
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait; 0: it does not."""
    permanent: bool = False


class Sender(Protocol):
    """Sends to one receiver."""

    async def send(self, alerts: Sequence[Alert], delivery: str) -> Outcome:
        """One try; `delivery` names the changes, the same at each try. Raises CancelledError alone."""

    async def close(self) -> None:
        """Ends its connections."""
        ...


@dataclass(frozen=True)
class Outside:
    """The surroundings of a sender."""

    environ: Mapping[str, str]
    clock: Clock = wall
    lookup: Resolver | None = None
    """None: the system's."""
    route: Route = DIRECT


def check(alerts: Alerts, environ: Mapping[str, str]) -> None:
    """Raises SettingsError, one line with the receiver and its problem: a variable that is not set or holds no URL, a name in
    its template that does not exist."""
    for receiver in alerts.receivers:
        _url(receiver, environ)
        _secret(receiver, environ)
        if unknown := payloads.placeholders(receiver.template) - payloads.FIELDS.keys():
            raise SettingsError(f"receiver {receiver.name}: template: there is no {{{min(unknown)}}}")


def make_sender(receiver: Receiver, alerts: Alerts, outside: Outside) -> Sender:
    """To be called, and closed, in a running event loop. Raises SettingsError as `check` does."""
    return (Webhook if receiver.type == "webhook" else Alertmanager)(receiver, alerts, outside)


class Webhook:
    """Posts JSON by the receiver's template, signed if there is a secret."""

    def __init__(self, receiver: Receiver, alerts: Alerts, outside: Outside) -> None:
        self._receiver = receiver
        self._secret = SecretStr(_secret(receiver, outside.environ))
        self._clock = outside.clock
        self._by = alerts.group.by
        self._runbooks = {rule.name: rule.runbook for rule in alerts.rules if rule.runbook}
        self._http = _Http(_url(receiver, outside.environ), receiver, outside)

    async def send(self, alerts: Sequence[Alert], delivery: str) -> Outcome:
        message = Message(self._receiver.name, alerts, group_of(alerts[0], self._by), self._runbooks)
        body = payloads.body(message, self._receiver.template)
        timestamp = str(int(self._clock()))
        headers = {"X-Earshot-Timestamp": timestamp, "X-Earshot-Delivery": delivery}
        if secret := self._secret.get_secret_value():
            headers["X-Earshot-Signature"] = payloads.sign(secret, timestamp, body)
        return await self._http.post(body, headers)

    async def close(self) -> None:
        await self._http.close()


class Alertmanager:
    """Posts to API v2. An alert stays firing there for HOLD: open alerts have to be sent again before it is over."""

    def __init__(self, receiver: Receiver, alerts: Alerts, outside: Outside) -> None:
        self._name = receiver.name
        self._clock = outside.clock
        self._runbooks = {rule.name: rule.runbook for rule in alerts.rules if rule.runbook}
        self._http = _Http(_url(receiver, outside.environ).rstrip("/") + "/api/v2/alerts", receiver, outside)

    async def send(self, alerts: Sequence[Alert], delivery: str) -> Outcome:
        now = datetime.fromtimestamp(self._clock(), UTC)
        body = payloads.alertmanager_body(Message(self._name, alerts, {}, self._runbooks), now, HOLD)
        return await self._http.post(body, {"X-Earshot-Delivery": delivery})

    async def close(self) -> None:
        await self._http.close()


def group_of(alert: Alert, by: Sequence[str]) -> dict[str, str]:
    """The values of `group.by` that alerts in one message have in common."""
    return {name: alert.rule if name == "rule" else getattr(alert.scope, name) for name in by}


class _Http:
    """A POST whose answer is an Outcome. Each has a connection of its own: an address is never older than its check."""

    def __init__(self, url: str, receiver: Receiver, outside: Outside) -> None:
        self._url, self._allow = url, Allowed.of(receiver.allow)
        self._limits = Limits(receiver.timeout.total_seconds(), body=None, redirects=0)
        self._client = Outgoing(outside.route, outside.lookup, keep_alive=False)
        self._clock = outside.clock

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        headers = {"Content-Type": "application/json", "User-Agent": "earshot", **headers}
        try:
            answer = await self._client.request(
                "POST", self._url, headers=headers, body=body, limits=self._limits, allow=self._allow
            )
        except AddressRefused as refused:
            return Outcome(False, f"refused: {refused}", permanent=True)
        except TimedOut:
            return Outcome(False, "timeout")
        except OutgoingError as error:
            return Outcome(False, str(error))
        status = answer.status
        if 200 <= status < 300:
            return Outcome(True, str(status))
        if 300 <= status < 400:
            return Outcome(False, f"{status}: redirects are not followed", permanent=True)
        if status in _RETRIED or status >= 500:
            return Outcome(False, str(status), retry_after_s(answer.headers, self._clock(), LONGEST_RETRY_AFTER_S))
        return Outcome(False, str(status), permanent=True)

    async def close(self) -> None:
        await self._client.close()


def _url(receiver: Receiver, environ: Mapping[str, str]) -> str:
    url = _variable(receiver, "url_env", receiver.url_env, environ) if receiver.url_env else receiver.url
    try:
        check_url(url)
        return str(URL(url))
    except ValueError as error:
        # yarl's texts hold the URL.
        why = str(error) if str(error).startswith("a URL") else "it is no URL"
        raise SettingsError(f"receiver {receiver.name}: {receiver.url_env or 'url'}: {why}") from None


def _secret(receiver: Receiver, environ: Mapping[str, str]) -> str:
    return _variable(receiver, "secret_env", receiver.secret_env, environ) if receiver.secret_env else ""


def _variable(receiver: Receiver, key: str, name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"receiver {receiver.name}: {key}: there is no environment variable {name}")
    return value
