"""`earshot console`: what happens now and why, in a browser, and acts on it.

    browser -> connections.py -> guard.py -> pages/ -> reads as user console; acts by the APIs of control and customers

It keeps nothing but the sessions of people, in a table: killed and restarted, everybody is still logged in.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline import migrate
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.act_form import broken_off
from pipeline.console.connections import Server
from pipeline.console.desk import Desk, Entry
from pipeline.console.door import listen
from pipeline.console.guard import Guard
from pipeline.console.oidc.login import Oidc
from pipeline.console.pages import (
    alert,
    alert_acts,
    backtest,
    brand,
    cases,
    dead_letters,
    done,
    login,
    now,
    oidc,
    operations,
    posts,
    record,
    sources,
)
from pipeline.console.people import People
from pipeline.console.place import Place
from pipeline.console.reader import as_console
from pipeline.console.reads import Reads
from pipeline.console.session_table import Row, SessionTable
from pipeline.console.sessions import Sessions
from pipeline.errors import EarshotError, UnreachableError
from pipeline.http import route
from pipeline.http.same_origin import is_loopback
from pipeline.monitoring import console_metrics, metrics
from pipeline.monitoring.health import PATHS, Vitals, answer, memory_limit
from pipeline.monitoring.process import run_process
from pipeline.monitoring.table_metrics import keep_asking

PAGES = (now, oidc, login, alert, backtest, alert_acts, cases, brand, posts, operations, sources, dead_letters, done, record)
"""The modules of pages, each with ROUTES."""
MENU = (Entry("/", "Now"), Entry("/brands", "Brands"), Entry("/operations", "Operations"), Entry("/record", "Record"))
WRITER_S = 3
"""The longest that a request waits for table console_sessions."""
SETTLE_S = 5.0
log = logging.getLogger("earshot.console")


def build(desk: Desk) -> Starlette:
    """The app: the guard, and the pages behind it."""
    desk.menu = MENU
    routes = [
        *(Route(path, _health) for path in PATHS),
        *desk.assets.routes(),
        *desk.libraries.routes(),
        *(each for page in PAGES for each in page.ROUTES),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, desk=desk), Middleware(GZipMiddleware, compresslevel=5)],
        exception_handlers={HTTPException: _http_error, EarshotError: _away},
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    return app


def make_desk(settings: Settings) -> Desk:
    """The desk of these settings. Raises SettingsError. It connects to nothing yet."""
    console = settings.console
    people = People(console.users)

    way_out = route.Route.of(settings.outgoing.proxy.get_secret_value(), settings.outgoing.ca_file)
    provider = Oidc(console, way_out) if console.oidc_issuer else None

    def still(row: Row) -> bool:
        if row.way == "oidc":
            return provider is not None and provider.stands(row)
        return row.way != "password" or people.stands(row.actor, row.entry)

    table = SessionTable(partial(clickhouse_client, settings.clickhouse, WRITER_S))
    sessions = Sessions(table, still, console.idle_hours * 3600)
    reads = Reads(as_console(settings))
    return Desk(settings, sessions, people, Place(console), Vitals(), reads, provider)


async def _health(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    status, body, kind = answer(desk.vitals, request.scope["path"])
    return Response(body, status, {"Content-Type": kind})


async def _http_error(request: Request, error: Exception) -> Response:
    desk: Desk = request.app.state.desk
    assert isinstance(error, HTTPException)
    plain = error.detail == HTTPStatus(error.status_code).phrase
    what = {404: "There is no such page.", 405: "The page does not take this."}.get(error.status_code, "It was refused.")
    answer = desk.fail(request, error.status_code, what if plain else error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _away(request: Request, error: Exception) -> Response:
    desk: Desk = request.app.state.desk
    assert isinstance(error, EarshotError)
    why = f"{error}."
    if getattr(request.state, "person", None) is None:  # addresses and names of servers are nothing for strangers
        log.warning("%s %r: %s", request.method, request.scope["path"], error)
        why = "ClickHouse does not answer, or too many ask."
    elif request.method == "POST" or request.headers.get("hx-target") == "act":
        return broken_off(request, error)
    return desk.fail(request, 503, why, "Try it again in a minute.")


async def _run(settings: Settings) -> None:
    desk = make_desk(settings)
    migrate.check(settings)
    metrics.MEMORY_LIMIT.set(memory_limit())
    console_metrics.start()
    console = settings.console
    keep_asking(clickhouse_client(settings.clickhouse, timeout_s=10), desk.vitals, "SELECT 1")
    with listen(console.host, console.port, lambda peer: is_loopback(peer) or desk.place.trusts(peer)) as sock:
        server = Server(build(desk), console.certificate, console.key, desk.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, partial(setattr, server, "should_exit", True))
        desk.hub.start()
        loading = asyncio.create_task(asyncio.to_thread(desk.libraries.load))
        settling = asyncio.create_task(_settle(desk))
        log.info("the console is at %s", desk.place.url("/", sock.getsockname()[1]))
        await server.serve([sock])
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        loading.cancel()
        await desk.hub.close()
        await desk.backtests.close()
        await desk.sessions.settle()
        desk.sessions.close()
        desk.reads.close()


async def _settle(desk: Desk) -> None:
    """Writes ends of sessions that could not be written, asks how those in use are, and ends the streams of those that are
    over. Whatever fails, it goes on: else a logout would not be written any more."""
    while True:
        await asyncio.sleep(SETTLE_S)
        try:
            await desk.sessions.settle()
            await desk.sessions.refresh()
            await _end_streams(desk)
        except Exception:
            log.exception("sessions are looked after again in %g s", SETTLE_S)


async def _end_streams(desk: Desk) -> None:
    for token in desk.hub.sessions:
        with suppress(UnreachableError):
            if await desk.sessions.find(token, note=False) is None:
                desk.hub.end(token)


def run_console(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    run_process("console", lambda: asyncio.run(_run(settings)), {"uvicorn": logging.ERROR})  # it warns of what strangers send
