"""Posts about a brand in a time: where a click on a point of a chart leads."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console.brand_data import brand_url
from pipeline.console.desk import Desk
from pipeline.console.part import part
from pipeline.console.posts_data import TONES, posts, which
from pipeline.errors import SettingsError

NAMES = ("brand", "from", "to", "platform", "language", "tone", "after")


async def page(request: Request) -> Response:
    """GET /posts: `brand`, `from` and `to`; maybe `platform`, `language`, `tone`; `after`: the next page."""
    desk: Desk = request.app.state.desk
    typed = {name: request.query_params.get(name, "")[:200] for name in NAMES}
    values = {"typed": typed, "tones": TONES, "brand_url": brand_url}
    try:
        asked = which(request.query_params, datetime.fromtimestamp(desk.clock(), UTC))
    except SettingsError as error:
        return desk.page(request, "posts.html", 400, **values, problem=str(error), asked=None, found=None)
    found = await part(posts(desk.reads, asked), desk.clock)
    return desk.page(request, "posts.html", 200, **values, problem="", asked=asked, found=found)


ROUTES = [Route("/posts", page)]
