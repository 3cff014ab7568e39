"""Who is notified of which change, when, and that nobody waits for another or loses anything.

The pauses are the true ones, in the time of the test; requests go to a real server.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import SettingsError
from pipeline.notify import outbox
from pipeline.notify.context import Timing
from schemas.alerts import Scope, State
from tests.support.notify import Hook, Memory, Request, Seen, after, alert, always, config, dispatching, hook, until, well

FIRING, ACKNOWLEDGED, RESOLVED = State.FIRING, State.ACKNOWLEDGED, State.RESOLVED


def _took(server: Hook, requests: int) -> bool:
    return len(server.taken) == requests


async def test_an_alert_is_notified_at_once_acknowledged_and_resolved() -> None:
    seen, store = Seen(), Memory()
    async with hook() as server, dispatching(config({"name": "ops", "url": server.url}), store, seen) as dispatcher:
        first = alert()
        acknowledged = after(first, ACKNOWLEDGED)
        for change in (first, acknowledged, after(acknowledged, RESOLVED)):
            dispatcher.notify(change)
            await dispatcher.quiet()
            assert server.changes[-1] == (change.hex, change.version, change.state)
        assert server.states(first) == ["firing", "acknowledged", "resolved"]
        assert [request.headers["X-Earshot-Delivery"] for request in server.taken] == [f"{first.hex}-{n}" for n in (1, 2, 3)]
        assert [(key, version, receiver) for key, version, receiver, _ in seen.accepted] == [
            (first.hex, version, "ops") for version in (1, 2, 3)
        ]
        assert all(0 <= seconds < 60 for *_, seconds in seen.accepted)
        assert [(row.version, row.attempt, row.sent, row.reason) for row in store.rows] == [
            (n, n, True, "204") for n in (1, 2, 3)
        ]


async def test_a_slow_receiver_delays_no_other() -> None:
    async def slow(request: Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with hook(slow) as tortoise, hook() as hare:
        rules = config({"name": "slow", "url": tortoise.url, "timeout": "4s"}, {"name": "fast", "url": hare.url})
        seen = Seen()
        async with dispatching(rules, seen=seen) as dispatcher:
            async with asyncio.timeout(60):  # behind the slow one it would take 80 s
                for n in range(20):
                    dispatcher.notify(alert(n))
                    await until(partial(_took, hare, n + 1))
                await until(lambda: len(seen.accepted) == 20)
            assert all(receiver == "fast" for *_, receiver, _ in seen.accepted)
            await until(lambda: seen.reasons("slow")[:1] == ["timeout"])


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured(as_date: bool) -> None:
    async def busy(request: Request) -> web.Response:
        when = format_datetime(datetime.fromtimestamp(int(dispatcher.time.wall()) + 2, UTC), usegmt=True) if as_date else "1"
        return web.Response(status=429, headers={"Retry-After": when})

    seen = Seen()
    async with hook(busy) as server, dispatching(config({"name": "ops", "url": server.url}), seen=seen) as dispatcher:
        dispatcher.notify(alert())
        await dispatcher.quiet()
        server.answer = well
        await dispatcher.passes(0.95)
        assert len(server.requests) == 1
        await dispatcher.passes(1.1)
        assert len(server.requests) == 2 and len(server.taken) == 1
        assert seen.reasons("ops") == ["429", "204"]


async def test_a_receiver_that_is_down_for_long_loses_nothing_and_has_one_incident_each() -> None:
    store = Memory()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, interval="1s")
        await server.stop()
        async with dispatching(rules, store) as dispatcher:
            opened = [alert(n, scope=Scope(f"brand{n % 3}")) for n in range(120)]
            for one in opened:
                dispatcher.notify(one)
            ended = [after(one, RESOLVED) for one in opened[:40]]
            for n, one in enumerate(ended):
                dispatcher.notify(one)
                await dispatcher.passes(30 if n else 0)
            await server.start()
            await dispatcher.until(lambda: len({key for key, _, _ in server.changes}) == 120)
            await dispatcher.until(lambda: sum(state == "resolved" for _, _, state in server.changes) == 40)
        assert all(server.states(one) == ["firing", "resolved"] for one in opened[:40])
        assert all(server.states(one) == ["firing"] for one in opened[40:])
        assert len(server.taken) <= 6, "sent together, each brand's"
        assert {"Connection refused", "waits: the receiver is unwell", "204"} == {row.reason for row in store.rows}


async def test_what_lies_between_the_opening_and_the_newest_change_is_superseded() -> None:
    async with hook(always(503)) as server, dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
        first = alert()
        acknowledged = after(first, ACKNOWLEDGED)
        dispatcher.notify(first)
        await dispatcher.until(lambda: server.requests)
        dispatcher.notify(acknowledged)
        dispatcher.notify(after(acknowledged, RESOLVED))
        await dispatcher.passes(0.4)
        server.answer = well
        await dispatcher.until(lambda: server.taken)
        assert [request.changes for request in server.taken] == [[(first.hex, 1, "firing"), (first.hex, 3, "resolved")]]
        assert server.taken[0].headers["X-Earshot-Delivery"] == f"{first.hex}-1,{first.hex}-3"


async def test_a_change_that_comes_while_the_one_before_is_on_its_way_is_sent_after_it() -> None:
    go = asyncio.Event()

    async def held(request: Request) -> web.Response:
        await go.wait()
        return web.Response()

    async with hook(held) as server, dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
        first = alert()
        dispatcher.notify(first)
        await until(lambda: server.requests)
        dispatcher.notify(after(first, RESOLVED))
        go.set()
        await dispatcher.until(lambda: len(server.taken) == 2)
        assert [request.changes for request in server.taken] == [[(first.hex, 1, "firing")], [(first.hex, 2, "resolved")]]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_a_refused_change_keeps_no_newer_one_waiting(status: int) -> None:
    bad, good = alert(1), alert(2)

    async def picky(request: Request) -> web.Response:
        return web.Response(status=status if any(key == bad.hex for key, _, _ in request.changes) else 200)

    seen = Seen()
    async with hook(picky) as server, dispatching(config({"name": "ops", "url": server.url}), seen=seen) as dispatcher:
        dispatcher.notify(bad)
        await dispatcher.until(lambda: seen.tries)
        dispatcher.notify(good)
        await dispatcher.until(lambda: server.states(good))
        assert not server.states(bad)
        server.answer = well
        await dispatcher.until(lambda: server.states(bad))
        assert server.states(bad) == server.states(good) == ["firing"]


async def test_of_a_message_that_is_refused_the_good_ones_are_sent_at_once() -> None:
    alerts = [alert(n) for n in range(6)]

    async def picky(request: Request) -> web.Response:
        return web.Response(status=400 if any(key == alerts[2].hex for key, _, _ in request.changes) else 200)

    async with hook(picky) as server, dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
        for one in alerts:
            dispatcher.notify(one)
        await dispatcher.quiet()
        assert len(server.changes) == 5
        assert not server.states(alerts[2])


async def test_a_receiver_that_fails_over_one_alert_gets_the_others() -> None:
    bad, good = alert(1, scope=Scope("bad")), alert(2, scope=Scope("good"))

    async def broken(request: Request) -> web.Response:
        return web.Response(status=500 if any(key == bad.hex for key, _, _ in request.changes) else 200)

    async with hook(broken) as server, dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
        dispatcher.notify(bad)
        dispatcher.notify(good)
        await dispatcher.until(lambda: server.states(good))


async def test_a_group_is_sent_together_the_first_at_once() -> None:
    async with hook() as server, dispatching(config({"name": "ops", "url": server.url}, interval="1s")) as dispatcher:
        dispatcher.notify(alert(0))
        await dispatcher.quiet()
        assert len(server.taken) == 1
        others = [alert(n) for n in (1, 2, 3)]
        for one in others:
            dispatcher.notify(one)
            await dispatcher.passes(0.05)
        dispatcher.notify(alert(4, scope=Scope("Other")))
        await dispatcher.quiet()
        assert len(server.taken) == 2 and server.taken[1].json["group"] == {"brand": "Other"}
        await dispatcher.passes(0.8)
        assert len(server.taken) == 2
        await dispatcher.passes(0.05)
        assert len(server.taken) == 3
        assert [key for key, _, _ in server.taken[2].changes] == [one.hex for one in others]


async def test_a_message_holds_no_more_than_it_may() -> None:
    async with (
        hook(always(503)) as server,
        dispatching(config({"name": "ops", "url": server.url}, interval="30s")) as dispatcher,
    ):
        for n in range(120):
            dispatcher.notify(alert(n))
        await dispatcher.until(lambda: server.requests)
        server.answer = well
        await dispatcher.until(lambda: len(server.changes) == 120)
        assert sorted(len(request.changes) for request in server.taken) == [20, 50, 50]


@pytest.mark.parametrize(
    "fields", [{"muted": "silence 1"}, {"historical": True}, {"state": State.PENDING}, {"severity": 4}, {"state": RESOLVED}]
)
async def test_who_should_not_be_notified_is_not(fields: dict[str, Any]) -> None:
    async with hook() as server:
        async with dispatching(config({"name": "ops", "url": server.url, "min_severity": 5})) as dispatcher:
            dispatcher.notify(alert(**fields))
            dispatcher.notify(after(alert(**fields), RESOLVED, historical=fields.get("historical", False)))
        assert not server.requests


async def test_a_rule_names_who_is_notified() -> None:
    async with hook() as named, hook() as other:
        rules = config({"name": "named", "url": named.url}, {"name": "other", "url": other.url}, receivers=["named"])
        async with dispatching(rules) as dispatcher:
            dispatcher.notify(alert())
        assert named.changes and not other.requests


async def test_a_higher_severity_is_sent_and_other_changes_are_not() -> None:
    async with hook() as server, dispatching(config({"name": "ops", "url": server.url, "min_severity": 5})) as dispatcher:
        small = alert(severity=3)
        grown = after(small, FIRING, severity=6)
        same = after(grown, FIRING, severity=5, observed=130.0)
        bigger = after(same, FIRING, severity=8)
        for change in (small, grown, same, bigger, after(bigger, RESOLVED, severity=1)):
            dispatcher.notify(change)
            await dispatcher.passes(0.05)
        assert [version for _, version, _ in server.changes] == [2, 4, 5]


async def test_an_incident_that_was_opened_is_closed_also_when_it_is_muted_by_then() -> None:
    async with hook() as server, dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
        first = alert()
        dispatcher.notify(first)
        await dispatcher.until(lambda: server.taken)
        muted = after(first, FIRING, severity=9, muted="silence 1")
        dispatcher.notify(muted)
        await dispatcher.passes(0.1)
        assert len(server.changes) == 1
        dispatcher.notify(after(muted, RESOLVED))
        await dispatcher.until(lambda: server.states(first) == ["firing", "resolved"])


async def test_the_same_change_is_sent_once() -> None:
    async with hook() as server:
        async with dispatching(config({"name": "ops", "url": server.url})) as dispatcher:
            for _ in range(3):
                dispatcher.notify(alert())
                await dispatcher.passes(0.05)
        assert len(server.changes) == 1


async def test_what_fires_on_is_sent_again_until_somebody_looks_after_it() -> None:
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, repeat="1h")
        seen = Seen()
        async with dispatching(rules, seen=seen, began=1_800_000_000.0, timing=Timing(remind=60.0)) as dispatcher:
            first = alert()
            dispatcher.notify(first)
            dispatcher.notify(alert(2, muted="silence"))
            await dispatcher.quiet()
            assert len(server.taken) == 1
            await dispatcher.passes(3599)
            assert len(server.taken) == 1
            for n in (2, 3):
                await dispatcher.passes(1 if n == 2 else 3600)
                assert len(server.taken) == n
            reminder = server.taken[1]
            assert reminder.changes == [(first.hex, 1, "firing")]
            assert reminder.headers["X-Earshot-Delivery"] == f"{first.hex}-1-1800003600"
            dispatcher.notify(after(first, ACKNOWLEDGED))
            await dispatcher.quiet()
            assert len(server.taken) == 4
            await dispatcher.passes(99_999)
            assert len(server.taken) == 4 and len(seen.accepted) == 2


async def test_after_a_crash_between_a_message_and_its_log_it_is_sent_again() -> None:
    store = Memory()
    first = alert()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        async with dispatching(rules, Memory()) as dispatcher:
            dispatcher.notify(first)
            await dispatcher.until(lambda: server.taken)
        async with dispatching(rules, store) as dispatcher:
            await dispatcher.resume([first], store.sent([first]))
            await dispatcher.until(lambda: len(server.taken) == 2)
        ids = {request.headers["X-Earshot-Delivery"] for request in server.taken}
        assert len(ids) == 1, "so that the receiver knows it is the same"
        assert server.taken[0].changes == server.taken[1].changes


async def test_after_a_crash_accepted_changes_are_not_sent_again_and_the_others_are() -> None:
    store = Memory()
    accepted, waits, grew, ended, quiet = (alert(n) for n in range(5))
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        async with dispatching(rules, store) as dispatcher:
            for one in (accepted, grew, ended):
                dispatcher.notify(one)
            await dispatcher.until(lambda: len(server.changes) == 3)
            await server.stop()
            dispatcher.notify(waits)
            await dispatcher.until(lambda: any(not row.sent for row in store.rows))
            dispatcher.notify(quiet)  # it ends while the receiver is unwell, and was never tried
        made = [accepted, waits, grew, ended, quiet]
        now = [
            accepted,
            after(waits, RESOLVED),
            after(grew, FIRING, severity=9),
            after(ended, RESOLVED),
            after(quiet, RESOLVED),
            after(alert(9), RESOLVED),  # nobody was to be notified of it
        ]
        server.requests.clear()
        server.taken.clear()
        await server.start()
        async with dispatching(rules, store) as dispatcher:
            await dispatcher.resume(now, store.sent(made))
            await dispatcher.passes(1.0)
        assert sorted(server.changes) == sorted((one.hex, 2, str(one.state)) for one in now[1:5])
        attempts = [(row.alert_key, row.version, row.attempt) for row in store.rows]
        assert len(set(attempts)) == len(attempts)


async def test_reminders_go_on_after_a_restart() -> None:
    now = 1_800_000_000.0
    store, first = Memory(), alert()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url}, repeat="1h")
        async with dispatching(rules, store, began=now) as dispatcher:
            dispatcher.notify(first)
        async with dispatching(rules, store, began=now) as dispatcher:
            await dispatcher.resume([first], store.sent([first]))
            await dispatcher.passes(3000)
            assert len(server.taken) == 1
            await dispatcher.passes(601)
            assert len(server.taken) == 2


async def test_a_test_goes_to_the_rules_receivers_and_keeps_nothing_waiting() -> None:
    async with hook() as server:
        async with dispatching(config({"name": "ops", "url": server.url, "min_severity": 9}, interval="30s")) as dispatcher:
            dispatcher.notify(alert(1, test=True, severity=1))
            await dispatcher.quiet()
            assert len(server.taken) == 1
            dispatcher.notify(alert(2, severity=9))
            await dispatcher.quiet()
            assert len(server.taken) == 2
        assert server.taken[0].json["alerts"][0]["test"] is True


async def test_other_settings_are_taken_over_and_no_queue_is_lost() -> None:
    async with hook(always(410)) as stays, hook() as leaves, hook() as comes:
        seen = Seen()
        before = config({"name": "stays", "url": stays.url}, {"name": "leaves", "url": leaves.url})
        later = config({"name": "stays", "url": comes.url}, {"name": "comes", "url": comes.url + "/new"})
        async with dispatching(before, seen=seen) as dispatcher:
            dispatcher.notify(alert(1))
            await dispatcher.until(lambda: leaves.changes and seen.reasons("stays") == ["410"])
            with pytest.raises(SettingsError):
                dispatcher.use(config({"name": "stays", "url_env": "NO_SUCH"}))
            dispatcher.use(later)
            await dispatcher.until(lambda: len(comes.changes) == 2)
            dispatcher.notify(alert(2))
            await dispatcher.until(lambda: len(comes.changes) == 4)
        assert {request.json["receiver"] for request in comes.taken} == {"stays", "comes"} and len(leaves.changes) == 1


async def test_on_the_way_out_changes_that_were_held_back_are_sent() -> None:
    async with hook() as server:
        async with dispatching(config({"name": "ops", "url": server.url}, interval="30s")) as dispatcher:
            dispatcher.notify(alert(1))
            await dispatcher.until(lambda: server.taken)
            dispatcher.notify(alert(2))
        assert len(server.changes) == 2


async def test_a_full_outbox_lets_the_oldest_go_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "MOST_KEPT", 10)
    store = Memory()
    async with hook(always(503)) as server, dispatching(config({"name": "ops", "url": server.url}), store) as dispatcher:
        alerts = [alert(n) for n in range(13)]
        for one in alerts[:10]:
            dispatcher.notify(one)
        dispatcher.notify(after(alerts[4], RESOLVED))
        for one in alerts[10:]:
            dispatcher.notify(one)
        server.answer = well
        await dispatcher.until(lambda: len(server.changes) == 10)
        kept = {key for key, _, _ in server.changes}
        assert [n for n in range(13) if alerts[n].hex not in kept] == [0, 1, 4]
        # The table keeps the reason: its words stay as they are.
        assert sum(row.reason == "let go: more than 10000 alerts wait" for row in store.rows) == 4
        assert "is dropped" in caplog.text


@pytest.mark.slow
async def test_rests_grow_to_five_minutes() -> None:
    tries: list[float] = []

    async def failing(request: Request) -> web.Response:
        tries.append(dispatcher.time.now())
        return web.Response(status=503)

    rules = {"name": "ops", "url": ""}
    async with hook(failing) as server, dispatching(config(rules | {"url": server.url}), jitter=lambda: 1.0) as dispatcher:
        dispatcher.notify(alert())
        await dispatcher.until(lambda: len(tries) == 13)
    rests = [later - before for before, later in pairwise(tries)]
    assert [round(rest) for rest in rests] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_past_the_lease_nothing_is_sent_and_a_message_on_its_way_is_put_on_record() -> None:
    let_go, leads, store = asyncio.Event(), True, Memory()

    async def slow(request: Request) -> web.Response:
        await let_go.wait()
        return web.Response()

    async with hook(slow) as server:
        rules = config({"name": "ops", "url": server.url})
        async with dispatching(rules, store, leads=lambda: leads, term=7) as dispatcher:
            dispatcher.notify(alert(1))
            await until(lambda: server.requests)
            leads = False
            dispatcher.notify(alert(2))
            closing = asyncio.create_task(dispatcher.close(300.0))
            await asyncio.sleep(0)
            let_go.set()
            await asyncio.wait_for(closing, 60)
        assert [key for key, *_ in server.changes] == [alert(1).hex]
        assert [(row.alert_key, row.sent, row.term) for row in store.rows] == [(alert(1).key, True, 7)]
