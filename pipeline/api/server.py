"""The HTTP port of a process that takes commands: health for monitoring, and commands of people with a token.

Bodies are JSON, errors `{"error": "..."}`. A command carries `Authorization: Bearer` and the token of an actor (setting
`<name>.tokens`), or the console's, which names the person (pipeline/api/callers.py). Each goes on record with its outcome,
before it is answered. Browsers are refused: they have the console.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar, NamedTuple, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.api.callers import Caller, Callers, RequestError, from_browser
from pipeline.config.apis import ApiSettings
from pipeline.config.document import first_problem
from pipeline.errors import ConflictError, EarshotError, StackError, UnknownName
from pipeline.http.same_origin import refusal
from pipeline.monitoring.health import PATHS, Vitals, answer
from schemas.acts import Act
from schemas.times import utc_now

log = logging.getLogger(__name__)

MAX_BODY = 64 << 10
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Record = Callable[[Act], None]
"""Puts an act on record. Blocks; raises EarshotError if it is not known to be."""


class Body(BaseModel):
    """A JSON body; a key that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyBody = TypeVar("AnyBody", bound=Body)


class Door(NamedTuple):
    """Where a process takes commands, from whom, and how they go on record."""

    host: str
    port: int
    callers: Callers
    record: Record

    @classmethod
    def of(cls, api: str, section: ApiSettings, record: Record) -> Door:
        """That of the settings."""
        return cls(section.host, section.port, Callers.of(api, section), record)


class CommandServer(ABC):
    """Serves at its door in the running event loop, from `start` to `stop`: health, and the routes of a subclass.

    Without tokens it serves health alone, and refuses each command. An EarshotError of a route is its answer: 404 for
    UnknownName, 409 for ConflictError, else 503.
    """

    name: ClassVar[str]
    """Of the process, and of its section in the settings."""
    max_body: ClassVar[int] = MAX_BODY

    def __init__(self, vitals: Vitals, door: Door) -> None:
        self._vitals = vitals
        self._host, self._port, self._callers, self._record = door
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The commands."""

    @property
    def port(self) -> int:
        """The port it listens on: a free one where the settings say 0."""
        return self._port

    async def start(self) -> None:
        """Raises StackError when the port is taken."""
        app = web.Application(middlewares=[self._errors, self._guard], client_max_size=self.max_body)
        app.add_routes([*(web.get(path, self._health) for path in PATHS), *self.routes()])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise StackError(f"{self.name}'s port {self._host}:{self._port}: {error.strerror}") from None
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Answers the requests that have begun, then closes the port."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def caller(self, request: web.Request) -> Caller:
        """Who asks. Raises RequestError as `Callers.caller`."""
        return self._callers.caller(request.headers)

    @asynccontextmanager
    async def acting(self, request: web.Request, act: str, subject: str = "", comment: str = "") -> AsyncIterator[Act]:
        """Puts the command that the block runs on record, with its outcome; the block fills in what it knows of the rest.

        Raises what the block raises, and EarshotError if a command that was done is not on record.
        """
        done = Act(*self.caller(request), act, subject, comment)
        try:
            yield done
        except Exception as error:
            known = isinstance(error, (EarshotError, RequestError))
            done.outcome, done.at = str(error) if known else f"it failed: {type(error).__name__}", utc_now()
            try:
                await asyncio.to_thread(self._record, done)
            except EarshotError as unrecorded:  # the caller is told of the first error
                log.warning("%s", unrecorded)
            raise
        done.at = utc_now()
        await asyncio.to_thread(self._record, done)

    async def _health(self, request: web.Request) -> web.Response:
        status, body, kind = answer(self._vitals, request.path)
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if reason := refusal(self._host, request.headers):
            raise RequestError(403, reason)
        if request.path not in PATHS:
            if from_browser(request.headers):
                raise RequestError(403, "not for browsers: use `earshot console`")
            self.caller(request)
        return await handler(request)

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as error:
            return json_answer({"error": str(error)}, error.status)
        except web.HTTPRequestEntityTooLarge:
            return json_answer({"error": f"a body has {self.max_body >> 10:,} kB at most"}, 413)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            return web.json_response({"error": f"{request.path} takes {allowed}"}, status=405, headers={"Allow": allowed})
        except web.HTTPException as error:
            reason = f"there is no {request.path}" if error.status == 404 else error.reason
            return json_answer({"error": reason}, error.status)
        except EarshotError as error:
            return json_answer({"error": str(error)}, {UnknownName: 404, ConflictError: 409}.get(type(error), 503))
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return json_answer({"error": f"it failed: see {self.name}'s log"}, 500)


async def body_of(request: web.Request, kind: type[AnyBody]) -> AnyBody:
    """The body. Raises RequestError for a body that is no JSON, or no `kind`."""
    if request.content_type != "application/json":
        raise RequestError(415, "send Content-Type: application/json")
    try:
        return kind.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise RequestError(400, str(first_problem(error, kind, None))) from None


def json_answer(value: object, status: int = 200) -> web.Response:
    """An answer with this JSON value."""
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
