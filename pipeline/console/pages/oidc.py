"""Logging in by OpenID Connect: to the provider, and back."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console.desk import Desk
from pipeline.console.form import local
from pipeline.console.oidc.failed import LoginFailed
from pipeline.console.oidc.login import Oidc
from pipeline.console.oidc.waiting import VALID_S
from pipeline.console.pages.login import enter
from pipeline.errors import UnreachableError

BEGIN, BACK = "/login/oidc", "/login/oidc/back"
OVER = "This login is over, or another browser began it. Begin again."
log = logging.getLogger("earshot.console")


async def begin(request: Request) -> Response:
    """GET /login/oidc: a link, also from a page of the provider's own."""
    desk: Desk = request.app.state.desk
    going = local(request.query_params.get("next", "/"))
    if elsewhere := desk.place.elsewhere(request.headers.get("host", "")):  # its cookie would not come back
        return RedirectResponse(f"{elsewhere}{request.url.path}?{request.url.query}", 303)
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
        if known.name.casefold() in {name.casefold() for name in desk.people.now()}:
            raise LoginFailed(f"{known.name} is the name of somebody else here, in console.users.")
        answer = await enter(request, known.name, known.roles, "oidc", known.entry, login.going, login.kept)
    except LoginFailed as error:
        log.warning("a login by OpenID Connect failed: %s", error)
        answer = desk.login(request, error.status, next=login.going, kept=login.kept, problem=str(error))
    except UnreachableError as error:
        answer = desk.login(request, 503, next=login.going, kept=login.kept, problem=f"Nobody can be logged in now: {error}.")
    desk.oidc_cookie.take(answer)
    return answer


async def _leave(request: Request, going: str, kept: str) -> Response:
    desk: Desk = request.app.state.desk
    try:
        url, cookie = await _oidc(desk).begin(request.state.address, desk.place.own(request.headers, BACK), going, kept)
    except LoginFailed as error:
        log.warning("a login by OpenID Connect failed: %s", error)
        return desk.login(request, error.status, next=going, kept=kept, problem=str(error))
    answer: Response = RedirectResponse(url, 303)
    if request.method == "POST":
        answer = desk.page(request, "going.html", url=url)
    desk.oidc_cookie.give(answer, cookie, VALID_S)
    return answer


def _oidc(desk: Desk) -> Oidc:
    if desk.oidc is None:
        raise HTTPException(404)
    return desk.oidc


ROUTES = [
    Route(BEGIN, begin, methods=["GET"]),
    Route(BEGIN, begin_kept, methods=["POST"]),
    Route(BACK, back, methods=["GET"]),
]
