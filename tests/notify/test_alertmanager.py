"""A real Alertmanager: what fires is there once, and goes when it is over, also when it was down meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.notify.context import Timing
from schemas.alerts import Scope, State
from tests.notify.alertmanager import Alertmanager
from tests.support.deploy import DEPLOY, run
from tests.support.notify import Hook, Memory, Seen, after, alert, config, dispatching, hook, until

FIRING, ACKNOWLEDGED, RESOLVED = State.FIRING, State.ACKNOWLEDGED, State.RESOLVED
QUIET = Timing(resend=36_000.0)


def incidents(server: Hook) -> list[tuple[str, str, str]]:
    """The alerts that Alertmanager notified of, in turn: state, key and start of each."""
    return [
        (each["status"], each["labels"]["alert_key"], each["startsAt"])
        for request in server.taken
        for each in request.json["alerts"]
    ]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Alertmanager, Hook]]:
    async with hook() as server:
        alertmanager = Alertmanager(folder, server.url)
        await alertmanager.start()
        try:
            yield alertmanager, server
        finally:
            await alertmanager.stop()


def test_amtool_accepts_our_file() -> None:
    run("amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml")


async def test_it_shows_firing_then_resolved_and_one_incident(tmp_path: Path) -> None:
    seen = Seen()
    async with running(tmp_path) as (alertmanager, server):
        rules = config({"name": "am", "type": "alertmanager", "url": alertmanager.url}, runbook="https://wiki/volume")
        async with dispatching(rules, seen=seen) as dispatcher:
            first = alert(scope=Scope("Müller & Söhne", "forum", "de"))
            dispatcher.notify(first)
            await until(lambda: seen.accepted)
            (shown,) = await alertmanager.alerts()
            assert (
                shown["labels"] | {"alertname": "volume", "brand": "Müller & Söhne", "alert_key": first.hex} == shown["labels"]
            )
            assert shown["annotations"]["runbook_url"] == "https://wiki/volume" and shown["status"]["state"] == "active"
            louder = after(first, FIRING, severity=10)
            acknowledged = after(louder, ACKNOWLEDGED, actor="anna")
            for change in (louder, acknowledged):
                dispatcher.notify(change)
            await dispatcher.passes(6 * 60)  # it is sent again and again
            assert len(seen.tries) >= 8
            (shown,) = await alertmanager.alerts()
            assert shown["annotations"]["severity"] == "10" and shown["annotations"]["actor"] == "anna"
            dispatcher.notify(after(acknowledged, RESOLVED))
            await until(lambda: any(status == "resolved" for status, *_ in incidents(server)))
            assert await alertmanager.alerts() == []
            tries = len(seen.tries)
            await dispatcher.passes(3 * 60)  # the end is sent again, too
            assert len(seen.tries) == tries + 3
        states = incidents(server)
        assert len({(key, start) for _, key, start in states}) == 1 and [status for status, *_ in states] == [
            "firing",
            "resolved",
        ]


async def test_what_happens_while_it_is_down_is_not_lost(tmp_path: Path) -> None:
    seen, store = Seen(), Memory()
    async with running(tmp_path) as (alertmanager, server):
        rules = config({"name": "am", "type": "alertmanager", "url": alertmanager.url})
        async with dispatching(rules, store, seen, timing=QUIET) as dispatcher:
            before, ends = alert(1), alert(2)
            dispatcher.notify(before)
            dispatcher.notify(ends)
            await until(lambda: len(incidents(server)) == 2)
            await alertmanager.stop()
            opened = [alert(n) for n in range(3, 73)]
            for one in opened:
                dispatcher.notify(one)
            dispatcher.notify(after(ends, RESOLVED))
            await dispatcher.until(lambda: len(seen.reasons("am")) > 10)
            await alertmanager.start()
            await dispatcher.until(lambda: len(seen.accepted) == 73)
            shown = {one["labels"]["alert_key"] for one in await alertmanager.alerts()}
            assert shown == {one.hex for one in opened}
            dispatcher.use(rules)
        async with dispatching(rules, store, seen) as dispatcher:
            # Another process: open alerts are sent again at once, because Alertmanager may have forgotten them in between.
            await dispatcher.resume([before, *opened], store.sent([before, ends, *opened]))
            await dispatcher.until(lambda: len(seen.tries) > 15)
            shown = {one["labels"]["alert_key"] for one in await alertmanager.alerts()}
            assert shown == {one.hex for one in (before, *opened)}
        assert len({(key, start) for _, key, start in incidents(server)}) == 72


async def test_it_gets_again_what_it_forgets(tmp_path: Path) -> None:
    seen = Seen()
    async with running(tmp_path) as (alertmanager, server):
        async with dispatching(
            config({"name": "am", "type": "alertmanager", "url": alertmanager.url}), seen=seen
        ) as dispatcher:
            first, muted = alert(1), alert(2)
            dispatcher.notify(first)
            dispatcher.notify(muted)
            await until(lambda: len(incidents(server)) == 2)
            dispatcher.notify(after(muted, FIRING, muted="silence 1"))
            await alertmanager.stop()
            await alertmanager.start()
            for _ in range(100):
                if len(shown := await alertmanager.alerts()) == 2:
                    break
                await dispatcher.passes(60)
            assert {one["labels"]["alert_key"] for one in shown} == {first.hex, muted.hex}
        assert len({(key, start) for _, key, start in incidents(server)}) == 2


async def test_it_refuses_nothing_that_we_send(tmp_path: Path) -> None:
    seen = Seen()
    async with running(tmp_path) as (alertmanager, _):
        async with dispatching(
            config({"name": "am", "type": "alertmanager", "url": alertmanager.url}), seen=seen
        ) as dispatcher:
            bare = alert(3, scope=Scope(source="a\nb"), expected=None, terms=(), summary="", raised_at=None)
            odd = alert(4, scope=Scope("\u202e\u202e \U0001f525 \x00"), summary="\x00 \u200b", observed=float("inf"))
            for one in (bare, odd, alert(5, test=True)):
                dispatcher.notify(one)
                dispatcher.notify(after(one, RESOLVED))
            await dispatcher.until(lambda: len(seen.accepted) == 6)
        assert set(seen.reasons("am")) == {"200"}
