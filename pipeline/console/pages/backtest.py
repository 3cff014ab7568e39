"""What a rule would have raised: asked on the page of an alert, computed in the background."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console.brand_data import brand_url
from pipeline.console.desk import Desk
from pipeline.console.roles import Role, wants
from pipeline.errors import ConflictError

DAYS = {"1": "a day", "7": "7 days", "30": "30 days"}
SHOWN = 200
"""Alerts of a page."""


@wants(Role.OPS, Role.ANALYST, Role.SRE)
async def start(request: Request) -> Response:
    """POST /backtests: `rule`, `days`, and maybe `brand`. It changes nothing, so it is on no record."""
    desk: Desk = request.app.state.desk
    rule, brand, days = (request.state.form.get(name, "")[:500] for name in ("rule", "brand", "days"))
    if not rule or days not in DAYS:
        raise HTTPException(422, f"Name a rule, and one of {', '.join(DAYS)} days.")
    try:
        job = desk.backtests.start(rule, brand, int(days), request.state.person.name)
    except ConflictError as error:
        raise HTTPException(409, f"{error}. Try again in a minute.") from None
    return RedirectResponse(f"/backtests/{job.id}", 303)


async def page(request: Request) -> Response:
    """GET /backtests/ID"""
    desk: Desk = request.app.state.desk
    job = desk.backtests.find(request.path_params["id"])
    if job is None:
        raise HTTPException(404, "There is no such backtest: the console keeps the last ones until it is restarted.")
    return desk.page(request, "backtest.html", 200, job=job, shown=SHOWN, brand_url=brand_url, days=DAYS)


ROUTES = [Route("/backtests", start, methods=["POST"]), Route("/backtests/{id}", page, methods=["GET"])]
