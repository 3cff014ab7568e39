"""The first page, until there is another."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console.desk import Desk


async def page(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return desk.page(request, "start.html")


ROUTES = [Route("/", page)]
