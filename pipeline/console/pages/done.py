"""What an act led to, at an address of its own: who loads that page again acts once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console.act_form import Done
from pipeline.console.desk import Desk


async def page(request: Request) -> Response:
    """GET /done/ID, for who acted. What is not kept any more, as after a restart, is on record: it leads there."""
    desk: Desk = request.app.state.desk
    who, done = desk.done.get(request.path_params["id"], ("", None))
    if not isinstance(done, Done) or who != request.state.person.name:
        return RedirectResponse("/record", 303)
    return desk.page(request, "act_done.html", 200, done=done)


ROUTES = [Route("/done/{id}", page, methods=["GET"])]
