"""Who is told of what, when, and that nobody waits for another or loses anything."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import SettingsError
from pipeline.notify import outbox
from pipeline.notify.receiver_queue import Timing
from schemas.alerts import Alert, Scope, State
from tests.support.notify import QUICK, Hook, Memory, Request, Seen, after, alert, always, config, deliveries, hook, until, well

FIRING, ACKNOWLEDGED, RESOLVED = State.FIRING, State.ACKNOWLEDGED, State.RESOLVED


def _has_taken(server: Hook, change: Alert) -> bool:
    return (change.hex, change.version, change.state) in server.told


def _took(server: Hook, requests: int) -> bool:
    return len(server.taken) == requests


async def test_an_alert_is_told_at_once_acknowledged_and_resolved() -> None:
    seen, store = Seen(), Memory()
    async with hook() as server, deliveries(config({"name": "ops", "url": server.url}), store, seen) as told:
        first = alert()
        acknowledged = after(first, ACKNOWLEDGED)
        for change in (first, acknowledged, after(acknowledged, RESOLVED)):
            told.tell(change)
            await until(partial(_has_taken, server, change))
        assert server.states(first) == ["firing", "acknowledged", "resolved"]
        assert [request.headers["X-Earshot-Delivery"] for request in server.taken] == [f"{first.hex}-{n}" for n in (1, 2, 3)]
        await until(lambda: len(seen.accepted) == 3)
        assert [(key, version, receiver) for key, version, receiver, _ in seen.accepted] == [
            (first.hex, version, "ops") for version in (1, 2, 3)
        ]
        assert all(0 <= seconds < 1 for *_, seconds in seen.accepted)
        assert [(row.version, row.attempt, row.sent, row.reason) for row in store.rows] == [
            (n, n, True, "204") for n in (1, 2, 3)
        ]


async def test_a_slow_receiver_delays_no_other() -> None:
    async def slow(request: Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    async with hook(slow) as tortoise, hook() as hare:
        rules = config({"name": "slow", "url": tortoise.url, "timeout": "1s"}, {"name": "fast", "url": hare.url})
        seen = Seen()
        async with deliveries(rules, seen=seen) as told:
            started = time.monotonic()
            for n in range(20):
                told.tell(alert(n))
                await until(partial(_took, hare, n + 1))
            assert time.monotonic() - started < 1.0
            await until(lambda: seen.reasons("slow")[:1] == ["timeout"])


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured(as_date: bool) -> None:
    async def busy(request: Request) -> web.Response:
        when = format_datetime(datetime.fromtimestamp(time.time() + 2, UTC), usegmt=True) if as_date else "1"
        return web.Response(status=429, headers={"Retry-After": when})

    seen = Seen()
    async with hook(busy) as server, deliveries(config({"name": "ops", "url": server.url}), seen=seen) as told:
        told.tell(alert())
        await until(lambda: server.requests)
        server.answer = well
        await until(lambda: server.taken)
        assert len(server.requests) == 2 and server.taken[0].at - server.requests[0].at >= 0.95
        assert seen.reasons("ops") == ["429", "204"]


async def test_a_receiver_that_is_down_for_long_loses_nothing_and_has_one_incident_each() -> None:
    """Rests of 20 to 100 ms for 1 s to 5 min: a second here is ten minutes and more."""
    store = Memory()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, interval="1s")
        await server.stop()
        async with deliveries(rules, store) as told:
            opened = [alert(n, scope=Scope(f"brand{n % 3}")) for n in range(120)]
            for one in opened:
                told.tell(one)
            ended = [after(one, RESOLVED) for one in opened[:40]]
            for n, one in enumerate(ended):
                told.tell(one)
                await asyncio.sleep(0.025 if n else 0)
            await server.start()
            await until(lambda: len({key for key, _, _ in server.told}) == 120)
            await until(lambda: sum(state == "resolved" for _, _, state in server.told) == 40)
        assert all(server.states(one) == ["firing", "resolved"] for one in opened[:40])
        assert all(server.states(one) == ["firing"] for one in opened[40:])
        assert len(server.taken) <= 6, "told together, each brand's"
        assert {"Connection refused", "waits: the receiver is unwell", "204"} == {row.reason for row in store.rows}


async def test_what_lies_between_the_opening_and_the_newest_change_is_superseded() -> None:
    async with hook(always(503)) as server, deliveries(config({"name": "ops", "url": server.url})) as told:
        first = alert()
        acknowledged = after(first, ACKNOWLEDGED)
        told.tell(first)
        await until(lambda: server.requests)
        told.tell(acknowledged)
        told.tell(after(acknowledged, RESOLVED))
        await asyncio.sleep(0.1)
        server.answer = well
        await until(lambda: server.taken)
        assert [request.told for request in server.taken] == [[(first.hex, 1, "firing"), (first.hex, 3, "resolved")]]
        assert server.taken[0].headers["X-Earshot-Delivery"] == f"{first.hex}-1,{first.hex}-3"


async def test_a_change_that_comes_while_the_one_before_is_on_its_way_is_told_after_it() -> None:
    go = asyncio.Event()

    async def held(request: Request) -> web.Response:
        await go.wait()
        return web.Response()

    async with hook(held) as server, deliveries(config({"name": "ops", "url": server.url})) as told:
        first = alert()
        told.tell(first)
        await until(lambda: server.requests)
        told.tell(after(first, RESOLVED))
        go.set()
        await until(lambda: len(server.taken) == 2)
        assert [request.told for request in server.taken] == [[(first.hex, 1, "firing")], [(first.hex, 2, "resolved")]]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_a_refused_change_keeps_no_newer_one_waiting(status: int) -> None:
    bad, good = alert(1), alert(2)

    async def picky(request: Request) -> web.Response:
        return web.Response(status=status if any(key == bad.hex for key, _, _ in request.told) else 200)

    seen = Seen()
    async with hook(picky) as server, deliveries(config({"name": "ops", "url": server.url}), seen=seen) as told:
        told.tell(bad)
        await until(lambda: seen.tries)
        told.tell(good)
        await until(lambda: server.states(good))
        assert not server.states(bad)
        server.answer = well
        await until(lambda: server.states(bad))
        assert server.states(bad) == server.states(good) == ["firing"]


async def test_of_a_message_that_is_refused_the_good_ones_are_told_at_once() -> None:
    alerts = [alert(n) for n in range(6)]

    async def picky(request: Request) -> web.Response:
        return web.Response(status=400 if any(key == alerts[2].hex for key, _, _ in request.told) else 200)

    long = replace(QUICK, refused=(60.0, 60.0))
    async with hook(picky) as server, deliveries(config({"name": "ops", "url": server.url}), timing=long) as told:
        for one in alerts:
            told.tell(one)
        await until(lambda: len(server.told) == 5)
        assert not server.states(alerts[2])


async def test_a_receiver_that_fails_over_one_alert_is_told_of_the_others() -> None:
    bad, good = alert(1, scope=Scope("bad")), alert(2, scope=Scope("good"))

    async def broken(request: Request) -> web.Response:
        return web.Response(status=500 if any(key == bad.hex for key, _, _ in request.told) else 200)

    async with hook(broken) as server, deliveries(config({"name": "ops", "url": server.url})) as told:
        told.tell(bad)
        told.tell(good)
        await until(lambda: server.states(good))


async def test_a_group_is_told_together_the_first_at_once() -> None:
    async with hook() as server, deliveries(config({"name": "ops", "url": server.url}, interval="1s")) as told:
        started = time.monotonic()
        told.tell(alert(0))
        await until(lambda: server.taken)
        assert time.monotonic() - started < 0.5
        others = [alert(n) for n in (1, 2, 3)]
        for one in others:
            told.tell(one)
            await asyncio.sleep(0.05)
        told.tell(alert(4, scope=Scope("Other")))
        await until(lambda: len(server.taken) == 2)
        assert server.taken[1].json["group"] == {"brand": "Other"} and time.monotonic() - started < 0.9
        await until(lambda: len(server.taken) == 3)
        assert [key for key, _, _ in server.taken[2].told] == [one.hex for one in others]
        assert server.taken[2].at - server.taken[0].at >= 0.95


async def test_a_message_holds_no_more_than_it_may() -> None:
    async with hook(always(503)) as server, deliveries(config({"name": "ops", "url": server.url}, interval="30s")) as told:
        for n in range(120):
            told.tell(alert(n))
        await until(lambda: server.requests)
        server.answer = well
        await until(lambda: len(server.told) == 120)
        assert sorted(len(request.told) for request in server.taken) == [20, 50, 50]


@pytest.mark.parametrize(
    "fields", [{"muted": "silence 1"}, {"historical": True}, {"state": State.PENDING}, {"severity": 4}, {"state": RESOLVED}]
)
async def test_who_should_not_be_told_is_not(fields: dict[str, Any]) -> None:
    async with hook() as server:
        async with deliveries(config({"name": "ops", "url": server.url, "min_severity": 5})) as told:
            told.tell(alert(**fields))
            told.tell(after(alert(**fields), RESOLVED, historical=fields.get("historical", False)))
        assert not server.requests


async def test_a_rule_names_who_is_told() -> None:
    async with hook() as named, hook() as other:
        rules = config({"name": "named", "url": named.url}, {"name": "other", "url": other.url}, receivers=["named"])
        async with deliveries(rules) as told:
            told.tell(alert())
        assert named.told and not other.requests


async def test_what_grows_is_told_and_what_only_changes_is_not() -> None:
    async with hook() as server, deliveries(config({"name": "ops", "url": server.url, "min_severity": 5})) as told:
        small = alert(severity=3)
        grown = after(small, FIRING, severity=6)
        same = after(grown, FIRING, severity=5, observed=130.0)
        bigger = after(same, FIRING, severity=8)
        for change in (small, grown, same, bigger, after(bigger, RESOLVED, severity=1)):
            told.tell(change)
            await asyncio.sleep(0.05)
        await until(lambda: len(server.told) == 3)
        assert [version for _, version, _ in server.told] == [2, 4, 5]


async def test_an_incident_that_was_opened_is_closed_also_when_it_is_muted_by_then() -> None:
    async with hook() as server, deliveries(config({"name": "ops", "url": server.url})) as told:
        first = alert()
        told.tell(first)
        await until(lambda: server.taken)
        muted = after(first, FIRING, severity=9, muted="silence 1")
        told.tell(muted)
        await asyncio.sleep(0.1)
        assert len(server.told) == 1
        told.tell(after(muted, RESOLVED))
        await until(lambda: server.states(first) == ["firing", "resolved"])


async def test_the_same_change_is_told_once() -> None:
    async with hook() as server:
        async with deliveries(config({"name": "ops", "url": server.url})) as told:
            for _ in range(3):
                told.tell(alert())
                await asyncio.sleep(0.05)
        assert len(server.told) == 1


async def test_what_fires_on_is_told_again_until_somebody_looks_after_it() -> None:
    now = 1_800_000_000.0
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, repeat="1h")
        seen = Seen()
        async with deliveries(rules, seen=seen, clock=lambda: now) as told:
            first = alert()
            told.tell(first)
            told.tell(alert(2, muted="silence"))
            await until(lambda: len(server.taken) == 1)
            now += 3599
            await asyncio.sleep(0.2)
            assert len(server.taken) == 1
            for n in (2, 3):
                now += 3601
                await until(partial(_took, server, n))
            reminder = server.taken[1]
            assert reminder.told == [(first.hex, 1, "firing")]
            assert reminder.headers["X-Earshot-Delivery"] == f"{first.hex}-1-1800003600"
            told.tell(after(first, ACKNOWLEDGED))
            await until(lambda: len(server.taken) == 4)
            now += 99_999
            await asyncio.sleep(0.2)
            assert len(server.taken) == 4 and len(seen.accepted) == 2


async def test_after_a_crash_between_telling_and_its_log_it_is_told_again() -> None:
    store = Memory()
    first = alert()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        async with deliveries(rules, Memory()) as told:
            told.tell(first)
            await until(lambda: server.taken)
        async with deliveries(rules, store) as told:
            told.resume([first], store.sent([first]))
            await until(lambda: len(server.taken) == 2)
        ids = {request.headers["X-Earshot-Delivery"] for request in server.taken}
        assert len(ids) == 1, "so that the receiver knows it is the same"
        assert server.taken[0].told == server.taken[1].told


async def test_after_a_crash_what_was_told_is_not_told_again_and_the_rest_is() -> None:
    store = Memory()
    told_one, waits, grew, ended, quiet = (alert(n) for n in range(5))
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        async with deliveries(rules, store) as told:
            for one in (told_one, grew, ended):
                told.tell(one)
            await until(lambda: len(server.told) == 3)
            await server.stop()
            told.tell(waits)
            await until(lambda: any(not row.sent for row in store.rows))
            told.tell(quiet)  # it ends while the receiver is unwell, and was never tried
        made = [told_one, waits, grew, ended, quiet]
        now = [
            told_one,
            after(waits, RESOLVED),
            after(grew, FIRING, severity=9),
            after(ended, RESOLVED),
            after(quiet, RESOLVED),
            after(alert(9), RESOLVED),  # nobody was to be told of it
        ]
        server.requests.clear()
        server.taken.clear()
        await server.start()
        async with deliveries(rules, store) as told:
            told.resume(now, store.sent(made))
            await until(lambda: len(server.told) == 4)
            await asyncio.sleep(0.1)
        assert sorted(server.told) == sorted((one.hex, 2, str(one.state)) for one in now[1:5])
        attempts = [(row.alert_key, row.version, row.attempt) for row in store.rows]
        assert len(set(attempts)) == len(attempts)


async def test_reminders_go_on_after_a_restart() -> None:
    now = 1_800_000_000.0
    store, first = Memory(), alert()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, repeat="1h")
        async with deliveries(rules, store, clock=lambda: now) as told:
            told.tell(first)
        async with deliveries(rules, store, clock=lambda: now) as told:
            told.resume([first], store.sent([first]))
            now += 3000
            await asyncio.sleep(0.2)
            assert len(server.taken) == 1
            now += 601
            await until(lambda: len(server.taken) == 2)


async def test_a_test_goes_to_the_rules_receivers_and_keeps_nothing_waiting() -> None:
    async with hook() as server:
        async with deliveries(
            config({"name": "ops", "url": server.url, "min_severity": 9}, interval="30s"), timing=QUICK
        ) as told:
            told.tell(alert(1, test=True, severity=1))
            await until(lambda: len(server.taken) == 1)
            told.tell(alert(2, severity=9))
            await until(lambda: len(server.taken) == 2)
        assert server.taken[0].json["alerts"][0]["test"] is True


async def test_other_settings_are_taken_over_and_no_queue_is_lost() -> None:
    async with hook(always(410)) as stays, hook() as leaves, hook() as comes:
        seen = Seen()
        before = config({"name": "stays", "url": stays.url}, {"name": "leaves", "url": leaves.url})
        later = config({"name": "stays", "url": comes.url}, {"name": "comes", "url": comes.url + "/new"})
        long = replace(QUICK, refused=(60.0, 60.0))
        async with deliveries(before, seen=seen, timing=long) as told:
            told.tell(alert(1))
            await until(lambda: leaves.told and seen.reasons("stays") == ["410"])
            with pytest.raises(SettingsError):
                told.use(config({"name": "stays", "url_env": "NO_SUCH"}))
            told.use(later)
            await until(lambda: len(comes.told) == 2)
            told.tell(alert(2))
            await until(lambda: len(comes.told) == 4)
        assert {request.json["receiver"] for request in comes.taken} == {"stays", "comes"} and len(leaves.told) == 1


async def test_on_the_way_out_what_was_held_back_is_told() -> None:
    async with hook() as server:
        async with deliveries(config({"name": "ops", "url": server.url}, interval="30s")) as told:
            told.tell(alert(1))
            await until(lambda: server.taken)
            told.tell(alert(2))
        assert len(server.told) == 2


async def test_a_full_book_lets_the_oldest_go_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "MOST_KEPT", 10)
    store = Memory()
    async with hook(always(503)) as server, deliveries(config({"name": "ops", "url": server.url}), store) as told:
        alerts = [alert(n) for n in range(13)]
        for one in alerts[:10]:
            told.tell(one)
        told.tell(after(alerts[4], RESOLVED))
        for one in alerts[10:]:
            told.tell(one)
        server.answer = well
        await until(lambda: len(server.told) == 10)
        kept = {key for key, _, _ in server.told}
        assert [n for n in range(13) if alerts[n].hex not in kept] == [0, 1, 4]
        assert sum(row.reason.startswith("let go") for row in store.rows) == 4 and "is let go" in caplog.text


async def test_rests_grow_to_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    clock = count()
    async with hook(always(503)) as server:
        async with deliveries(config({"name": "ops", "url": server.url}), timing=Timing(), jitter=lambda: 1.0) as told:
            line = told._lines["ops"]
            monkeypatch.setattr(line, "_now", lambda: float(next(clock)))
            for _ in range(12):
                line._rest_until = 0.0
                await line._send([alert()], "id")
                rests.append(line._rest_until - next(clock) + 2)
        assert [round(rest) for rest in rests] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_past_the_lease_nothing_is_told_and_what_is_on_its_way_is_put_on_record() -> None:
    let_go, leads, store = asyncio.Event(), True, Memory()

    async def slow(request: Request) -> web.Response:
        await let_go.wait()
        return web.Response()

    async with hook(slow) as server:
        rules = config({"name": "ops", "url": server.url})
        async with deliveries(rules, store, leads=lambda: leads, term=7) as told:
            told.tell(alert(1))
            await until(lambda: server.requests)
            leads = False
            told.tell(alert(2))
            closing = asyncio.create_task(told.close(5.0))
            await asyncio.sleep(0.05)
            let_go.set()
            await asyncio.wait_for(closing, 1)
        assert [key for key, *_ in server.told] == [alert(1).hex]
        assert [(row.alert_key, row.sent, row.term) for row in store.rows] == [(alert(1).key, True, 7)]
