"""Who is notified of a change, with its explanation or without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from pipeline.control import notifier as notifier_module
from pipeline.errors import EarshotError, SettingsError
from pipeline.notify.delivery_log import Sent
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Alert, State
from tests.support.control_parts import Parts
from tests.support.notify import Hook, after, alert, config, hook, until


@pytest.fixture(autouse=True)
def no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules about windows start without ClickHouse."""
    monkeypatch.setattr(Windows, "learn", lambda *_: None)


Explanation = tuple[tuple[str, ...], tuple[int, ...]]


def just_raised(**fields: Any) -> Alert:
    made = alert(**fields)
    return replace(made, raised_at=made.changed_at, terms=(), samples=())


class Explain:
    """Stands for `explain`: answers when the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, result: Explanation | Exception) -> None:
        self.may, self._result = threading.Event(), result
        monkeypatch.setattr(notifier_module, "explain", self)

    def __call__(self, *_: object) -> Explanation:
        assert self.may.wait(10)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


@asynccontextmanager
async def notifying(rules: Alerts, *standing: Alert) -> AsyncIterator[Parts]:
    parts = Parts(rules, standing)
    with parts.serving() as generation:
        async with parts.notifier.notifying([], generation, cast(Any, None)):
            yield parts


async def sent_terms(server: Hook, count: int) -> list[tuple[str, ...]]:
    await until(lambda: len(server.changes) == count)
    return [tuple(each["terms"]) for request in server.taken for each in request.json["alerts"]]


async def test_an_explanation_that_comes_in_time_is_in_the_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    explain = Explain(monkeypatch, (("kettle", "leaks"), (1, 2)))
    explain.may.set()
    one = just_raised()
    async with hook() as server, notifying(config({"name": "ops", "url": server.url}), one) as parts:
        parts.notifier.publish([one])
        assert await sent_terms(server, 1) == [("kettle", "leaks")]
    assert parts.log == ["publish volume Acme firing", "write volume Acme firing", "publish volume Acme firing"]


async def test_an_explanation_that_takes_too_long_comes_after_the_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier_module, "EXPLAIN_S", 0.05)
    explain, one = Explain(monkeypatch, (("kettle",), (1,))), just_raised()
    async with hook() as server, notifying(config({"name": "ops", "url": server.url}), one) as parts:
        parts.notifier.publish([one])
        assert await sent_terms(server, 1) == [()]
        assert parts.log == ["publish volume Acme firing"]
        explain.may.set()
        await until(lambda: len(parts.log) == 3)
        # It is a change of its own: in the tables and the topic, and in the next notification.
        resolved = after(parts.evaluator.lifecycle.open[0], State.RESOLVED)
        parts.notifier.publish([resolved])
        assert await sent_terms(server, 2) == [(), ("kettle",)]


async def test_an_alert_that_cannot_be_explained_is_notified_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Explain(monkeypatch, EarshotError("ClickHouse is away")).may.set()
    one = just_raised()
    async with hook() as server, notifying(config({"name": "ops", "url": server.url}), one) as parts:
        parts.notifier.publish([one])
        assert await sent_terms(server, 1) == [()]
    assert "is not explained: ClickHouse is away" in caplog.text


async def test_an_explanation_that_fails_late_opens_no_alert_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier_module, "EXPLAIN_S", 0.05)
    explain, one = Explain(monkeypatch, EarshotError("ClickHouse is away")), just_raised()
    async with hook() as server, notifying(config({"name": "ops", "url": server.url}), one) as parts:
        parts.notifier.publish([one])
        await until(lambda: len(server.changes) == 1)
        parts.notifier.publish([after(one, State.RESOLVED)])
        await until(lambda: len(server.changes) == 2)
        explain.may.set()
        await asyncio.sleep(0.3)
        assert server.states(one) == ["firing", "resolved"]


async def test_a_process_that_stands_by_publishes_and_notifies_nobody() -> None:
    async with hook() as server:
        parts = Parts(config({"name": "ops", "url": server.url}))
        parts.notifier.publish([just_raised()])
        assert parts.log == ["publish volume Acme firing"] and not server.requests


async def test_past_the_lease_the_topic_forgets_what_kafka_has_not_taken() -> None:
    async with hook() as server, notifying(config({"name": "ops", "url": server.url})) as parts:
        parts.leader.lease.leaving()
    assert parts.log == ["forget"]


async def test_receivers_are_checked_when_control_starts_and_when_rules_are_reloaded() -> None:
    lacking = config({"name": "ops", "url_env": "NO_SUCH_VARIABLE"})
    with pytest.raises(SettingsError, match="NO_SUCH_VARIABLE"):
        Parts(lacking)
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        parts = Parts(rules)
        with pytest.raises(SettingsError, match="NO_SUCH_VARIABLE"):
            parts.notifier.use(lacking)
        async with notifying(rules) as leading:
            with pytest.raises(SettingsError, match="NO_SUCH_VARIABLE"):
                leading.notifier.use(lacking)
            leading.notifier.publish([alert(muted="", state=State.FIRING, test=True)])
            await until(lambda: len(server.changes) == 1)


async def test_rules_that_come_while_it_begins_to_lead_are_those_of_its_receivers() -> None:
    async with hook() as old, hook() as new:
        parts = Parts(config({"name": "ops", "url": old.url}))
        with parts.serving() as generation:
            parts.notifier.use(config({"name": "ops", "url": new.url}))
            async with parts.notifier.notifying([], generation, cast(Any, None)):
                parts.notifier.publish([alert(test=True)])
                await until(lambda: len(new.changes) == 1)
        assert not old.requests


async def test_rules_that_come_while_it_reads_the_delivery_log_are_those_of_its_receivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with hook() as old, hook() as new:
        parts, standing = Parts(config({"name": "ops", "url": old.url})), [alert(muted="", state=State.FIRING)]

        def last_sent(*_: object) -> dict[tuple[int, str], Sent]:
            parts.notifier.use(config({"name": "ops", "url": new.url}))
            return {}

        monkeypatch.setattr(notifier_module, "last_sent", last_sent)
        monkeypatch.setattr(notifier_module, "last_held", lambda *_: {})
        with parts.serving() as generation:
            async with parts.notifier.notifying(standing, generation, cast(Any, None)):
                await until(lambda: len(new.changes) == 1)
        assert not old.requests
