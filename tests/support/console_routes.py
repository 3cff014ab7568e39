"""Every route of the console, found from the app itself, with addresses that reach it: a new route without one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.routing import Route

from schemas.alerts import Alert

READING = {"GET", "HEAD"}
LOGIN = "/login"
OPEN = {LOGIN, f"{LOGIN}/{{token}}", f"{LOGIN}/oidc", f"{LOGIN}/oidc/back"}
"""For those who are not logged in, too."""
OUT = "/logout"
"""Everybody who is logged in may do this."""
STREAM = "/now/stream"
"""Its answer does not end."""
SERVED = ("/static/", "/libraries/", "/live", "/ready", "/metrics")
"""Not pages: no session is asked for."""
BACKTESTS = "/backtests"
SILENCE = f"{1:016x}"


class Names(NamedTuple):
    """What the addresses name: each of them is there."""

    alert: str
    brand: str = "Acme"
    source: str = "feed"
    platform: str = "reddit"
    conversation: str = "t3_abc"

    @classmethod
    def of(cls, alert: Alert) -> Names:
        return cls(alert.hex, alert.scope.brand)


class Way(NamedTuple):
    """An address that reaches a route, and the fields of its form."""

    route: str
    path: str
    form: Mapping[str, str] = {}


def acts(app: Starlette, names: Names) -> list[Way]:
    """A form that each act takes, if the one who sends it may."""
    return list(_ways(app, _acts(names), lambda methods: not methods <= READING))


def pages(app: Starlette, names: Names) -> list[Way]:
    """Each page, part, JSON and CSV. Not the login, not what is served as a file."""
    return list(_ways(app, _pages(names), lambda methods: bool(methods & READING)))


def _ways(app: Starlette, known: Mapping[str, list[Way]], wanted: Callable[[set[str]], bool]) -> Iterator[Way]:
    for route in app.router.routes:
        assert isinstance(route, Route), f"{route}: the guard's tests know routes alone"
        if not wanted(set(route.methods or ())) or route.path.startswith(SERVED):
            continue
        assert route.path in known, f"{route.path} is new: say in tests/support/console_routes.py how it is reached"
        yield from known[route.path]


def _acts(names: Names) -> dict[str, list[Way]]:
    where = {"brand": names.brand, "platform": names.platform, "conversation_id": names.conversation}
    silence = {"brand": names.brand, "rule": "", "platform": "", "minutes": "60", "comment": "x"}
    ways = [
        Way("/alerts/{key}/acknowledge", f"/alerts/{names.alert}/acknowledge", {"comment": "x"}),
        Way("/silence", "/silence", silence),
        Way("/silences/{id}/lift", f"/silences/{SILENCE}/lift"),
        Way("/test", "/test", {"rule": "anger", "brand": names.brand}),
        *(Way("/cases/{act}", f"/cases/{act}", where | {"comment": "x"}) for act in ("take", "done", "hand-over")),
        Way("/operations/dead-letters/replay", "/operations/dead-letters/replay", {"comment": "x", "until": "4102444800000"}),
        Way(BACKTESTS, BACKTESTS, {"rule": "anger", "days": "none"}),  # refused for this at last: it would run for a while
        *(
            Way("/operations/sources/{name}/{act}", f"/operations/sources/{names.source}/{act}", {"comment": "x"})
            for act in ("pause", "resume")
        ),
        Way(OUT, OUT),
        Way(LOGIN, LOGIN, {"name": "vera", "password": "x"}),
        Way(f"{LOGIN}/{{token}}", f"{LOGIN}/{'A' * 43}"),
        Way(f"{LOGIN}/oidc", f"{LOGIN}/oidc"),
    ]
    return _by_route(ways)


def _pages(names: Names) -> dict[str, list[Way]]:
    brand = urlencode({"brand": names.brand})
    where = urlencode({"brand": names.brand, "platform": names.platform, "conversation_id": names.conversation})
    at = datetime.now(UTC)
    times = urlencode({"from": (at - timedelta(days=1)).isoformat(), "to": (at + timedelta(hours=1)).isoformat()})
    letter = "topic=events&partition=0&from_offset=1&to_offset=1"
    ways = [
        *(Way(path, path) for path in ("/", "/now/alerts", "/now/waiting", "/now/tones", STREAM)),
        *(Way(path, path) for path in ("/silences", "/silence", "/test", "/brands", "/brands/", "/operations")),
        Way("/", f"/?{brand}&severity=1"),
        Way("/silence", f"/silence?alert={names.alert}"),
        Way("/alerts/{key}", f"/alerts/{names.alert}"),
        Way("/charts/alert/{key}", f"/charts/alert/{names.alert}"),
        Way("/alerts/{key}/acknowledge", f"/alerts/{names.alert}/acknowledge"),
        *(Way("/cases/{act}", f"/cases/{act}?{where}") for act in ("take", "hand-over", "done")),
        *(Way("/brands", f"/brands?{urlencode({key: names.brand})}") for key in ("name", "search")),
        Way("/brands/{name:path}", "/brands/Acme"),
        *(Way("/charts/brand/{which}", f"/charts/brand/{which}?{brand}") for which in ("volume", "tone", "share")),
        Way("/posts", f"/posts?{brand}&{times}"),
        *(Way(f"/operations/dead-letters{part}", f"/operations/dead-letters{part}") for part in ("", "/replay")),
        Way("/operations/dead-letters/raw", f"/operations/dead-letters/raw?{letter}"),
        Way("/operations/sources/{name}", f"/operations/sources/{names.source}"),
        *(Way("/operations/sources/{name}/{act}", f"/operations/sources/{names.source}/{act}") for act in ("pause", "resume")),
        Way("/record", "/record"),
        Way("/record.csv", "/record.csv"),
    ]
    return _by_route(ways) | {path: [] for path in (*OPEN, f"{BACKTESTS}/{{id}}", "/done/{id}")}


def _by_route(ways: list[Way]) -> dict[str, list[Way]]:
    found: dict[str, list[Way]] = {}
    for way in ways:
        found.setdefault(way.route, []).append(way)
    return found
