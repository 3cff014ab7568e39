"""A brand: what it went through in a time, compared with the time before and with its competitors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pipeline.console import brand_data, brand_view
from pipeline.console.brand_data import Brand, brand_url
from pipeline.console.brand_list import days
from pipeline.console.charts import Chart
from pipeline.console.desk import Desk
from pipeline.console.part import part
from pipeline.console.reads import ReadFailed
from pipeline.console.spans import DEFAULT, SPANS, Window, last_quarter, window
from pipeline.errors import SettingsError, UnknownName
from pipeline.queries.names import brand_names
from schemas.times import rfc3339

CHARTS = ("volume", "tone", "share")


async def page(request: Request) -> Response:
    """GET /brands/NAME: `span`, `to` (blank: now) and `zone` choose the time."""
    return await _page(request, request.path_params["name"])


async def brands(request: Request) -> Response:
    """GET /brands: all of them; of those whose name holds `search` page `page`. With `name` the page of that brand."""
    desk: Desk = request.app.state.desk
    typed = request.query_params
    if name := typed.get("name", ""):
        return await _page(request, name)
    number, search = _page_number(typed.get("page", "1")), typed.get("search", "")[:100].strip()
    known = await asyncio.to_thread(brand_names, desk.settings)
    found = await part(days(desk.reads, known, search, number, _now(desk)), desk.clock)
    if found.value and number > found.value.pages:
        raise HTTPException(404, f"There are {found.value.pages} pages of brands, and no page {number}.")
    return desk.page(request, "brands.html", 200, days=found, search=search, number=number, brand_url=brand_url)


async def to_list(request: Request) -> Response:
    """GET /brands/: the same as without the slash."""
    return RedirectResponse("/brands", 303)


async def chart(request: Request) -> Response:
    """GET /charts/brand/WHICH: the data of a chart, as JSON."""
    desk: Desk = request.app.state.desk
    which, name = request.path_params["which"], request.query_params.get("brand", "")
    if which not in CHARTS:
        raise HTTPException(404)
    try:
        drawn = await _chart(desk, which, name, _window(desk, request.query_params))
    except SettingsError as error:
        raise HTTPException(400, str(error)) from None
    except ReadFailed as error:
        raise HTTPException(503, str(error)) from None
    return drawn.response()


async def _page(request: Request, name: str) -> Response:
    desk: Desk = request.app.state.desk
    typed = {key: request.query_params.get(key, default)[:80] for key, default in (("span", DEFAULT), ("to", ""), ("zone", ""))}
    values = {"name": name, "typed": typed, "spans": SPANS, "problem": "", "brand": None, "brand_url": brand_url}
    try:
        time = _window(desk, request.query_params)
        await brand_data.check_brand(desk.reads, desk.settings, name)
    except SettingsError as error:
        return desk.page(request, "brand.html", 400, **values | {"problem": str(error)})
    except UnknownName as error:
        raise HTTPException(404, str(error)) from None
    except ReadFailed:
        pass  # each part of the page says so
    found = await brand_data.brand(desk.reads, name, time, desk.clock)
    return desk.page(request, "brand.html", 200, **values | _shown(found, time, _now(desk)))


def _shown(found: Brand, time: Window, now: datetime) -> dict[str, object]:
    """What the template gets."""
    volume, tone, shares = found.volume.value, found.tone.value, found.shares.value
    split = found.split.value
    return {
        "brand": found,
        "nothing": volume is not None and not any(brand_data.total(each, "mentions") for each in (volume.now, volume.before)),
        "time": time,
        "until": min(time.end, now),
        "just": rfc3339(last_quarter(now), short=True),
        "asked": {"brand": found.name, "span": time.span, "to": rfc3339(time.end, short=True), "zone": time.zone},
        "figures": brand_view.figures(found),
        "volume_rows": brand_view.periods(found.name, time, volume) if volume else [],
        "tone_rows": brand_view.periods(found.name, time, tone) if tone else [],
        "panel": brand_view.panel(shares) if shares else [],
        "versions": brand_view.versions(shares.by_period) if shares else 0,
        "split": {by: brand_view.parts_of(found.name, time, split, by) if split else [] for by in ("platform", "language")},
    }


async def _chart(desk: Desk, which: str, name: str, time: Window) -> Chart:
    """Raises ReadFailed. Alerts that can't be had are not drawn in: the page says so."""
    happened = (await part(brand_data.alerts_of(desk.reads, name, time), desk.clock)).value
    if which == "share":
        return brand_view.share_chart(name, await brand_data.shares_of(desk.reads, name, time), happened)
    if which == "tone":
        return brand_view.tone_chart(name, time, await brand_data.tone_of(desk.reads, name, time), happened)
    return brand_view.volume_chart(name, time, await brand_data.volume_of(desk.reads, name, time), happened)


def _window(desk: Desk, typed: Mapping[str, str]) -> Window:
    return window(typed.get("span", DEFAULT), typed.get("to", ""), typed.get("zone", ""), _now(desk))


def _page_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) >= 1):
        raise HTTPException(404, f"There is no page {text[:20]!r} of brands.")
    return int(text)


def _now(desk: Desk) -> datetime:
    return datetime.fromtimestamp(desk.clock(), UTC)


ROUTES = [
    Route("/brands", brands),
    Route("/brands/", to_list),
    Route("/brands/{name:path}", page),
    Route("/charts/brand/{which}", chart),
]
