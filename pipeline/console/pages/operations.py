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
from pipeline.maintenance.dead_letters import Filter

MOST_REASONS = 2_000
"""A reason that names a place comes once for each place."""


async def page(request: Request) -> Response:
    """GET /operations"""
    desk: Desk = request.app.state.desk
    states, figures, kafka, sources, rejects, counted = await asyncio.gather(
        desk.processes.states(),
        part(desk.processes.figures(), desk.clock),
        part(desk.processes.kafka(), desk.clock),
        part(standings(desk.settings, desk.reads), desk.clock),
        part(desk.reads.named("rejects", {}, keep_s=2.0, most=MOST_REASONS), desk.clock),
        part(letters.counted(desk.reads, Filter(), keep_s=2.0), desk.clock),
    )
    rejects = (letters.alike if request.state.person.may(Role.SRE) else letters.kinds)(rejects)
    values = {"states": states, "figures": figures, "kafka": kafka, "sources": sources, "rejects": rejects}
    values |= {"numbers": letters.numbers(counted.value) if counted.value else ""}
    return desk.page(request, "operations.html", 200, **values, has_sources=desk.settings.sources is not None)


ROUTES = [Route("/operations", page)]
