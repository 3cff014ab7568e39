"""Escalations and hours: who is notified when, once, over restarts; the clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.notify.context import Timing
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State
from tests.support.notify import Hook, Memory, Seen, TimedDispatcher, after, alert, always, config, dispatching, hook, well

FIRING, ACKNOWLEDGED, RESOLVED = State.FIRING, State.ACKNOWLEDGED, State.RESOLVED
NIGHT = datetime(2026, 11, 26, 20, tzinfo=UTC)
"""A Thursday, after work; the hours are those of UTC, 08:00 to 18:00 from Monday to Friday."""
OFFICE = {"days": ["mon-fri"], "hours": "08:00-18:00"}
HOUR = 3600
TO_MORNING = 12 * HOUR
SLOW = Timing(remind=60.0)


def escalated(first: Alert) -> Alert:
    now = datetime.now(UTC).replace(microsecond=0)
    return first.change(now, escalated_at=now)


def receivers(first: Hook, later: Hook, **keys: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return {"name": "chat", "url": first.url}, {"name": "pager", "url": later.url, **keys}


RULE: dict[str, Any] = {"receivers": ["chat"], "escalate": {"after": "15m", "to": ["pager"]}}


@asynccontextmanager
async def notified_at_night(rules: Alerts, *changes: Alert) -> AsyncIterator[TimedDispatcher]:
    """A dispatcher that is notified of these changes out of hours."""
    async with dispatching(rules, began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
        for change in changes:
            dispatcher.notify(change)
        yield dispatcher


# --- escalation -------------------------------------------------------------------------------------------------------
async def test_the_next_receivers_are_notified_once_and_of_the_end() -> None:
    store, first = Memory(), alert()
    later = escalated(first)
    async with hook() as chat, hook() as pager:
        async with dispatching(config(*receivers(chat, pager), **RULE), store) as dispatcher:
            dispatcher.notify(first)
            await dispatcher.passes(5)
            assert chat.states(first) == ["firing"] and not pager.requests
            same = later.change(datetime.now(UTC), observed=200.0)
            for change in (later, same):
                dispatcher.notify(change)
                await dispatcher.passes(5)
            assert chat.states(first) == pager.states(first) == ["firing"]
            said = pager.taken[0].json["alerts"][0]
            assert said["escalated_at"] and said["version"] == 2
            time = int(later.escalated_at.timestamp()) if later.escalated_at else 0
            assert pager.taken[0].headers["X-Earshot-Delivery"] == f"{first.hex}-escalated-{time}"
            dispatcher.notify(after(same, RESOLVED))
            await dispatcher.passes(5)
        assert chat.states(first) == pager.states(first) == ["firing", "resolved"]
    assert [(row.receiver, row.version, row.sent) for row in store.rows] == [
        ("chat", 1, True), ("pager", 2, True), ("chat", 4, True), ("pager", 4, True),
    ]  # fmt: skip


async def test_a_receiver_that_knows_the_alert_is_notified_of_its_escalation_too() -> None:
    first = alert()
    rule: dict[str, Any] = {"receivers": ["chat", "pager"], "escalate": {"after": "15m", "to": ["pager"]}}
    async with hook() as chat, hook() as pager, dispatching(config(*receivers(chat, pager), **rule)) as dispatcher:
        for change in (first, escalated(first)):
            dispatcher.notify(change)
            await dispatcher.passes(5)
        assert chat.states(first) == ["firing"] and pager.states(first) == ["firing", "firing"]
        assert [bool(request.json["alerts"][0]["escalated_at"]) for request in pager.taken] == [False, True]


async def test_without_receivers_a_rule_notifies_those_of_its_escalation_later() -> None:
    first = alert()
    rule: dict[str, Any] = {"escalate": {"after": "15m", "to": ["pager"]}}
    async with hook() as chat, hook() as pager, dispatching(config(*receivers(chat, pager), **rule)) as dispatcher:
        dispatcher.notify(first)
        await dispatcher.passes(5)
        assert chat.states(first) == ["firing"] and not pager.requests
        dispatcher.notify(alert(2, test=True))
        await dispatcher.passes(5)
        assert len(chat.taken) == 2 and len(pager.taken) == 1, "a test reaches them all"


async def test_an_acknowledgement_before_a_receiver_could_be_reached_ends_the_escalation() -> None:
    first = alert()
    later = escalated(first)
    async with hook() as chat, hook() as pager:
        rules = config(*receivers(chat, pager, when=OFFICE), **RULE)
        async with notified_at_night(rules, first, later, after(later, ACKNOWLEDGED)) as dispatcher:
            await dispatcher.passes(TO_MORNING + HOUR)
        assert chat.states(first) == ["firing", "acknowledged"] and not pager.requests


async def test_after_a_crash_an_escalation_is_repeated_under_the_same_name_or_not_at_all() -> None:
    """Before its record was written, another process finds a later version of the alert."""
    store, first = Memory(), alert()
    later = escalated(first)
    newer = later.change(datetime.now(UTC), observed=150.0)
    async with hook() as chat, hook() as pager:
        rules = config(*receivers(chat, pager), **RULE)
        async with dispatching(rules, store) as dispatcher:
            dispatcher.notify(first)
            await dispatcher.passes(1)
        async with dispatching(rules, Memory()) as dispatcher:  # its records are lost
            await dispatcher.resume([later], store.sent([first, later]))
            await dispatcher.passes(1)
        for _ in range(3):
            async with dispatching(rules, store) as dispatcher:
                await dispatcher.resume([newer], store.sent([first, later, newer]))
                await dispatcher.passes(1)
        assert len({request.headers["X-Earshot-Delivery"] for request in pager.taken}) == 1
        assert len(pager.taken) == 2 and chat.states(first) == ["firing"]


async def test_an_escalation_waits_for_a_receiver_that_is_down() -> None:
    seen, first = Seen(), alert()
    async with hook() as chat, hook(always(503)) as pager:
        async with dispatching(config(*receivers(chat, pager), **RULE), seen=seen) as dispatcher:
            dispatcher.notify(first)
            dispatcher.notify(escalated(first))
            await dispatcher.until(lambda: len(pager.requests) > 3)
            pager.answer = well
            await dispatcher.until(lambda: pager.taken)
        assert pager.states(first) == ["firing"]
    assert [receiver for *_, receiver, _ in seen.accepted] == ["chat"], "an escalation is no measure of how fast it is"


# --- hours ------------------------------------------------------------------------------------------------------------
async def test_out_of_hours_nothing_is_sent_and_what_is_still_open_is_sent_once_when_they_begin() -> None:
    store, seen = Memory(), Seen()
    stays, ends, acked, muted = (alert(n) for n in range(4))
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE})
        async with dispatching(rules, store, seen, began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
            for one in (stays, ends, acked, muted):
                dispatcher.notify(one)
            grown = after(stays, FIRING, severity=9)
            for change in (grown, after(ends, RESOLVED), after(acked, ACKNOWLEDGED), after(muted, FIRING, muted="silence 1")):
                dispatcher.notify(change)
            await dispatcher.passes(TO_MORNING - 61)
            assert not chat.requests
            await dispatcher.passes(122)
            assert sorted(chat.changes) == sorted([(stays.hex, 2, "firing"), (acked.hex, 2, "acknowledged")])
            await dispatcher.passes(HOUR)
            assert len(chat.changes) == 2
    assert {row.reason for row in store.rows if not row.sent} == {"out of hours: mon-fri 08:00-18:00 UTC"}
    assert sum(not row.sent for row in store.rows) == 4 and not seen.accepted


async def test_the_end_of_an_alert_that_was_notified_waits_for_the_hours() -> None:
    known, unknown = alert(1), alert(2)
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE})
        began = NIGHT.timestamp() - 3 * HOUR  # at 17:00
        async with dispatching(rules, began=began, timing=SLOW) as dispatcher:
            dispatcher.notify(known)
            await dispatcher.passes(3 * HOUR)
            dispatcher.notify(after(known, RESOLVED))
            dispatcher.notify(unknown)
            dispatcher.notify(after(unknown, RESOLVED))
            await dispatcher.passes(TO_MORNING - 61)
            assert chat.states(known) == ["firing"]
            await dispatcher.passes(122)
        assert chat.changes == [(known.hex, 1, "firing"), (known.hex, 2, "resolved")]


@pytest.mark.parametrize(("severity", "names"), [(8, {"severity": 8}), (3, {"rules": ["volume"]}), (3, {"severity": 8})])
async def test_what_always_names_is_sent_at_any_hour(severity: int, names: dict[str, Any]) -> None:
    first = alert(severity=severity)
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE, "always": names})
        async with dispatching(rules, began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
            for change in (first, after(first, RESOLVED)):
                dispatcher.notify(change)
                await dispatcher.passes(60)
        named = severity == 8 or "rules" in names
        assert chat.states(first) == (["firing", "resolved"] if named else [])


async def test_reminders_keep_the_hours() -> None:
    first = alert()
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE}, repeat="4h")
        async with dispatching(rules, began=NIGHT.timestamp() - 4 * HOUR, timing=SLOW) as dispatcher:
            dispatcher.notify(first)
            await dispatcher.passes(4 * HOUR + TO_MORNING - 61)
            assert len(chat.taken) == 1
            await dispatcher.passes(122)
            assert len(chat.taken) == 2
            await dispatcher.passes(4 * HOUR - 122)
            assert len(chat.taken) == 2


async def test_a_change_that_could_not_be_sent_before_the_hours_ended_waits() -> None:
    first = alert()
    async with hook(always(503)) as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE})
        async with dispatching(rules, began=NIGHT.timestamp() - 2 * HOUR - 30, timing=SLOW) as dispatcher:  # at 17:59:30
            dispatcher.notify(first)
            await dispatcher.passes(60)
            tries = len(chat.requests)
            assert tries
            chat.answer = well
            await dispatcher.passes(2 * HOUR + TO_MORNING - 120)
            assert len(chat.requests) == tries
            await dispatcher.passes(420)
        assert chat.states(first) == ["firing"]


async def test_over_restarts_what_waits_for_the_hours_is_sent_once() -> None:
    store = Memory()
    known, fresh, over = (alert(n) for n in range(3))
    made = [known, fresh, over]
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE})
        now = NIGHT.timestamp() - 3 * HOUR
        async with dispatching(rules, store, began=now, timing=SLOW) as dispatcher:
            dispatcher.notify(known)
            await dispatcher.passes(60)
        ended = after(known, RESOLVED)
        for state in ([known, fresh, over], [ended, fresh, after(over, RESOLVED)], [ended, fresh, after(over, RESOLVED)]):
            now += 4 * HOUR
            async with dispatching(rules, store, began=now, timing=SLOW) as dispatcher:
                rows = len(store.rows)
                await dispatcher.resume(state, store.sent([*made, ended]), store.held())
                again = {(row.alert_key, row.version, row.receiver) for row in store.rows[:rows]}
                assert not again & {(row.alert_key, row.version, row.receiver) for row in store.rows[rows:]}
                await dispatcher.passes(600)
            assert len(chat.changes) == 1
        for _ in range(2):
            async with dispatching(rules, store, began=(NIGHT + timedelta(hours=13)).timestamp(), timing=SLOW) as dispatcher:
                await dispatcher.resume([ended, fresh, after(over, RESOLVED)], store.sent([*made, ended]))
                await dispatcher.passes(600)
        assert sorted(chat.changes) == sorted([(known.hex, 1, "firing"), (known.hex, 2, "resolved"), (fresh.hex, 1, "firing")])


async def test_a_take_over_writes_no_row_again_and_holds_nothing_up() -> None:
    store, open_ = Memory(), [alert(n) for n in range(50)]
    rules = config(*({"name": f"chat{n}", "url": "https://127.0.0.1:9", "when": OFFICE} for n in range(10)))
    for process in range(3):
        async with dispatching(rules, store, began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
            resuming = asyncio.create_task(dispatcher.resume(open_, store.sent(open_), store.held()))
            turns = 0
            while not resuming.done():
                await asyncio.sleep(0)
                turns += 1
            await resuming
        assert len(store.rows) == 500, f"process {process}"
        assert turns >= len(open_)


async def test_other_hours_count_from_the_reload_on() -> None:
    first = alert()
    async with hook() as chat:
        given = {"name": "chat", "url": chat.url}
        async with dispatching(config({**given, "when": OFFICE}), began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
            dispatcher.notify(first)
            await dispatcher.passes(120)
            assert not chat.requests
            dispatcher.use(config(given))
            await dispatcher.passes(120)
        assert chat.states(first) == ["firing"]


# --- versions and tests -----------------------------------------------------------------------------------------------
async def test_an_older_version_drops_no_change_that_waits_for_the_hours() -> None:
    """A failed explanation may notify the first version again."""
    first = alert(severity=4)
    grown = after(first, FIRING, severity=9)
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE, "min_severity": 6})
        async with notified_at_night(rules, first, grown, first) as dispatcher:
            await dispatcher.passes(TO_MORNING + HOUR)
        assert chat.states(first) == ["firing"]


async def test_an_older_version_drops_no_escalation_that_waits_for_the_hours() -> None:
    first = alert()
    later = escalated(first)
    async with hook() as chat, hook() as pager:
        rules = config(*receivers(chat, pager, when=OFFICE), **RULE)
        async with notified_at_night(rules, first, later, first) as dispatcher:
            await dispatcher.passes(TO_MORNING / 2)
            dispatcher.use(rules)  # offers the newest version once more
            await dispatcher.passes(TO_MORNING / 2 + HOUR)
        assert pager.states(first) == ["firing"] and pager.taken[0].json["alerts"][0]["escalated_at"]


async def test_a_test_out_of_hours_is_never_sent() -> None:
    one, store = alert(test=True), Memory()
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url, "when": OFFICE})
        async with dispatching(rules, store, began=NIGHT.timestamp(), timing=SLOW) as dispatcher:
            dispatcher.notify(one)
            await dispatcher.passes(60)
            dispatcher.notify(after(one, RESOLVED))
            await dispatcher.passes(TO_MORNING + HOUR)
        assert not chat.requests
    assert [(row.version, row.sent, row.reason[:12]) for row in store.rows] == [(1, False, "out of hours")]


async def test_a_test_and_its_end_are_sent_once_over_restarts() -> None:
    one, store = alert(test=True), Memory()
    over = after(one, RESOLVED)
    async with hook() as chat:
        rules = config({"name": "chat", "url": chat.url})
        for change in (one, one, over, over):
            async with dispatching(rules, store, timing=SLOW) as dispatcher:
                await dispatcher.resume([change], store.sent([one, over]))
                await dispatcher.passes(30)
        assert chat.states(one) == ["firing", "resolved"]
