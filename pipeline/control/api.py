"""The control API: the HTTP port of `earshot control`, with health for monitoring and commands for people.

    GET    /live  /ready  /metrics   as a worker has them (pipeline/monitoring/health.py)
    POST   /alerts/{key}/ack         {"comment", "again"}                                         -> the alert
    POST   /silences                 {"rule", "brand", "platform", "minutes" | "until", "comment"} -> the silence
    DELETE /silences/{id}            -> the silence, as it ends
    GET    /silences                 -> the silences that have not ended
    POST   /test                     {"rule", "brand"} -> the alert, and `untested`: the receivers that it does not test
    POST   /rollups                  {"since", "until"} -> makes the rollups anew; how far that is, as GET
    GET    /rollups                  -> {"of", "left", "failed"} of the last such rebuild, in quarter-hours of all rollups

Keys and ids are 16 hexadecimal digits. Routes of cases: pipeline/control/case_routes.py. Tokens, bodies, errors, and how each
command goes on record: pipeline/api/server.py. Contract of the commands: pipeline/control/commands.py.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aiohttp import web
from pydantic import AwareDatetime, Field, model_validator

from pipeline.api.server import Body, CommandServer, Door, body_of, json_answer
from pipeline.clock import Clock, wall
from pipeline.control.case_routes import CaseRoutes
from pipeline.control.cases import Cases
from pipeline.control.commands import Commands
from pipeline.errors import ConflictError, UnknownName
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.silences import Silence
from pipeline.rollups.asked import Progress
from pipeline.rollups.rollup import Span, quarter_of
from schemas.alerts import to_record
from schemas.times import rfc3339

LONGEST_SILENCE = timedelta(days=366)
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 1, 1, tzinfo=UTC)
"""What the time of a quarter can be."""


class Rollups(Protocol):
    """The job that fills the rollups."""

    def ask(self, span: Span) -> Progress:
        """Raises ConflictError while another rebuild is under way, EarshotError while another process leads."""
        ...

    def progress(self) -> Progress:
        """Of the last rebuild."""
        ...


# --- bodies -----------------------------------------------------------------------------------------------------------
class AckBody(Body):
    """Of POST /alerts/{key}/ack."""

    comment: str = Field("", max_length=2_000)
    again: bool = True
    """False: only if nobody has acknowledged it yet."""


class SilenceBody(Body):
    """Of POST /silences. It names a rule, a brand or a platform, so that nobody silences everything by a slip."""

    rule: str = Field("", max_length=64)
    brand: str = Field("", max_length=500)
    platform: str = Field("", max_length=64)
    minutes: int | None = Field(None, ge=1)
    until: AwareDatetime | None = None
    comment: str = Field("", max_length=2_000)

    @model_validator(mode="after")
    def _of_something(self) -> SilenceBody:
        if not (self.rule or self.brand or self.platform):
            raise ValueError("name a rule, a brand or a platform")
        if (self.minutes is None) == (self.until is None):
            raise ValueError("give either minutes or until")
        return self

    def ends_at(self, now: datetime) -> datetime:
        """Raises ConflictError for an end in the past, or more than a year away."""
        minutes = self.minutes and min(self.minutes, 1 << 20)
        ends = self.until.astimezone(UTC) if self.until else now + timedelta(minutes=minutes or 0)
        if not now < ends <= now + LONGEST_SILENCE:
            raise ConflictError("a silence ends later than now and within a year")
        return ends


class TestBody(Body):
    """Of POST /test."""

    __test__ = False  # pytest would take the name for a test
    rule: str = Field(min_length=1, max_length=64)
    brand: str = Field("", max_length=500)
    comment: str = Field("", max_length=2_000)


class RebuildBody(Body):
    """Of POST /rollups: the rows created from `since` on, before `until`."""

    since: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _is_a_range(self) -> RebuildBody:
        if not EARLIEST <= self.since < self.until <= LATEST:
            raise ValueError(f"since is before until, both from {EARLIEST:%Y} to {LATEST:%Y}")
        return self


def silence_record(silence: Silence) -> dict[str, object]:
    """The silence as a JSON object."""
    return {
        "id": f"{silence.silence_id:016x}",
        **{name: getattr(silence, name) for name in ("rule", "brand", "platform", "actor", "comment")},
        **{name: rfc3339(getattr(silence, name)) for name in ("starts_at", "ends_at", "changed_at")},
    }


# --- the server -------------------------------------------------------------------------------------------------------
class ApiServer(CommandServer):
    """The control API."""

    name = "control"

    def __init__(
        self,
        commands: Commands,
        cases: Cases,
        rollups: Rollups,
        vitals: Vitals,
        door: Door,
        *,
        clock: Clock = wall,
    ) -> None:
        super().__init__(vitals, door)
        self._commands, self._rollups, self._clock = commands, rollups, clock
        self._cases = CaseRoutes(self, cases)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/alerts/{key}/ack", self._ack),
            web.get("/silences", self._silences),
            web.post("/silences", self._silence),
            web.delete("/silences/{id}", self._lift),
            web.post("/test", self._test),
            web.get("/rollups", self._rebuilt),
            web.post("/rollups", self._rebuild),
            *self._cases.routes(),
        ]

    async def _ack(self, request: web.Request) -> web.Response:
        body = await body_of(request, AckBody)
        key = _key_of(request.match_info["key"], "alert")
        async with self.acting(request, "acknowledge", f"{key:016x}", body.comment) as act:
            before = self._commands.alert(key)
            act.before = before and {"state": before.state, "actor": before.actor}
            alert = await self._commands.acknowledge(key, act.actor, body.comment, body.again)
            act.after = {"state": alert.state, "rule": alert.rule, "brand": alert.scope.brand}
        return json_answer(to_record(alert))

    async def _silences(self, request: web.Request) -> web.Response:
        return json_answer({"silences": [silence_record(silence) for silence in self._commands.silences()]})

    async def _silence(self, request: web.Request) -> web.Response:
        body = await body_of(request, SilenceBody)
        ends_at = body.ends_at(datetime.fromtimestamp(self._clock(), UTC))
        names = (body.rule, body.brand, body.platform)
        async with self.acting(request, "silence", " ".join(filter(None, names)), body.comment) as act:
            made = silence_record(await self._commands.silence(*names, ends_at, act.actor, body.comment))
            act.after = made
        return json_answer(made, 201)

    async def _lift(self, request: web.Request) -> web.Response:
        number = _key_of(request.match_info["id"], "silence")
        async with self.acting(request, "lift", f"{number:016x}") as act:
            known = [each for each in self._commands.silences() if each.silence_id == number]
            act.before = silence_record(known[0]) if known else None
            act.after = lifted = silence_record(await self._commands.lift(number, act.actor))
        return json_answer(lifted)

    async def _test(self, request: web.Request) -> web.Response:
        body = await body_of(request, TestBody)
        async with self.acting(request, "test", " ".join(filter(None, (body.rule, body.brand))), body.comment) as act:
            alert = await self._commands.test(body.rule, body.brand, act.actor)
            act.after = {"alert": alert.hex}
        return json_answer({**to_record(alert), "untested": self._commands.untested(body.rule)}, 201)

    async def _rebuild(self, request: web.Request) -> web.Response:
        body = await body_of(request, RebuildBody)
        last = quarter_of(body.until - timedelta(seconds=1))
        async with self.acting(request, "rebuild rollups", f"{rfc3339(body.since)} to {rfc3339(body.until)}") as act:
            act.after = progress = self._rollups.ask(Span(quarter_of(body.since), last))._asdict()
        return json_answer(progress, 202)

    async def _rebuilt(self, request: web.Request) -> web.Response:
        return json_answer(self._rollups.progress()._asdict())


def _key_of(text: str, what: str) -> int:
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise UnknownName(f"there is no {what} {text[:40]!r}: it has 16 hexadecimal digits")
    return int(text, 16)
