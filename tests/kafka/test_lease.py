"""Who leads, from when and until when: by the reports of the group, and a clock that the test sets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from pipeline.clock import steady
from pipeline.fence import GivenUp
from pipeline.kafka.group import SESSION_S, watch
from pipeline.kafka.lease import Lease

REBALANCING, UNKNOWN_MEMBER = 27, 25


@dataclass
class Group:
    """aiokafka's coordinator as `watch` sees it. An answer takes `takes_s`; none: the broker is away."""

    now: float = 1000.0
    takes_s: float = 0.0
    code: int | None = 0
    sent: list[tuple[str, bool]] = field(default_factory=list)
    """Each request, and whether this process led when it went."""

    def __post_init__(self) -> None:
        self.lease = Lease(lambda: self.now)
        watch(self, self.lease)

    async def _send_req(self, request: Any) -> Any:
        self.sent.append((type(request).__name__, self.leads))
        self.now += self.takes_s
        if self.code is None:
            raise RequestTimedOutError
        return SimpleNamespace(error_code=self.code)

    @property
    def leads(self) -> bool:
        return self.lease.leads(self.lease.generation)

    def says(self, code: int | None, kind: Any = HeartbeatRequest) -> None:
        self.code = code
        fields: dict[Any, tuple[Any, ...]] = {
            HeartbeatRequest: ("g", 1, "m"),
            LeaveGroupRequest: ("g", "m"),
            SyncGroupRequest: ("g", 1, "m", None, []),
        }
        request = kind(*fields.get(kind, ("g", 6000, 10000, "", None, "consumer", [])))
        try:
            asyncio.run(self._send_req(request))
        except RequestTimedOutError:
            assert code is None

    def joins(self, ours: bool = True) -> None:
        self.says(0, JoinGroupRequest)
        self.says(0, SyncGroupRequest)
        self.lease.assigned(ours)


def test_who_is_assigned_leads_for_a_session_and_a_heartbeat_goes_on_with_it() -> None:
    group = Group()
    assert not group.leads
    group.joins()
    assert group.leads
    group.now += SESSION_S - 0.1
    group.says(0)
    group.now += SESSION_S - 0.1
    assert group.leads
    group.now += 0.1
    assert not group.leads


def test_who_stands_by_does_not_lead_however_well_it_hears_the_group() -> None:
    group = Group()
    group.joins(ours=False)
    group.says(0)
    assert not group.leads


def test_the_lease_ends_by_itself_when_no_broker_answers() -> None:
    group = Group()
    group.joins()
    generation = group.lease.generation
    group.lease.check(generation)
    group.now += SESSION_S
    group.says(None)
    with pytest.raises(GivenUp):
        group.lease.pass_through(generation)


def test_a_session_counts_from_when_the_request_was_sent() -> None:
    """The answer may have lain in the socket of a process that was frozen."""
    group = Group()
    group.joins()
    group.takes_s = SESSION_S + 1
    group.says(0)
    assert not group.leads


@pytest.mark.parametrize("code", [REBALANCING, UNKNOWN_MEMBER])
def test_an_answer_that_is_no_yes_confirms_nothing(code: int) -> None:
    group = Group()
    group.joins()
    group.now += 4
    group.says(code)
    group.now += 3
    assert not group.leads
    assert group.lease.unanswered_s() == 3


@pytest.mark.parametrize("kind", [JoinGroupRequest, LeaveGroupRequest])
def test_who_joins_anew_or_leaves_does_not_lead_when_it_says_so(kind: Any) -> None:
    group = Group()
    group.joins()
    generation = group.lease.generation
    group.says(0, kind)
    assert group.sent[-1] == (kind.__name__, False)
    group.says(0)  # a heartbeat that was on its way
    assert not group.leads
    group.lease.assigned(True)
    assert not group.lease.leads(generation)


def test_what_began_before_a_lapse_gives_up_also_when_nobody_noticed_the_lapse() -> None:
    group = Group()
    group.joins()
    before = group.lease.generation
    group.now += SESSION_S + 1
    group.says(0)
    assert group.leads
    with pytest.raises(GivenUp):
        group.lease.check(before)


def test_a_clock_that_somebody_sets_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at = steady()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= steady() - at < 10


def test_the_loop_hears_of_begin_and_end() -> None:
    async def scenario() -> None:
        lease = Lease()
        begun = asyncio.create_task(lease.begun())
        await asyncio.sleep(0)
        await asyncio.to_thread(lease.confirmed, lease.now(), 2.0)
        await asyncio.to_thread(lease.assigned, True)
        generation = await asyncio.wait_for(begun, 60)
        ended = asyncio.create_task(lease.ended(generation))
        await asyncio.to_thread(lease.confirmed, lease.now(), 2.1)
        assert lease.leads(generation)
        await asyncio.wait_for(ended, 60)
        assert not lease.leads(generation)

        lease.confirmed(lease.now(), 60)
        generation = await asyncio.wait_for(lease.begun(), 60)
        await lease.rest(generation, 0.01)
        resting = asyncio.create_task(lease.rest(generation, 60))
        await asyncio.sleep(0)
        await asyncio.to_thread(lease.leaving)
        with pytest.raises(GivenUp):
            await asyncio.wait_for(resting, 60)

    asyncio.run(scenario())
