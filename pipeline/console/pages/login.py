"""Logging in, by a password or by a link that does it once, and out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console import one_time
from pipeline.console.desk import Desk
from pipeline.console.form import local
from pipeline.console.roles import Person, known_roles
from pipeline.console.session_table import Row
from pipeline.console.sessions import TOKEN
from pipeline.console.throttle import network
from pipeline.errors import UnreachableError
from pipeline.monitoring.console_metrics import LOGIN
from schemas.acts import Act

log = logging.getLogger("earshot.console")
WRONG = "Name and password don't belong together."
NOBODY = "(unknown name)"
UNWRITTEN = (
    "You are logged out, and ClickHouse is away: it is not written yet. Should the console be restarted before that, your "
    "session goes on until it has been idle for its hours."
)


async def form(request: Request) -> Response:
    """GET /login"""
    desk: Desk = request.app.state.desk
    going = local(request.query_params.get("next", "/"))
    if request.state.person is not None:
        return RedirectResponse(going, 303)
    return desk.login(request, 200, next=going)


async def password(request: Request) -> Response:
    """POST /login"""
    desk: Desk = request.app.state.desk
    given, address = request.state.form, request.state.address
    name, going, kept = given.get("name", "").strip(), local(given.get("next", "/")), given.get("kept", "")
    wait = math.ceil(desk.throttle.wait_s(name, address))
    if wait > 0:
        LOGIN.labels("slowed").inc()
        answer = desk.login(request, 429, next=going, kept=kept, name=name, problem=f"Too many tries: wait {wait} s.")
        answer.headers["Retry-After"] = str(wait)
        return answer
    desk.throttle.tried(name, address)
    user = await desk.hashing(lambda: desk.people.check(name, given.get("password", "")))
    if user is None:
        LOGIN.labels("refused").inc()
        known = name if name in desk.people.now() else NOBODY  # it may be a password, in the wrong field
        await note(request, Act(known, "console", "log in", "password", outcome=WRONG))
        return desk.login(request, 403, next=going, kept=kept, name=name, problem=WRONG)
    desk.throttle.passed(name, address)
    return await enter(request, user.name, tuple(user.roles), "password", user.entry, going, kept)


async def link(request: Request) -> Response:
    """GET /login/TOKEN: only a button, as what previews links must not use it up."""
    desk: Desk = request.app.state.desk
    token = request.path_params["token"]
    row = await _of_link(request, lambda: one_time.standing(desk.sessions.table, token, desk.clock))
    inside = row is None and request.state.person is not None and TOKEN.fullmatch(token) is not None
    if inside and await desk.sessions.run(lambda: one_time.was(desk.sessions.table, token)):  # it logged them in, most likely
        return RedirectResponse("/", 303)
    return desk.page(request, "link.html", 200 if row else 404, row=row)


async def use_link(request: Request) -> Response:
    """POST /login/TOKEN"""
    desk: Desk = request.app.state.desk
    token = request.path_params["token"]
    row = await _of_link(request, lambda: one_time.take(desk.sessions.table, token, desk.clock))
    if row is None:
        return desk.page(request, "link.html", 404, row=None)
    return await enter(request, row.actor, row.roles, "link", "", "/")


async def _of_link(request: Request, ask: Callable[[], Row | None]) -> Row | None:
    """What the table says of the link of this address: whoever asks may be anybody."""
    desk: Desk = request.app.state.desk
    if not TOKEN.fullmatch(request.path_params["token"]):
        return None
    return await desk.sessions.stranger(ask, network(request.state.address))


async def out(request: Request) -> Response:
    """POST /logout"""
    desk: Desk = request.app.state.desk
    person: Person = request.state.person
    written = await desk.sessions.end(request.state.token)
    desk.hub.end(request.state.token)
    await note(request, Act(person.name, "console", "log out"))
    request.state.person = None
    answer = RedirectResponse("/login", 303) if written else desk.login(request, 503, next="/", problem=UNWRITTEN)
    desk.cookie.take(answer)
    return answer


async def enter(
    request: Request, actor: str, roles: tuple[str, ...], way: str, entry: str, going: str, kept: str = ""
) -> Response:
    """A new session: that of before, whoever gave the browser its cookie, ends."""
    desk: Desk = request.app.state.desk
    token = await desk.sessions.open(actor, roles, way, entry)
    try:
        await _record(request, Act(actor, "console", "log in", way))
    except UnreachableError:
        await desk.sessions.end(token)
        raise
    LOGIN.labels("done").inc()
    if request.state.token:
        await desk.sessions.end(request.state.token)
    answer: Response = RedirectResponse(going, 303)
    if kept and (typed := _typed(kept)):
        desk.know(request, Person(actor, known_roles(roles)), token)
        answer = desk.again(request, 200, *typed)
    desk.cookie.give(answer, token)
    return answer


async def _record(request: Request, act: Act) -> None:
    """Puts the act on record, with the address that it comes from. Raises UnreachableError."""
    desk: Desk = request.app.state.desk
    act.after = {"address": request.state.address}
    await desk.sessions.run(lambda: desk.sessions.table.record(act))


async def note(request: Request, act: Act) -> None:
    """The same for what is so whether it is on record or not: a login was refused, a session is over."""
    try:
        await _record(request, act)
    except UnreachableError as error:
        log.warning("%s of %s: %s", act.act, act.actor, error)


def _typed(kept: str) -> tuple[str, dict[str, str]] | None:
    """Action and fields of an act that a session's end broke off."""
    try:
        value = orjson.loads(kept)
        action, fields = value["action"], value["form"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(action, str) or local(action) != action or not isinstance(fields, dict):
        return None
    return action, {str(name): str(text) for name, text in fields.items()}


ROUTES = [
    Route("/login", form, methods=["GET"]),
    Route("/login", password, methods=["POST"]),
    Route("/login/{token}", link, methods=["GET"]),
    Route("/login/{token}", use_link, methods=["POST"]),
    Route("/logout", out, methods=["POST"]),
]
