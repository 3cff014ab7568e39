"""Operations: how the processes are, how fast events land, the sources, the dead letters."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console import letters
from pipeline.console.desk import Desk
from pipeline.console.part import part
from pipeline.console.roles import Role
from pipeline.console.sources import standings


async def page(request: Request) -> Response:
    """GET /operations"""
    desk: Desk = request.app.state.desk
    states, figures, kafka, sources, rejects = await asyncio.gather(
        desk.processes.states(),
        part(desk.processes.figures(), desk.clock),
        part(desk.processes.kafka(), desk.clock),
        part(standings(desk.settings, desk.reads), desk.clock),
        part(desk.reads.named("rejects", {}, keep_s=2.0, most=200), desk.clock),
    )
    if not request.state.person.may(Role.SRE):
        rejects = letters.kinds(rejects)
    values = {"states": states, "figures": figures, "kafka": kafka, "sources": sources, "rejects": rejects}
    return desk.page(request, "operations.html", 200, **values, has_sources=desk.settings.sources is not None)


ROUTES = [Route("/operations", page)]
