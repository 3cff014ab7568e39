"""One source: its state, what of its payloads is not mapped, its gaps; paused and resumed."""

from __future__ import annotations

import asyncio
from functools import partial

from clickhouse_connect.driver.client import Client
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console import act_form
from pipeline.console.act_form import Done, Form
from pipeline.console.desk import Desk
from pipeline.console.on_record import act_of, doing
from pipeline.console.part import part
from pipeline.console.roles import Role, wants
from pipeline.console.sources import standings
from pipeline.errors import EarshotError, UnknownName
from pipeline.listen import status
from pipeline.listen.sources_file import AnySource


async def page(request: Request) -> Response:
    """GET /operations/sources/{name}"""
    desk: Desk = request.app.state.desk
    source = await _source(request)
    found, gaps = await asyncio.gather(
        part(standings(desk.settings, desk.reads), desk.clock),
        part(desk.reads.ask(status.GAPS, {"name": source.name}), desk.clock),
    )
    standing = next((each for each in found.value.standings if each.source == source.name), None) if found.value else None
    return desk.page(request, "source.html", 200, source=source, found=found, standing=standing, gaps=gaps)


@wants(Role.SRE)
async def change_form(request: Request) -> Response:
    """GET /operations/sources/{name}/pause, or resume"""
    return act_form.show(request, _form(await _source(request), _paused(request)))


@wants(Role.SRE)
async def change(request: Request) -> Response:
    """POST /operations/sources/{name}/pause, or resume"""
    desk: Desk = request.app.state.desk
    source, paused = await _source(request), _paused(request)
    form = _form(source, paused)

    def work(_: Client) -> None:
        status.pause(desk.settings, source, paused)

    try:
        comment = form.taken(request.state.form)["comment"]
        act = act_of(request, "pause source" if paused else "resume source", source.name, comment)
        act.after = {"paused": paused}
        await doing(desk, act, work)
    except EarshotError as error:
        return act_form.refused(request, form, error)
    title = "Paused." if paused else "Goes on."
    about = f"{source.name}: its listener sees it at once, and says so here within seconds."
    return act_form.tell(request, Done(title, about, back=f"/operations/sources/{source.name}"))


# ----------------------------------------------------------------------------------------------------------------------
async def _source(request: Request) -> AnySource:
    """Raises HTTPException 404."""
    desk: Desk = request.app.state.desk
    try:
        return await asyncio.to_thread(partial(status.source_named, desk.settings, request.path_params["name"]))
    except UnknownName as error:
        raise HTTPException(404, str(error)) from None
    except EarshotError as error:
        raise HTTPException(503, str(error)) from None


def _paused(request: Request) -> bool:
    """What the act is. Raises HTTPException 404 for another."""
    act = request.path_params["act"]
    if act not in ("pause", "resume"):
        raise HTTPException(404)
    return bool(act == "pause")


def _form(source: AnySource, paused: bool) -> Form:
    where, about, fields = f"/operations/sources/{source.name}", f"{source.name} ({source.platform})", [act_form.comment()]
    note = "It goes on where it was."
    if paused:
        note = (
            f"It asks its platform nothing until somebody resumes it. {note} What its platform gives no more by then is a gap."
        )
    say = "Pause" if paused else "Resume"
    return Form(f"{say} a source", f"{where}/{say.lower()}", say, fields, about, note, where)


ROUTES = [
    Route("/operations/sources/{name}", page, methods=["GET"]),
    Route("/operations/sources/{name}/{act}", change_form, methods=["GET"]),
    Route("/operations/sources/{name}/{act}", change, methods=["POST"]),
]
