"""The guard before every page: who asks, where from, and with which form; and the headers of every answer.

    Host, proxy -> health and static files -> size and form -> session -> origin and CSRF token of an act -> the page

A page finds in `request.state` the `person`, `csrf` for its forms, `form` of a POST, `address` of who asks, and `token` of the
session. An act that is refused for its session or token keeps what was typed: pages/login.py shows it again.
"""

from __future__ import annotations

import logging
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.clock import steady
from pipeline.console.desk import Desk, path_of, target_of
from pipeline.console.form import CSRF, CSRF_HEADER, MOST_BYTES, MOST_BYTES_OUTSIDE, BadForm, csrf_is, read_form
from pipeline.console.roles import Person, known_roles
from pipeline.console.throttle import network
from pipeline.errors import UnreachableError
from pipeline.monitoring.console_metrics import ANSWERS, SECONDS
from pipeline.monitoring.health import PATHS

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not none: a browser would send its own forms with Origin null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
READING = ("GET", "HEAD")
STATIC = ("/static/", "/libraries/")
LOGIN = "/login"
POLLED = ("/now/", "/backtests/")
"""What an open page asks by itself, and streams: nobody need be there."""
log = logging.getLogger("earshot.console")


class Guard:
    """ASGI middleware: nothing reaches `app` that it did not let through."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app, self._desk = app, desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, began = False, steady()

        async def out(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._headers(MutableHeaders(scope=message))
                if not scope["path"].startswith((*PATHS, *STATIC)):
                    ANSWERS.labels(f"{message['status'] // 100}xx").inc()
                    SECONDS.observe(steady() - began)
            await send(message)

        request = Request(scope, receive)
        try:
            answer = await self._refused(request)
            await (answer or self._app)(scope, receive, out)
        except Exception:
            log.exception("%s %r", scope["method"], scope["path"])  # a path may hold ends of lines
            if started:
                raise
            await self._desk.fail(request, 500, "The page failed.", "The console's log says why.")(scope, receive, out)

    def _headers(self, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        if self._desk.place.https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        headers.setdefault("Cache-Control", "no-store")

    async def _refused(self, request: Request) -> Response | None:
        """The answer in place of the page; None: the page answers."""
        state, headers, path = request.state, request.headers, path_of(request)
        state.person, state.csrf, state.form, state.token = None, "", {}, ""
        peer = request.client.host if request.client else ""
        if path in PATHS:
            why = self._desk.place.refusal_of_health(headers)
            return PlainTextResponse(f"{why}\n", 403) if why else None
        if why := self._desk.place.refusal(peer, headers.get("host", "")):
            return self._desk.fail(request, 403, f"Refused: {why}.", "Open it by the address that it was given to you by.")
        state.address = self._desk.place.address(peer, headers.getlist("x-forwarded-for"))
        if path.startswith(STATIC):
            return None
        try:
            await self._know(request)
        except UnreachableError as error:
            log.warning("who asks can't be looked up: %s", error)
            todo = "ClickHouse does not answer, or too many ask: load the page again in a minute."
            return self._desk.fail(request, 503, "Who you are can't be looked up.", todo)
        if request.method in READING:
            return None if state.person or _open(path) else self._to_login(request)
        return await self._check_act(request)

    async def _know(self, request: Request) -> None:
        """Puts person and CSRF token of the session into the request's state."""
        token = request.cookies.get(self._desk.cookie.name, "")
        own = not path_of(request).startswith(POLLED)
        row = await self._desk.sessions.find(token, own, network(request.state.address)) if token else None
        if row is not None:
            self._desk.know(request, Person(row.actor, known_roles(row.roles)), token)

    def _to_login(self, request: Request) -> Response:
        if request.headers.get("hx-request"):
            return self._desk.fail(request, 401, "You are no longer logged in.", "Log in again.")
        target = target_of(request)
        return RedirectResponse(f"{LOGIN}?next={quote(target, safe='')}" if target != "/" else LOGIN, 303)

    async def _check_act(self, request: Request) -> Response | None:
        state, path = request.state, path_of(request)
        if not self._desk.place.same_origin(request.headers):
            return self._desk.fail(request, 403, "Refused: a page of another origin sent this.", "Nothing was done.")
        try:
            most = MOST_BYTES if state.person else MOST_BYTES_OUTSIDE
            state.form = await read_form(request.headers, request.receive, most)
        except BadForm as error:
            return self._desk.fail(request, error.status, str(error), "Nothing was done.")
        given = state.form.pop(CSRF, "") or request.headers.get(CSRF_HEADER, "")
        if _open(path):
            return None
        if state.person is None:
            return self._desk.again(request, 401)
        if not csrf_is(given, state.token):
            return self._desk.again(request, 403)
        return None


def _open(path: str) -> bool:
    """Whether the page is for those who are not logged in yet, too."""
    return path == LOGIN or path.startswith(f"{LOGIN}/")
