"""What people do about alerts: acknowledge, silence, lift a silence, test a rule. Each is a command to control, for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console import act_form, alert_board
from pipeline.console.act_form import Done, Field, Form
from pipeline.console.desk import Desk
from pipeline.console.part import part
from pipeline.console.roles import Role, wants
from pipeline.console.silences import silences
from pipeline.errors import EarshotError, SettingsError, UnreachableError
from pipeline.queries.names import brand_names, rule_names
from schemas.alerts import Alert, State

OFFERED = 500
"""Names: a list of more helps nobody."""
LASTS = {
    "30": "30 minutes",
    "60": "1 hour",
    "120": "2 hours",
    "240": "4 hours",
    "480": "8 hours",
    "1440": "1 day",
    "10080": "7 days",
}
"""Minutes of a silence. Each has an end."""


@wants(Role.OPS)
async def acknowledge_form(request: Request) -> Response:
    """GET /alerts/{key}/acknowledge"""
    return act_form.show(request, _acknowledging(request, await _alert(request)))


@wants(Role.OPS)
async def acknowledge(request: Request) -> Response:
    """POST /alerts/{key}/acknowledge"""
    desk: Desk = request.app.state.desk
    alert = await _alert(request)
    form = _acknowledging(request, alert)
    try:
        comment, again = form.taken(request.state.form)["comment"], request.state.form.get("again") == "yes"
        await desk.acting(partial(desk.control.acknowledge, request.state.person.name, alert.hex, comment, again))
    except EarshotError as error:
        return act_form.refused(request, form, error)
    return act_form.tell(request, Done("Acknowledged.", _about(alert), back=form.back))


@wants(Role.OPS)
async def silence_form(request: Request) -> Response:
    """GET /silence: `alert` names the one whose rule and brand it begins with."""
    alert = await _alert(request) if request.query_params.get("alert") else None
    return act_form.show(request, await _silencing(request, alert))


@wants(Role.OPS)
async def silence(request: Request) -> Response:
    """POST /silence"""
    desk: Desk = request.app.state.desk
    form = await _silencing(request, None)
    try:
        typed = form.taken(request.state.form)
        if typed["minutes"] not in LASTS:
            raise SettingsError("Say how long it lasts: a silence has an end.")
        if not (typed["rule"] or typed["brand"] or typed["platform"]):
            raise SettingsError("Name a rule, a brand or a platform.")
        who, of = request.state.person.name, {name: typed[name] for name in ("rule", "brand", "platform")}
        made = await desk.acting(partial(desk.control.silence, who, of, int(typed["minutes"]), typed["comment"]))
    except EarshotError as error:
        return act_form.refused(request, form, error)
    about = f"for {LASTS[typed['minutes']]}: {', '.join(f'{name} {text}' for name, text in of.items() if text)}."
    return act_form.tell(request, Done("Silenced", about, (), ("/silences", "All silences"), form.back, str(made["ends_at"])))


async def silence_list(request: Request) -> Response:
    """GET /silences"""
    desk: Desk = request.app.state.desk
    return desk.page(request, "silences.html", 200, silences=await part(silences(desk.reads), desk.clock), problem="")


@wants(Role.OPS)
async def lift(request: Request) -> Response:
    """POST /silences/{id}/lift"""
    desk: Desk = request.app.state.desk
    try:
        await desk.acting(partial(desk.control.lift, request.state.person.name, request.path_params["id"]))
    except EarshotError as error:
        found = await part(silences(desk.reads), desk.clock)
        status = 503 if isinstance(error, UnreachableError) else 409
        return desk.page(request, "silences.html", status, silences=found, problem=act_form.why(request, error))
    return RedirectResponse("/silences", 303)


@wants(Role.OPS)
async def test_form(request: Request) -> Response:
    """GET /test"""
    return act_form.show(request, await _testing(request))


@wants(Role.OPS)
async def test(request: Request) -> Response:
    """POST /test"""
    desk: Desk = request.app.state.desk
    form = await _testing(request)
    try:
        typed = form.taken(request.state.form)
        if not (rule := typed["rule"]):
            raise SettingsError("Name a rule.")
        who = request.state.person.name
        tested = await desk.acting(partial(desk.control.test, who, rule, typed["brand"], typed["comment"]))
    except EarshotError as error:
        return act_form.refused(request, form, error)
    lines = [str(line) for line in tested.get("untested", ())]
    link = (f"/alerts/{tested['key']}", "Who was told")
    about = f"A marked alert of {rule} is on its way to its receivers."
    return act_form.tell(request, Done("Tested.", about, lines, link))


# ----------------------------------------------------------------------------------------------------------------------
async def _alert(request: Request) -> Alert:
    """The alert that the address names, as it is now. Raises HTTPException 404, ReadFailed."""
    desk: Desk = request.app.state.desk
    key = request.path_params.get("key") or request.query_params.get("alert", "")
    alert = await alert_board.one(desk.reads, key)
    if alert is None:
        raise HTTPException(404, f"There is no alert {key[:40]!r}.")
    return alert


async def _names(request: Request) -> tuple[Sequence[str], Sequence[str]]:
    """The brands and rules of this machine's files, which a form offers. Others may exist; control knows."""
    settings = request.app.state.desk.settings
    brands, rules = await asyncio.to_thread(lambda: (brand_names(settings), rule_names(settings)))
    return brands[:OFFERED], rules[:OFFERED]


def _about(alert: Alert) -> str:
    return f"{alert.scope}, {alert.rule}: {alert.summary}"


def _came_from(request: Request, key: str) -> tuple[str, str]:
    """Where the act was asked for, and what says so in an address: on the page of the alert, or on Now. It goes back there."""
    if request.query_params.get("from") == "alert" and re.fullmatch("[0-9a-f]{16}", key):
        return f"/alerts/{key}", "?from=alert"
    return f"/#alert-{key}" if key else "/", ""


def _acknowledging(request: Request, alert: Alert) -> Form:
    back, came = _came_from(request, alert.hex)
    where, fields, button = f"/alerts/{alert.hex}/acknowledge{came}", [act_form.comment()], "Acknowledge"
    note = "Nobody is reminded again until it ends."
    if alert.state is State.ACKNOWLEDGED:
        fields.append(Field("again", "", "yes", hidden=True))
        button = "Take it over"
        said = f": {alert.comment}" if alert.comment else ""
        who = "You have" if alert.actor == request.state.person.name else f"{alert.actor} has"
        note = f"{who} it already, since {alert.changed_at:%Y-%m-%d %H:%M:%S} UTC{said}"
    elif alert.state is not State.FIRING:
        note = "It is over: there is nothing to acknowledge." if alert.state is State.RESOLVED else "It does not fire yet."
        button = ""
    return Form("Acknowledge", where, button, fields, _about(alert), note, back)


async def _silencing(request: Request, alert: Alert | None) -> Form:
    brands, rules = await _names(request)
    brand, rule = (alert.scope.brand, alert.rule) if alert else ("", "")
    fields = [
        Field("brand", "Brand", brand, list=brands, hint="Blank: any brand.", first=not alert),
        Field("rule", "Rule", rule, 64, list=rules, hint="Blank: any rule."),
        Field("platform", "Platform", most=64, hint="Blank: any platform."),
        Field("minutes", "For", "120", choices=list(LASTS.items()), first=bool(alert)),
        act_form.comment(first=False),
    ]
    note = "Nobody is notified of these alerts meanwhile. They go on, and are marked as muted."
    key = request.query_params.get("alert", "")
    back, came = _came_from(request, key)
    where = f"/silence{came}&alert={key}" if came else "/silence"
    return Form("Silence", where, "Silence", fields, _about(alert) if alert else "", note, back)


async def _testing(request: Request) -> Form:
    brands, rules = await _names(request)
    fields = [
        Field("rule", "Rule", most=64, required=True, list=rules, first=True),
        Field("brand", "Brand", list=brands, hint="The brand in the alert; it may be blank."),
        act_form.comment(first=False),
    ]
    note = "A marked alert goes to the rule's real receivers that are in their hours."
    return Form("Test a rule", "/test", "Send the test", fields, "", note)


ROUTES = [
    Route("/alerts/{key}/acknowledge", acknowledge_form, methods=["GET"]),
    Route("/alerts/{key}/acknowledge", acknowledge, methods=["POST"]),
    Route("/silence", silence_form, methods=["GET"]),
    Route("/silence", silence, methods=["POST"]),
    Route("/silences", silence_list, methods=["GET"]),
    Route("/silences/{id}/lift", lift, methods=["POST"]),
    Route("/test", test_form, methods=["GET"]),
    Route("/test", test, methods=["POST"]),
]
