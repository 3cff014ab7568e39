"""The control API over commands that keep everything in memory, served on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pipeline.api.callers import Callers
from pipeline.api.server import CommandServer, Door
from pipeline.control.api import ApiServer, Rollups
from pipeline.control.cases import Changed
from pipeline.errors import ConflictError, UnknownName, UnreachableError
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.silences import Silence
from pipeline.rollups.asked import Asked
from pipeline.sinks.cases import Case, Conversation
from schemas.acts import Act
from schemas.alerts import Alert, Scope, State, alert_key

AnyServer = TypeVar("AnyServer", bound=CommandServer)
NOW = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
TOKEN, OTHER = "a token of ines, 24 long", "the token that lars has"
TOKENS = {"ines": TOKEN, "lars": OTHER}
CONSOLE = "the token of the console"


def alert(rule: str = "anger", brand: str = "Acme", **fields: object) -> Alert:
    scope = Scope(brand=brand)
    first = Alert(
        key=alert_key(rule, scope, 1),
        version=1,
        rule=rule,
        type="threshold",
        scope=scope,
        state=State.FIRING,
        severity=7,
        since=NOW - timedelta(minutes=3),
        last_at=NOW,
        changed_at=NOW,
        raised_at=NOW,
        measure="negative_share",
        observed=0.91,
        expected=0.4,
        summary=f"{brand}: 91 % of 120 are negative",
    )
    return replace(first, **fields)  # type: ignore[arg-type]  # a test says which


class MemoryCommands:
    """`Commands` whose results stand in `alerts` and `known`."""

    def __init__(self, *alerts: Alert) -> None:
        self.alerts = {each.key: each for each in alerts}
        self.known: dict[int, Silence] = {}
        self.cases = MemoryCases()
        self.acts: list[Act] = []
        self.unrecorded = ""
        """Why no act can be put on record."""

    def record(self, act: Act) -> None:
        """Where the server puts acts on record."""
        if self.unrecorded:
            raise UnreachableError(self.unrecorded)
        self.acts.append(act)

    async def acknowledge(self, key: int, actor: str, comment: str, again: bool = True) -> Alert:
        found = self.alerts.get(key)
        if found is None:
            raise UnknownName(f"there is no alert {key:016x}")
        if found.state is State.RESOLVED:
            raise ConflictError(f"alert {found.hex} is resolved")
        if found.state is State.ACKNOWLEDGED and not again:
            raise ConflictError(f"{found.actor} has acknowledged it, at {found.changed_at:%Y-%m-%d %H:%M:%S} UTC")
        self.alerts[key] = found.change(NOW, state=State.ACKNOWLEDGED, actor=actor, comment=comment)
        return self.alerts[key]

    async def silence(
        self, rule: str, brand: str, platform: str, ends_at: datetime, actor: str, comment: str
    ) -> Silence:  # fmt: skip
        number = len(self.known) + 1
        self.known[number] = Silence(number, 1, rule, brand, platform, NOW, ends_at, actor, comment, NOW)
        return self.known[number]

    async def lift(self, silence_id: int, actor: str) -> Silence:
        if silence_id not in self.known:
            raise UnknownName(f"there is no silence {silence_id:016x}")
        found = replace(self.known.pop(silence_id), ends_at=NOW, actor=actor)
        return replace(found, version=found.version + 1)

    async def test(self, rule: str, brand: str, actor: str) -> Alert:
        if rule == "crash":
            raise RuntimeError("a secret that stays in the log")
        if rule != "anger":
            raise UnknownName(f"there is no rule {rule!r}")
        return alert(rule, brand or "Acme", test=True, actor=actor)

    def untested(self, rule: str) -> list[str]:
        return ["picky takes severity 8 and more: a real alert of this rule has 5"]

    def silences(self) -> list[Silence]:
        return list(self.known.values())

    def alert(self, key: int) -> Alert | None:
        return self.alerts.get(key)


class MemoryCases:
    """`Cases` in memory, of the conversations of one brand."""

    def __init__(self) -> None:
        self.known: dict[Conversation, Case] = {}

    async def take(self, of: Conversation, actor: str, comment: str) -> Changed:
        return self._change(of, Case(*of, "taken", actor, actor, comment, NOW, NOW))

    async def hand_over(self, of: Conversation, owner: str, actor: str, comment: str) -> Changed:
        return self._change(of, Case(*of, "taken" if owner else "free", owner, actor, comment, NOW, NOW))

    async def done(self, of: Conversation, actor: str, comment: str) -> Changed:
        return self._change(of, Case(*of, "done", actor, actor, comment, NOW, NOW))

    async def taken(self) -> list[Case]:
        return [case for case in self.known.values() if case.state == "taken"]

    def _change(self, of: Conversation, case: Case) -> Changed:
        before = self.known.get(of)
        if of.brand != "Acme":
            raise UnknownName("there is no such conversation")
        if before is not None and before.owner != case.actor:
            raise ConflictError(f"{before.owner} has it")
        self.known[of] = case
        return Changed(before, case)


@contextmanager
def serving(
    commands: MemoryCommands,
    vitals: Vitals | None = None,
    tokens: Mapping[str, str] = TOKENS,
    host: str = "127.0.0.1",
    rollups: Rollups | None = None,
) -> Iterator[ApiServer]:
    """The control API, on a free port."""
    rollups, vitals = rollups or Asked(), vitals or Vitals()
    door = Door(host, 0, Callers("control", tokens, CONSOLE), commands.record)
    with running(ApiServer(commands, commands.cases, rollups, vitals, door, clock=NOW.timestamp)) as server:
        yield server


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """A server of commands, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="API")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
