"""Now, the first page: alerts as they change, who waits for an answer, the tone of the last hour."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console import alert_board, tone, waiting
from pipeline.console.desk import Desk
from pipeline.console.part import Part, part
from pipeline.console.stream import sse_response
from pipeline.errors import EarshotError
from pipeline.queries.alerts import Filter
from pipeline.queries.names import names_of, unknown


async def page(request: Request) -> Response:
    """GET /"""
    desk: Desk = request.app.state.desk
    which, problem = alert_board.filter_of(request.query_params)
    now, place = datetime.fromtimestamp(desk.clock(), UTC), desk.hub.place  # before the tables are read: nothing is missed
    alerts, conversations, tones, problems = await asyncio.gather(
        part(alert_board.board(desk.reads, which, now), desk.clock),
        part(waiting.waiting(desk.reads, which.brand), desk.clock),
        part(tone.tones(desk.reads, now, which.brand), desk.clock),
        _problems(desk, which),
    )
    place = alerts.value.place if alerts.value else place  # the lists may be some moments old
    values = {"alerts": alerts, "waiting": conversations, "tones": tones, "which": which, "now": now, "place": place}
    problems += [problem] if problem else []
    status = 400 if problem else 404 if problems else 200
    values |= {"problems": problems, "query": request.url.query, "typed": request.query_params}
    return desk.page(request, "now.html", status, **values)


async def alerts(request: Request) -> Response:
    """GET /now/alerts: the lists alone, for a page whose stream missed something."""
    desk: Desk = request.app.state.desk
    which, _ = alert_board.filter_of(request.query_params)
    now = datetime.fromtimestamp(desk.clock(), UTC)
    found: Part[alert_board.Board] = await part(alert_board.board(desk.reads, which, now, keep_s=0.0), desk.clock)
    return desk.page(request, "now_alerts.html", 200, alerts=found)


async def conversations(request: Request) -> Response:
    """GET /now/waiting: who waits for an answer."""
    desk: Desk = request.app.state.desk
    which, _ = alert_board.filter_of(request.query_params)
    found = await part(waiting.waiting(desk.reads, which.brand), desk.clock)
    return desk.page(request, "now_waiting.html", 200, waiting=found, which=which)


async def tones(request: Request) -> Response:
    """GET /now/tones"""
    desk: Desk = request.app.state.desk
    which, _ = alert_board.filter_of(request.query_params)
    now = datetime.fromtimestamp(desk.clock(), UTC)
    found = await part(tone.tones(desk.reads, now, which.brand), desk.clock)
    return desk.page(request, "now_tones.html", 200, tones=found)


async def stream(request: Request) -> Response:
    """GET /now/stream: changes of alerts as they come (console/stream.py, console/live.py)."""
    desk: Desk = request.app.state.desk
    return sse_response(request, desk.hub, request.state.token, request.state.person.name)


async def _problems(desk: Desk, which: Filter) -> list[str]:
    """What is wrong with the names of the filter."""
    if not (which.brand or which.rule):
        return []
    loop = asyncio.get_running_loop()

    def column(sql: str) -> list[str]:
        answer = asyncio.run_coroutine_threadsafe(desk.reads.ask(sql, keep_s=5.0, first=True), loop).result()
        return [str(next(iter(row.values()))) for row in answer.rows]

    def check() -> list[str]:
        names = names_of(desk.settings, tables=False)
        return list(unknown(replace(names, ask=column), which.brand, which.rule))

    try:
        return await asyncio.to_thread(check)
    except EarshotError:  # the lists say what is wrong with ClickHouse
        return []


ROUTES = [
    Route("/", page),
    Route("/now/stream", stream),
    Route("/now/alerts", alerts),
    Route("/now/waiting", conversations),
    Route("/now/tones", tones),
]
