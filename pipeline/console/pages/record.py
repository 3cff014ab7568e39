"""Record: who did what, when, and how it was before and after. As CSV, too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console.csv_file import csv_of
from pipeline.console.desk import Desk
from pipeline.console.part import part
from pipeline.console.reads import Answer, ReadFailed
from pipeline.console.record_filter import FIELDS, filter_of
from pipeline.queries.acts import COLUMNS, WAYS, names_question, question

SHOWN, IN_CSV = 100, 50_000


async def page(request: Request) -> Response:
    """GET /record"""
    desk: Desk = request.app.state.desk
    which, problems = filter_of(request.query_params, datetime.fromtimestamp(desk.clock(), UTC))
    acts, names = await asyncio.gather(
        _nothing() if problems else part(desk.reads.ask(*question(which, SHOWN + 1), most=SHOWN), desk.clock),
        part(desk.reads.ask(*names_question(), keep_s=5.0), desk.clock),
    )
    typed = {name: request.query_params.get(name, "") for name in FIELDS}
    return desk.page(
        request,
        "record.html",
        400 if problems else 200,
        acts=acts,
        names=names.value.rows[0] if names.value else {"actors": [], "acts": []},
        ways=WAYS,
        typed=typed,
        problems=problems,
        csv="/record.csv?" + _query(typed),
        older=_older(acts.value if acts else None, typed),
    )


async def csv(request: Request) -> Response:
    """GET /record.csv: the same filter, all columns."""
    desk: Desk = request.app.state.desk
    which, problems = filter_of(request.query_params, datetime.fromtimestamp(desk.clock(), UTC))
    if problems:
        return desk.fail(request, 400, "; ".join(problems), "Go back, and put it right.")
    try:
        acts = await desk.reads.ask(*question(which, IN_CSV + 1), most=IN_CSV)
    except ReadFailed as error:
        return desk.fail(request, 503, f"The record can't be read: {error.reason}.", "Try again in a minute.")
    if acts.cut:
        return desk.fail(request, 400, f"There are more than {IN_CSV:,} such acts.", "Choose a shorter time.")
    content = await asyncio.to_thread(lambda: b"".join(csv_of(COLUMNS, acts.rows)))
    headers = {"Content-Disposition": 'attachment; filename="acts.csv"'}
    return Response(content, 200, headers, "text/csv; charset=utf-8")


async def _nothing() -> None:
    """Of a filter that makes no sense: what fits the rest of it would look like the answer."""


def _older(acts: Answer | None, typed: dict[str, str]) -> str:
    """The page of what was before these; acts of the last one's millisecond are on both."""
    if acts is None or not acts.cut:
        return ""
    last = acts.rows[-1]["at"]
    assert isinstance(last, datetime)
    to = (last + timedelta(milliseconds=1)).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return "/record?" + _query(typed | {"to": to})


def _query(typed: dict[str, str]) -> str:
    return urlencode({name: text for name, text in typed.items() if text})


ROUTES = [Route("/record", page), Route("/record.csv", csv)]
