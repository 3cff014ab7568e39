"""Commands of people to the leader: acknowledge an alert, silence, lift a silence, test the receivers of a rule."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pipeline.clickhouse.query import Ask
from pipeline.control.notifier import Notifier
from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.processors.alerts.audience import untested
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.store import AlertStore
from pipeline.queries.names import Names
from schemas.alerts import Alert, State
from schemas.times import utc_now, whole_ms


class Commands(Protocol):
    """Each returns once its result is in ClickHouse; raises UnknownName, ConflictError, or EarshotError while another process
    leads."""

    async def acknowledge(self, key: int, actor: str, comment: str, again: bool = True) -> Alert:
        """No reminders until the alert resolves. Without `again` it is refused if somebody has acknowledged it."""
        ...

    async def silence(
        self, rule: str, brand: str, platform: str, ends_at: datetime, actor: str, comment: str
    ) -> Silence:  # fmt: skip
        """Mutes the alerts that match all names that are given; blank: any."""
        ...

    async def lift(self, silence_id: int, actor: str) -> Silence:
        """Ends a silence now."""
        ...

    async def test(self, rule: str, brand: str, actor: str) -> Alert:
        """Sends a marked alert to the rule's receivers."""
        ...

    def untested(self, rule: str) -> list[str]:
        """What a test of the rule leaves open now (`audience.untested`)."""
        ...

    def silences(self) -> list[Silence]:
        """The silences that have not ended."""
        ...

    def alert(self, key: int) -> Alert | None:
        """The alert as it is now; None: no open one has this key."""
        ...


class AlertCommands:
    """`Commands` of a control process. `ask` reads which names exist, `brands` are those of brands.yaml."""

    def __init__(
        self,
        leader: Leader,
        evaluator: Evaluator,
        notifier: Notifier,
        store: AlertStore,
        ask: Ask,
        brands: Callable[[], list[str]],
    ) -> None:
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._store, self._ask, self._brands = store, ask, brands

    async def acknowledge(self, key: int, actor: str, comment: str, again: bool = True) -> Alert:
        def work() -> list[Alert]:
            alert = self._evaluator.lifecycle.by_key(key)
            if alert is None:
                known = self._store.by_keys([key])
                raise ConflictError(f"alert {key:016x} is resolved") if known else UnknownName(f"there is no alert {key:016x}")
            if alert.state == State.PENDING:
                raise ConflictError(f"alert {key:016x} is pending: it does not fire yet")
            if alert.state == State.ACKNOWLEDGED and not again:
                raise ConflictError(f"{alert.actor} has acknowledged it, at {alert.changed_at:%Y-%m-%d %H:%M:%S} UTC")
            return self._evaluator.acknowledge(alert, actor, comment, utc_now())

        self._check_leader()
        return (await self._run(work))[0]

    async def silence(self, rule: str, brand: str, platform: str, ends_at: datetime, actor: str, comment: str) -> Silence:
        self._check_leader()
        await asyncio.to_thread(self._check_names, rule, brand, platform)
        now = utc_now()
        silence = Silence(secrets.randbits(64), 1, rule, brand, platform, now, whole_ms(ends_at), actor, comment, now)
        await self._run(lambda: self._evaluator.silence(silence, now))
        return silence

    async def lift(self, silence_id: int, actor: str) -> Silence:
        def work() -> list[Alert]:  # of two who lift it at once, the second finds it lifted
            now = utc_now()
            known = self._evaluator.lifecycle.silences.get(silence_id)
            if known is None or known.ends_at <= now:
                raise UnknownName(f"there is no silence {silence_id:016x}, or it has ended")
            lifted.append(replace(known, version=known.version + 1, ends_at=now, changed_at=now, actor=actor))
            return self._evaluator.silence(lifted[0], now)

        lifted: list[Silence] = []
        self._check_leader()
        await self._run(work)
        return lifted[0]

    async def test(self, rule: str, brand: str, actor: str) -> Alert:
        self._check_leader()
        await asyncio.to_thread(self._check_names, rule, brand)
        tested = self._evaluator.config.rule(rule)
        assert tested is not None
        return (await self._run(lambda: self._evaluator.test(tested, brand, actor, utc_now())))[0]

    def untested(self, rule: str) -> list[str]:
        config = self._evaluator.config
        known = config.rule(rule)
        return untested(config, known, utc_now()) if known else []

    def silences(self) -> list[Silence]:
        now = utc_now()
        return [silence for silence in list(self._evaluator.lifecycle.silences.values()) if silence.ends_at > now]

    def alert(self, key: int) -> Alert | None:
        return self._evaluator.lifecycle.by_key(key)

    async def _run(self, work: Callable[[], list[Alert]]) -> list[Alert]:
        """Runs `work` and publishes its changes. Raises EarshotError when another process has taken over meanwhile."""
        try:
            changes = await self._leader.on_thread(work)
        except GivenUp:
            raise EarshotError("this control does not lead any more; it may have done it: look, and ask again") from None
        self._notifier.publish(changes)
        return changes

    def _check_leader(self) -> None:
        try:
            self._leader.check()
        except GivenUp:
            raise EarshotError("this control does not lead: it is starting, or another control leads") from None

    def _check_names(self, rule: str, brand: str, platform: str = "") -> None:
        """Raises UnknownName for a name that does not exist; blank: none is given."""
        names = Names(lambda sql: self._ask(sql, {}).to_series(), self._evaluator.config, self._brands())
        for name, check in ((rule, names.check_rule), (brand, names.check_brand), (platform, names.check_platform)):
            if name:
                check(name)
