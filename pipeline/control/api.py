"""The control API: the HTTP port of `earshot control`, with health for monitoring and commands for people.

    GET    /live  /ready  /metrics   as a worker has them (pipeline/monitoring/health.py)
    POST   /alerts/{key}/ack         {"comment"}                                                  -> the alert
    POST   /silences                 {"rule", "brand", "platform", "minutes" | "until", "comment"} -> the silence
    DELETE /silences/{id}            -> the silence, as it ends
    GET    /silences                 -> the silences that have not ended
    POST   /test                     {"rule", "brand"} -> the alert, and `untested`: the receivers that it does not test

Keys and ids are 16 hexadecimal digits, bodies JSON, errors `{"error": "..."}`. A command carries `Authorization: Bearer` and
the token of an actor (setting control.tokens), which goes on record with it. Requests of a web page of another origin are
refused (pipeline/http/same_origin.py). Contract of the commands: pipeline/control/commands.py.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.clock import Clock, wall
from pipeline.config.document import first_problem
from pipeline.control.commands import Commands, ConflictError
from pipeline.errors import EarshotError, StackError, UnknownName
from pipeline.http.same_origin import refusal
from pipeline.monitoring.health import PATHS, Vitals, answer
from pipeline.processors.alerts.silences import Silence
from schemas.alerts import to_record
from schemas.times import rfc3339

log = logging.getLogger(__name__)

MAX_BODY = 64 << 10
LONGEST_SILENCE = timedelta(days=366)


# --- bodies -----------------------------------------------------------------------------------------------------------
class Body(BaseModel):
    """A JSON body; a key that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AckBody(Body):
    """Of POST /alerts/{key}/ack."""

    comment: str = Field("", max_length=2_000)


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


AnyBody = TypeVar("AnyBody", bound=Body)


def silence_record(silence: Silence) -> dict[str, object]:
    """The silence as a JSON object."""
    return {
        "id": f"{silence.silence_id:016x}",
        **{name: getattr(silence, name) for name in ("rule", "brand", "platform", "actor", "comment")},
        **{name: rfc3339(getattr(silence, name)) for name in ("starts_at", "ends_at", "changed_at")},
    }


# --- the server -------------------------------------------------------------------------------------------------------
class ApiServer:
    """Serves on `host:port` in the running event loop, from `start` to `stop`.

    Without tokens it serves health alone, and refuses each command.
    """

    def __init__(
        self, commands: Commands, vitals: Vitals, host: str, port: int, tokens: Mapping[str, str], *, clock: Clock = wall
    ) -> None:  # fmt: skip
        self._commands, self._vitals, self._clock = commands, vitals, clock
        self._host, self._port = host, port
        self._tokens = {actor: token.encode() for actor, token in tokens.items()}
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on: a free one where the settings say 0."""
        return self._port

    async def start(self) -> None:
        """Raises StackError when the port is taken."""
        app = web.Application(middlewares=[_errors, self._guard], client_max_size=MAX_BODY)
        app.add_routes([web.get(path, self._health) for path in PATHS])
        app.router.add_post("/alerts/{key}/ack", self._ack)
        app.router.add_get("/silences", self._silences)
        app.router.add_post("/silences", self._silence)
        app.router.add_delete("/silences/{id}", self._lift)
        app.router.add_post("/test", self._test)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise StackError(f"control's port {self._host}:{self._port}: {error.strerror}") from None
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Answers the requests that have begun, then closes the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if reason := refusal(self._host, request.headers):
            raise RequestError(403, reason)
        if request.path not in PATHS:
            self._actor(request)
        return await handler(request)

    def _actor(self, request: web.Request) -> str:
        """The owner of the request's token. Raises RequestError for an unknown token.

        Every token is compared whole, so that the time taken reveals nothing.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode(errors="surrogateescape")
        actors = [actor for actor, token in self._tokens.items() if hmac.compare_digest(token, sent)]
        if not actors or scheme.lower() != "bearer":
            raise RequestError(401, "send `Authorization: Bearer <token>` with a token of setting control.tokens")
        return actors[0]

    async def _health(self, request: web.Request) -> web.Response:
        status, body, kind = answer(self._vitals, request.path)
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    async def _ack(self, request: web.Request) -> web.Response:
        body = await _body(request, AckBody)
        key = _key_of(request.match_info["key"], "alert")
        return _json(to_record(await self._commands.acknowledge(key, self._actor(request), body.comment)))

    async def _silences(self, request: web.Request) -> web.Response:
        return _json({"silences": [silence_record(silence) for silence in self._commands.silences()]})

    async def _silence(self, request: web.Request) -> web.Response:
        body = await _body(request, SilenceBody)
        ends_at = body.ends_at(datetime.fromtimestamp(self._clock(), UTC))
        silence = await self._commands.silence(
            body.rule, body.brand, body.platform, ends_at, self._actor(request), body.comment
        )  # fmt: skip
        return _json(silence_record(silence), 201)

    async def _lift(self, request: web.Request) -> web.Response:
        number = _key_of(request.match_info["id"], "silence")
        return _json(silence_record(await self._commands.lift(number, self._actor(request))))

    async def _test(self, request: web.Request) -> web.Response:
        body = await _body(request, TestBody)
        alert = await self._commands.test(body.rule, body.brand, self._actor(request))
        return _json({**to_record(alert), "untested": self._commands.untested(body.rule)}, 201)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RequestError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _json({"error": str(error)}, error.status)
    except web.HTTPRequestEntityTooLarge:
        return _json({"error": f"a body has {MAX_BODY >> 10} kB at most"}, 413)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return web.json_response({"error": f"{request.path} takes {allowed}"}, status=405, headers={"Allow": allowed})
    except web.HTTPException as error:
        return _json({"error": f"there is no {request.path}" if error.status == 404 else error.reason}, error.status)
    except EarshotError as error:
        return _json({"error": str(error)}, {UnknownName: 404, ConflictError: 409}.get(type(error), 503))
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return _json({"error": "it failed: see control's log"}, 500)


async def _body(request: web.Request, kind: type[AnyBody]) -> AnyBody:
    """The body. Raises RequestError for a body that is no JSON, or no `kind`."""
    if request.content_type != "application/json":
        raise RequestError(415, "send Content-Type: application/json")
    try:
        return kind.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise RequestError(400, str(first_problem(error, kind, None))) from None


def _key_of(text: str, what: str) -> int:
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise UnknownName(f"there is no {what} {text[:40]!r}: it has 16 hexadecimal digits")
    return int(text, 16)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
