"""An alert: why it was raised, who was told, who did what, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console import alert_data, alert_view
from pipeline.console.alert_data import Asked, Counted, RuleNow
from pipeline.console.desk import Desk
from pipeline.console.filled import filled
from pipeline.console.pages.backtest import DAYS
from pipeline.console.part import Part, part
from pipeline.console.reads import ReadFailed
from pipeline.errors import EarshotError, UnknownName
from pipeline.queries.alert_history import told


async def page(request: Request) -> Response:
    """GET /alerts/KEY: the key's first digits lead to it, too."""
    desk: Desk = request.app.state.desk
    key = await _key(request)
    if key != request.path_params["key"]:
        return RedirectResponse(f"/alerts/{key}", 303)
    try:
        found = await alert_data.alert(desk.reads, key)
    except UnknownName as error:
        raise HTTPException(404, f"There is no such alert: {error}.") from None
    except ReadFailed as error:
        return desk.page(request, "alert_away.html", 503, key=key, failed=error)
    rule, counted = await _rest(desk, found)
    shown = found.shown
    values: dict[str, object] = {
        "key": key,
        "shown": shown,
        "alert": shown.alert,
        "asked": found,
        "query": filled(shown.alert.query, {}),
        "amount": alert_view.amount,
        "told": list(reversed(told(shown))),
        "deliveries": alert_view.deliveries(shown),
        "around": alert_view.around(shown.alert, datetime.fromtimestamp(desk.clock(), UTC)),
        "rule": rule,
        "backtest_days": DAYS,
        "counted": counted,
        "steps": alert_view.steps(shown, counted.value) if counted.value else [],
    }
    return desk.page(request, "alert.html", 200, **values)


async def chart(request: Request) -> Response:
    """GET /charts/alert/KEY: observed against expected, as JSON."""
    desk: Desk = request.app.state.desk
    try:
        found = await alert_data.alert(desk.reads, await _key(request))
    except UnknownName as error:
        raise HTTPException(404, str(error)) from None
    except ReadFailed as error:
        raise HTTPException(503, str(error)) from None
    _, counted = await _rest(desk, found)
    if counted.value is None:
        raise HTTPException(503, counted.failed)
    return alert_view.chart(found.shown, counted.value).response()


async def _key(request: Request) -> str:
    """The whole key that the address names. Raises HTTPException 404."""
    desk: Desk = request.app.state.desk
    text = request.path_params["key"]
    if len(text) == 16 and all(digit in "0123456789abcdef" for digit in text):
        return str(text)
    try:
        return await alert_data.find_alert(desk.reads, text)
    except ReadFailed as error:
        raise HTTPException(503, f"{error}. Load the page again in a minute.") from None
    except EarshotError as error:
        raise HTTPException(404, f"There is no such alert: {error}.") from None


async def _rest(desk: Desk, found: Asked) -> tuple[Part[RuleNow], Part[Counted]]:
    alert = found.shown.alert
    rule = await part(alert_data.rule_now(desk.settings, alert.rule), desk.clock)
    given, now = rule.value.rule if rule.value else None, datetime.fromtimestamp(desk.clock(), UTC)
    return rule, await part(alert_data.counted(desk.reads, alert, given, now), desk.clock)


ROUTES = [Route("/alerts/{key}", page), Route("/charts/alert/{key}", chart)]
