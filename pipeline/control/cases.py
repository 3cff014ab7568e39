"""Commands of people about conversations: who has one, gives it to somebody else, or is done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.sinks.cases import Case, CaseTable, Conversation
from schemas.times import utc_now

T = TypeVar("T")


class Changed(NamedTuple):
    """What a command made of a case."""

    before: Case | None
    after: Case


class Cases(Protocol):
    """Each returns once its result is in ClickHouse; raises UnknownName, ConflictError, or EarshotError while another process
    leads."""

    async def take(self, of: Conversation, actor: str, comment: str) -> Changed:
        """`actor` has it from now on. ConflictError if somebody else has it."""
        ...

    async def hand_over(self, of: Conversation, owner: str, actor: str, comment: str) -> Changed:
        """`owner` has it from now on, whoever had it; blank: nobody."""
        ...

    async def done(self, of: Conversation, actor: str, comment: str) -> Changed:
        """It needs nothing more, until a customer writes again. ConflictError if somebody else has it."""
        ...

    async def taken(self) -> list[Case]:
        """The cases that somebody has, the newest first."""
        ...


class CaseCommands:
    """`Cases` of a control process. One command runs after the other, so two never meet; all state is in the table."""

    def __init__(self, leader: Leader, table: CaseTable) -> None:
        self._leader, self._table = leader, table

    async def take(self, of: Conversation, actor: str, comment: str) -> Changed:
        def take(before: Case | None) -> Case:
            _nobody_elses(before, actor)
            return _case(of, before, actor, actor, comment)

        return await self._change(of, take)

    async def hand_over(self, of: Conversation, owner: str, actor: str, comment: str) -> Changed:
        return await self._change(of, lambda before: _case(of, before, owner, actor, comment))

    async def done(self, of: Conversation, actor: str, comment: str) -> Changed:
        def finish(before: Case | None) -> Case:
            _nobody_elses(before, actor)
            return replace(_case(of, before, actor, actor, comment), state="done")

        return await self._change(of, finish)

    async def taken(self) -> list[Case]:
        return await self._run(lambda _: self._table.taken())

    async def _change(self, of: Conversation, change: Callable[[Case | None], Case]) -> Changed:
        def work(generation: int) -> Changed:
            existed = self._table.exists(of)
            before = self._table.case(of)
            # It goes on record beside its subject: of one whose person was erased an outcome keeps no name.
            unknown = UnknownName(f"there is no such conversation on {of.platform} about {of.brand}")
            if before is None and not existed:
                raise unknown
            after = self._table.write(change(before), generation)
            if existed and not self._table.exists(of):  # its person was erased meanwhile, and the case not seen
                self._table.hide(of)
                raise unknown
            return Changed(before, after)

        return await self._run(work)

    async def _run(self, work: Callable[[int], T]) -> T:
        """Runs `work(generation)` in the leadership of now. Raises EarshotError where this process does not lead, or another
        one has taken over meanwhile."""
        try:
            self._leader.check()
        except GivenUp:
            raise EarshotError("this control does not lead: it is starting, or another control leads") from None
        generation = self._leader.lease.generation
        try:
            return await self._leader.on_thread(lambda: work(generation))
        except GivenUp:
            raise EarshotError("this control does not lead any more; it may have done it: look, and ask again") from None


def _nobody_elses(case: Case | None, actor: str) -> None:
    if case is not None and case.state == "taken" and case.owner != actor:
        raise ConflictError(f"{case.owner} has it since {case.since:%Y-%m-%d %H:%M:%S} UTC: ask them, or have it handed over")


def _case(of: Conversation, before: Case | None, owner: str, actor: str, comment: str) -> Case:
    """It is the owner's: since now, unless it was before."""
    now = utc_now()
    same = before is not None and before.state == "taken" and before.owner == owner
    since = before.since if before is not None and same else now
    return Case(*of, "taken" if owner else "free", owner, actor, comment, since, now)
