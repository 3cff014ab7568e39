"""Commands of stewards to the leader: each is checked, done or refused, and on record with who, when and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

from pydantic import ValidationError

from pipeline.clickhouse.query import Query
from pipeline.config.document import first_problem
from pipeline.customers.checks import named_by, refusal
from pipeline.customers.state import State
from pipeline.errors import ConflictError, EarshotError
from pipeline.fence import GivenUp
from pipeline.identity.rules_file import Hashes, RulesFile, without_values
from pipeline.leader import Leader
from pipeline.queries.identity.profiles import profiles
from schemas.identity import Command
from schemas.times import to_ms, utc_now

MOVES = 100
"""Moves that an answer lists."""
T = TypeVar("T")


class Done(NamedTuple):
    """What a command did."""

    sequence: int
    moved: list[tuple[int, int, int]]
    """(profile, customer before, customer after), MOVES at most."""
    more: int
    """Further moves."""


class Applied(NamedTuple):
    """What applied rules did."""

    version: int
    moved: int
    same: bool
    """They were in force already: nothing was changed."""


class Commands(Protocol):
    """Each returns once its result is in ClickHouse. Raises ConflictError with the reason of a refusal, which is on record, and
    EarshotError while another process leads."""

    async def command(self, asked: Command) -> Done:
        """`asked` without its sequence, time and platforms."""
        ...

    async def apply(self, rules: Mapping[str, Any], actor: str) -> Applied:
        """The content of an identity.yaml, with hashes or values."""
        ...

    async def broken(self, problem: str, actor: str) -> NoReturn:
        """Records that somebody asked to apply a file that is none. Raises ConflictError with the problem."""
        ...


@dataclass(frozen=True)
class IdentityCommands:
    """`Commands` of a leader. `query` reads which profiles exist; `hashes` are those of step privacy."""

    leader: Leader
    state: State
    query: Query
    hashes: Hashes

    async def command(self, asked: Command) -> Done:
        self._check_leader()
        known = await asyncio.to_thread(profiles, self.query, named_by(asked))
        platforms = {key: profile.platform for key, profile in known.items()}
        return await self._run(partial(self._do, asked, platforms))

    def _do(self, asked: Command, platforms: Mapping[int, str]) -> Done:
        state = self.state
        now = to_ms(utc_now())
        at = max(now, state.graph.newest(asked.a)) if asked.action == "split" else now
        b = state.graph.customer_of(asked.b) if asked.action == "split" else asked.b
        of = (platforms.get(asked.a, ""), platforms.get(asked.b, "")) if asked.action == "link" else ("", "")
        command = replace(asked, sequence=state.next_sequence(), b=b, at=at, a_platform=of[0], b_platform=of[1])
        if reason := refusal(state.graph, command, platforms, state.holds):
            state.refuse(command, reason)
            raise ConflictError(reason)
        moved = state.command(command).moved
        return Done(command.sequence, list(moved.head(MOVES).iter_rows()), max(0, len(moved) - MOVES))

    async def apply(self, rules: Mapping[str, Any], actor: str) -> Applied:
        self._check_leader()
        try:
            # 100,000 blocked values take a while: the lease and other requests go on.
            kept = await asyncio.to_thread(lambda: RulesFile.model_validate(rules).kept(self.hashes))
        except ValidationError as error:
            await self.broken(str(first_problem(error, RulesFile, rules)), actor)
        return await self._run(partial(self._apply, kept, actor))

    def _apply(self, kept: RulesFile, actor: str) -> Applied:
        if kept.fingerprint(self.hashes) == self.state.rules_file.fingerprint(self.hashes):
            return Applied(self.state.version, 0, same=True)
        moved = self.state.apply(kept, actor).moved
        return Applied(self.state.version, len(moved), same=False)

    async def broken(self, problem: str, actor: str) -> NoReturn:
        def refuse() -> None:
            command = Command(self.state.next_sequence(), "apply", at=to_ms(utc_now()), by=actor)
            self.state.refuse(command, without_values(problem))

        self._check_leader()
        await self._run(refuse)
        raise ConflictError(problem)

    async def _run(self, work: Callable[[], T]) -> T:
        """Raises EarshotError when another process has taken over meanwhile."""
        try:
            return await self.leader.on_thread(work)
        except GivenUp:
            raise EarshotError("this process does not lead any more; it may have done it: look, and ask again") from None

    def _check_leader(self) -> None:
        try:
            self.leader.check()
        except GivenUp:
            raise EarshotError("this process does not lead: it is starting, or another `earshot customers` leads") from None
