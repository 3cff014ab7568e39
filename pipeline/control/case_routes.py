"""Routes of the control API about cases: who has which conversation.

    GET    /cases             -> {"cases": those that somebody has}
    POST   /cases/take        {"brand", "platform", "conversation_id", "comment"} -> the case
    POST   /cases/hand-over   {..., "owner"; blank: nobody has it any more} -> the case
    POST   /cases/done        {"brand", "platform", "conversation_id", "comment"} -> the case

Contract of the commands: pipeline/control/cases.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from aiohttp import web
from pydantic import Field

from pipeline.api.callers import LONGEST
from pipeline.api.server import Body, CommandServer, body_of, json_answer
from pipeline.control.cases import Cases, Changed
from pipeline.sinks.cases import Case, Conversation
from schemas.times import rfc3339


class CaseBody(Body):
    """Of POST /cases/take and /cases/done."""

    brand: str = Field(min_length=1, max_length=500)
    platform: str = Field(min_length=1, max_length=64)
    conversation_id: str = Field(min_length=1, max_length=1_000)
    comment: str = Field("", max_length=2_000)

    def conversation(self) -> Conversation:
        return Conversation(self.brand, self.platform, self.conversation_id)


class HandOverBody(CaseBody):
    """Of POST /cases/hand-over."""

    owner: str = Field("", max_length=LONGEST)


def case_record(case: Case) -> dict[str, object]:
    """The case as a JSON object."""
    times = {name: rfc3339(getattr(case, name)) for name in ("since", "changed_at")}
    return {name: value for name, value in (asdict(case) | times).items() if name != "version"}


class CaseRoutes:
    """The routes, as part of this server."""

    def __init__(self, server: CommandServer, cases: Cases) -> None:
        self._server, self._cases = server, cases

    def routes(self) -> list[web.RouteDef]:
        """For the server's own."""
        return [
            web.get("/cases", self._list),
            web.post("/cases/take", self._take),
            web.post("/cases/hand-over", self._hand_over),
            web.post("/cases/done", self._done),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return json_answer({"cases": [case_record(case) for case in await self._cases.taken()]})

    async def _take(self, request: web.Request) -> web.Response:
        body = await body_of(request, CaseBody)
        return await self._act(request, "take", body, lambda actor: self._cases.take(body.conversation(), actor, body.comment))

    async def _hand_over(self, request: web.Request) -> web.Response:
        body = await body_of(request, HandOverBody)
        return await self._act(
            request, "hand over", body, lambda who: self._cases.hand_over(body.conversation(), body.owner, who, body.comment)
        )

    async def _done(self, request: web.Request) -> web.Response:
        body = await body_of(request, CaseBody)
        return await self._act(request, "done", body, lambda actor: self._cases.done(body.conversation(), actor, body.comment))

    async def _act(
        self, request: web.Request, act: str, body: CaseBody, change: Callable[[str], Awaitable[Changed]]
    ) -> web.Response:
        async with self._server.acting(request, act, " ".join(body.conversation()), body.comment) as done:
            before, after = await change(done.actor)
            done.before = before and case_record(before)
            done.after = made = case_record(after)
        return json_answer(made)
