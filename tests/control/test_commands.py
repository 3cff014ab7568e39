"""Commands of people while this process leads, stands by, or loses its lease."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.control.commands import AlertCommands
from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.fence import GivenUp
from pipeline.processors.alerts.audience import untested
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State
from schemas.times import utc_now
from tests.support.control_parts import CRISIS, Parts, no_ask
from tests.support.notify import after, alert

OPEN, PENDING = alert(1, rule="crisis"), alert(2, rule="crisis", state=State.PENDING)
OVER = after(alert(3, rule="crisis"), State.RESOLVED)


class Bench(Parts):
    def __init__(self, *standing: Alert) -> None:
        super().__init__(CRISIS, standing)
        self.commands = AlertCommands(
            self.leader, self.evaluator, self.notifier, self.store, no_ask, lambda: ["Acme"]
        )  # fmt: skip


async def test_each_command_is_written_before_it_is_published_and_answered() -> None:
    bench = Bench(OPEN)
    with bench.serving():
        acknowledged = await bench.commands.acknowledge(OPEN.key, "ines", "on it")
        assert (acknowledged.state, acknowledged.actor) == (State.ACKNOWLEDGED, "ines")
        silence = await bench.commands.silence("crisis", "Acme", "", utc_now() + timedelta(hours=1), "ines", "")
        assert bench.commands.silences() == [silence] and silence.ends_at.microsecond % 1000 == 0
        lifted = await bench.commands.lift(silence.silence_id, "lars")
        assert (lifted.version, lifted.actor, lifted.rule) == (2, "lars", "crisis")
        assert bench.commands.silences() == []
        tested = await bench.commands.test("crisis", "Acme", "ines")
        assert tested.test and tested.actor == "ines" and bench.commands.untested("crisis") == []
    assert bench.log[:3] == ["write crisis Acme acknowledged", "publish crisis Acme acknowledged", "silence Acme"]
    assert bench.log[-2:] == ["write crisis Acme firing", "publish crisis Acme firing"]


def test_a_test_names_the_receivers_that_it_does_not_test() -> None:
    hook, when = {"type": "webhook", "url": "https://ops.example/x"}, {"days": ["mon-fri"]}
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    receivers = [
        {"name": "chat", "when": when} | hook,
        {"name": "duty", "when": when, "always": {"rules": ["crisis"]}} | hook,
        {"name": "picky", "min_severity": 8} | hook,
        {"name": "pager"} | hook,
    ]
    rules = [
        {"name": "crisis", "type": "keyword", "words": {"any": ["recall"]}, "severity": 5},
        {"name": "volume", "type": "spike", "receivers": ["picky", "pager"]},
    ]
    config = Alerts.model_validate({"receivers": receivers, "rules": rules})
    crisis, volume = config.rules
    assert untested(config, crisis, saturday) == [
        "chat is out of its hours (mon-fri 00:00-24:00 UTC): not sent",
        "picky takes severity 8 and more: a real alert of this rule has 5",
    ]
    assert untested(config, volume, saturday) == [], "a spike's severity grows"


async def test_a_command_that_the_alert_does_not_allow_is_refused() -> None:
    bench = Bench(PENDING, OVER)
    with bench.serving():
        with pytest.raises(ConflictError, match="is pending"):
            await bench.commands.acknowledge(PENDING.key, "ines", "")
        with pytest.raises(ConflictError, match="is resolved"):
            await bench.commands.acknowledge(OVER.key, "ines", "")
        with pytest.raises(UnknownName, match="there is no alert"):
            await bench.commands.acknowledge(7, "ines", "")
        with pytest.raises(UnknownName, match="there is no silence"):
            await bench.commands.lift(7, "ines")
        with pytest.raises(UnknownName, match="there is no rule 'crysis'"):
            await bench.commands.test("crysis", "", "ines")
    assert bench.log == []


async def test_of_two_who_acknowledge_at_once_the_second_is_told_who_was_first() -> None:
    bench = Bench(OPEN)
    with bench.serving():
        done = await asyncio.gather(
            *(bench.commands.acknowledge(OPEN.key, who, "", again=False) for who in ("ines", "lars")), return_exceptions=True
        )
        refused = [each for each in done if isinstance(each, ConflictError)]
        (first,) = (each for each in done if not isinstance(each, BaseException))
        assert len(refused) == 1 and str(refused[0]).startswith(f"{first.actor} has acknowledged it, at ")
        assert (await bench.commands.acknowledge(OPEN.key, "mara", "")).actor == "mara"


async def test_of_two_who_lift_a_silence_at_once_one_does() -> None:
    bench = Bench(OPEN)
    with bench.serving():
        silence = await bench.commands.silence("crisis", "Acme", "", utc_now() + timedelta(hours=1), "ines", "")
        lifting = (bench.commands.lift(silence.silence_id, who) for who in ("ines", "lars"))
        done = await asyncio.gather(*lifting, return_exceptions=True)
        assert [type(each).__name__ for each in done].count("UnknownName") == 1
    assert bench.log.count("silence Acme") == 2


async def test_a_control_that_stands_by_or_stops_takes_no_command() -> None:
    bench = Bench(OPEN)
    with pytest.raises(EarshotError, match="does not lead: it is starting, or another control leads"):
        await bench.commands.acknowledge(OPEN.key, "ines", "")
    with bench.serving():
        bench.leader.lease.stop()
        with pytest.raises(EarshotError, match="does not lead"):
            await bench.commands.silence("crisis", "", "", utc_now(), "ines", "")
    assert bench.log == []


async def test_a_lease_that_ends_while_a_command_runs_is_one_clear_error_and_publishes_nothing() -> None:
    bench = Bench(OPEN)

    def given_up(*_: object) -> None:
        bench.leader.lease.leaving()
        raise GivenUp

    bench.store.write = given_up  # type: ignore[method-assign,assignment]
    with bench.serving(), pytest.raises(EarshotError, match="does not lead any more; it may have done it"):
        await bench.commands.acknowledge(OPEN.key, "ines", "")
    assert bench.log == []
