"""Who has which conversation: take one, hand it over, say that it is done. Each is a command to control, for the person."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console import act_form, waiting
from pipeline.console.act_form import Done, Field, Form
from pipeline.console.desk import Desk
from pipeline.console.roles import Role, wants
from pipeline.errors import EarshotError
from schemas.untyped import JsonObject

NAMES = ("brand", "platform", "conversation_id")
_SAY = {"take": ("Take", "Taken."), "hand-over": ("Hand over", "Handed over."), "done": ("Done", "Done.")}
_NOTES = {
    "take": "Others see that it is yours.",
    "hand-over": "Blank: nobody has it any more.",
    "done": "It is off the list until the customer writes again.",
}


@wants(Role.OPS)
async def form(request: Request) -> Response:
    """GET /cases/{act}?brand=&platform=&conversation_id="""
    return act_form.show(request, _form(_act(request), request.query_params))


@wants(Role.OPS)
async def act(request: Request) -> Response:
    """POST /cases/{act}"""
    which, typed = _act(request), request.state.form
    asked = _form(which, typed)
    desk: Desk = request.app.state.desk
    try:
        case = await desk.acting(partial(_command, request, which, asked.taken(typed)))
    except EarshotError as error:
        return act_form.refused(request, asked, error)
    finally:
        desk.reads.forget(waiting.QUERY)
    owner = f" {case['owner']} has it." if which == "hand-over" and case["owner"] else ""
    return act_form.tell(request, Done(_SAY[which][1], asked.about + owner, back="/#waiting", changed="cases"))


def _command(request: Request, which: str, typed: Mapping[str, str]) -> JsonObject:
    desk: Desk = request.app.state.desk
    who, conversation = request.state.person.name, {name: typed[name] for name in NAMES}
    comment = typed["comment"]
    if which == "take":
        return desk.control.take(who, conversation, comment)
    if which == "done":
        return desk.control.done(who, conversation, comment)
    return desk.control.hand_over(who, conversation, typed["owner"], comment)


def _act(request: Request) -> str:
    """Raises HTTPException 404 for another."""
    which = str(request.path_params["act"])
    if which not in _SAY:
        raise HTTPException(404)
    return which


def _form(which: str, given: Mapping[str, str]) -> Form:
    """Raises HTTPException 400 if no conversation is named."""
    if not all(given.get(name) for name in NAMES):
        raise HTTPException(400, "Name a conversation: its brand, platform and id.")
    fields = [Field(name, "", given[name], hidden=True) for name in NAMES]
    if which == "hand-over":
        fields.append(Field("owner", "To whom", most=200, first=True))
    fields.append(act_form.comment(first=which != "hand-over"))
    about, say = ", ".join(given[name] for name in NAMES), _SAY[which][0]
    return Form(f"{say}: a conversation", f"/cases/{which}", say, fields, about, _NOTES[which], "/#waiting")


ROUTES = [
    Route("/cases/{act}", form, methods=["GET"]),
    Route("/cases/{act}", act, methods=["POST"]),
]
