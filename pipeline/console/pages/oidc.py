"""Logging in by OpenID Connect: to the provider, and back."""

from __future__ import annotations

import logging
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console.desk import Desk
from pipeline.console.form import local
from pipeline.console.oidc.failed import LoginFailed, ProviderAway
from pipeline.console.oidc.login import Known, Oidc
from pipeline.console.oidc.names import claim, compared
from pipeline.console.oidc.waiting import VALID_S
from pipeline.console.pages.login import enter, note
from pipeline.errors import UnreachableError
from pipeline.monitoring.console_metrics import LOGIN
from schemas.acts import Act

BEGIN, BACK = "/login/oidc", "/login/oidc/back"
MOVED = "moved"
"""A parameter: a browser is sent to the public name once, as some proxies don't tell which name it asked."""
NOBODY = "Nobody can be logged in now: ClickHouse does not answer."
OVER = "This login is over, or another browser began it. Begin again."
log = logging.getLogger("earshot.console")


async def begin(request: Request) -> Response:
    """GET /login/oidc: a link, also from a page of the provider's own."""
    desk: Desk = request.app.state.desk
    going = local(request.query_params.get("next", "/"))
    there = desk.place.elsewhere(request.headers.get("host", ""))
    if there and MOVED not in request.query_params:  # its cookie would not come back
        return RedirectResponse(f"{there}{BEGIN}?{MOVED}=1&next={quote(going)}", 303)
    return await _leave(request, going, "")


async def begin_kept(request: Request) -> Response:
    """POST /login/oidc: with an act that waits. A page goes on to the provider, as no form of ours may lead elsewhere."""
    given = request.state.form
    return await _leave(request, local(given.get("next", "/")), given.get("kept", ""))


async def back(request: Request) -> Response:
    """GET /login/oidc/back, where the provider sends the browser."""
    desk: Desk = request.app.state.desk
    oidc, asked = _oidc(desk), request.query_params
    login = oidc.waiting.take(asked.get("state", ""), request.cookies.get(desk.oidc_cookie.name, ""))
    if login is None:
        return desk.login(request, 403, next="/", problem=OVER)
    try:
        known = await oidc.finish(asked, login)
        await _check_name(desk, known)
        answer = await enter(request, known.name, known.roles, "oidc", known.entry, login.going, login.kept)
    except LoginFailed as error:
        if error.name:
            await note(request, Act(error.name, "console", "log in", "oidc", outcome=str(error)))
        answer = _failed(request, oidc, error, login.going, login.kept)
    except UnreachableError as error:
        log.warning("a login by OpenID Connect failed: %s", error)
        answer = desk.login(request, 503, next=login.going, kept=login.kept, problem=NOBODY)
    desk.oidc_cookie.take(answer)
    return answer


async def _leave(request: Request, going: str, kept: str) -> Response:
    desk: Desk = request.app.state.desk
    oidc = _oidc(desk)
    try:
        url, cookie = await oidc.begin(request.state.address, desk.place.own(request.headers, BACK), going, kept)
    except LoginFailed as error:
        return _failed(request, oidc, error, going, kept)
    answer: Response = RedirectResponse(url, 303)
    if request.method == "POST":
        answer = desk.page(request, "going.html", url=url)
    desk.oidc_cookie.give(answer, cookie, VALID_S)
    return answer


async def _check_name(desk: Desk, known: Known) -> None:
    """Raises LoginFailed where the name is somebody else's: acts would be on record as theirs."""
    if compared(known.name) in map(compared, desk.people.now()):
        raise LoginFailed(f"{known.name} is the name of somebody else here, in console.users.", known.name)
    if not await desk.sessions.run(lambda: claim(desk.sessions.table, known.name, known.account, desk.clock)):
        why = "the name of somebody else here, who came from the provider first: `earshot console free` frees it"
        raise LoginFailed(f"{known.name} is {why}.", known.name)


def _failed(request: Request, oidc: Oidc, error: LoginFailed, going: str, kept: str) -> Response:
    """The login page, with the reason: there may be other ways to log in."""
    desk: Desk = request.app.state.desk
    LOGIN.labels("refused").inc()
    if not isinstance(error, ProviderAway) or oidc.away.due():
        log.warning("a login by OpenID Connect failed: %s", error)
    return desk.login(request, error.status, next=going, kept=kept, problem=str(error))


def _oidc(desk: Desk) -> Oidc:
    if desk.oidc is None:
        raise HTTPException(404)
    return desk.oidc


ROUTES = [
    Route(BEGIN, begin, methods=["GET"]),
    Route(BEGIN, begin_kept, methods=["POST"]),
    Route(BACK, back, methods=["GET"]),
]
