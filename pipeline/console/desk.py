"""Desk: what a page of the console gets, at `request.app.state.desk`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, TypeVar

import jinja2
import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline.api.client import ControlClient
from pipeline.clock import Clock, wall
from pipeline.config.settings import Settings
from pipeline.console.assets import Assets
from pipeline.console.backtests import Backtests
from pipeline.console.charts import bar, spark
from pipeline.console.cookies import Cookie
from pipeline.console.figures import Processes
from pipeline.console.form import csrf_of, local
from pipeline.console.libraries import Libraries
from pipeline.console.live import rows, shower, tell
from pipeline.console.oidc.login import Oidc
from pipeline.console.people import People
from pipeline.console.place import Place
from pipeline.console.reading import AWAY
from pipeline.console.reads import ReadFailed, Reads
from pipeline.console.roles import Person
from pipeline.console.sent_letters import Sent
from pipeline.console.sessions import Sessions
from pipeline.console.shown import FILTERS
from pipeline.console.stream import Hub
from pipeline.console.throttle import Throttle
from pipeline.errors import UnreachableError
from pipeline.monitoring.health import Vitals

HERE = Path(__file__).parent
ACTS = 8
"""At a time: a control that hangs holds a thread for half a minute, a replay for minutes."""
T = TypeVar("T")
log = logging.getLogger("earshot.console")


class NotDone(UnreachableError):
    """Nothing was done."""


class Entry(NamedTuple):
    """A line of the menu."""

    path: str
    label: str


def path_of(request: Request) -> str:
    """The path by which the page is found. That of `request.url` is parsed again, behind the Host that somebody sent."""
    path: str = request.scope["path"]
    return path


def target_of(request: Request) -> str:
    """Path and query as they were sent: an address that leads there again, whatever letters a name in it has."""
    path, query = (request.scope[part].decode("latin-1") for part in ("raw_path", "query_string"))
    return f"{path}?{query}" if query else str(path)


@dataclass
class Desk:
    """All that pages share. One a process."""

    settings: Settings
    sessions: Sessions
    people: People
    place: Place
    vitals: Vitals
    reads: Reads
    oidc: Oidc | None = None
    throttle: Throttle = field(default_factory=Throttle)
    clock: Clock = wall
    assets: Assets = field(default_factory=lambda: Assets(HERE / "static"))
    menu: Sequence[Entry] = ()
    libraries: Libraries = field(default_factory=Libraries)
    """Empty until they are loaded, and where they can't be had."""

    def __post_init__(self) -> None:
        self.cookie, self.oidc_cookie = Cookie(self.place.https), Cookie(self.place.https, "earshot-login")
        self.processes = Processes(self.settings, self.clock)
        self._hashing = ThreadPoolExecutor(2, "hashing")
        self._acts = ThreadPoolExecutor(ACTS, "acts")
        self.stopping = asyncio.Event()
        """Set when the process ends: who streams stops."""
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals |= {"asset": self.assets.url, "spark": spark, "bar": bar}
        self.templates.filters.update(FILTERS)
        alert_row = rows(self.templates)
        self.templates.globals["alert_row"] = alert_row
        self.hub = Hub(self.settings.kafka, shower(alert_row, self.templates), tell, self.clock)
        self.reads.mark = lambda: self.hub.place
        self.control = ControlClient(self.settings)
        self.backtests = Backtests(self.settings, self.clock)
        self.sending: dict[str, Sent] = {}
        """Dead letters that are being sent, by their selection."""
        self.done: dict[str, tuple[str, object]] = {}
        """By a random name: who acted, and what came of it (act_form.py)."""

    def page(self, request: Request, template: str, status: int = 200, /, **values: object) -> Response:
        """A page of this template, with `values`, for the person who asks."""
        state = request.state
        known = {
            "person": getattr(state, "person", None),
            "csrf_token": getattr(state, "csrf", ""),
            "menu": self.menu,
            "path": path_of(request),
            "scripts": self.libraries.scripts,
            "chart_scripts": self._found("uPlot.iife.min.js"),
            "chart_styles": self._found("uPlot.min.css"),
            "fragment": bool(request.headers.get("hx-request")),
        }
        return HTMLResponse(self.templates.get_template(template).render(known | values), status)

    def _found(self, name: str) -> list[str]:
        """Where a browser finds this library, if it is there."""
        url = self.libraries.url(name)
        return [url] if url else []

    def fail(self, request: Request, status: int, what: str, todo: str = "") -> Response:
        """A page that says what failed, and what to do."""
        title = HTTPStatus(status).phrase
        return self.page(request, "error.html", status, title=title, what=what, todo=todo)

    def login(self, request: Request, status: int, /, **values: object) -> Response:
        """The page to log in on. `next`: where to go then; `kept`: an act that waits for it; `problem`: why a try failed."""
        known: dict[str, object] = {"kept": "", "problem": "", "name": "", "typed": {}, "passwords": self.people.any}
        known["provider"] = self.oidc.host if self.oidc else ""
        return self.page(request, "login.html", status, **known | values)

    def again(self, request: Request, status: int, action: str = "", form: Mapping[str, str] | None = None) -> Response:
        """Shows an act that a session's end, or a stale CSRF token, broke off: what was typed is kept, to be sent again."""
        action, form = local(action or target_of(request)), request.state.form if form is None else form
        if request.state.person is not None:
            return self.page(request, "again.html", status, action=action, form=form)
        kept = orjson.dumps({"action": action, "form": form}).decode()
        problem = "Your session has ended, and nothing was done. What you typed is kept."
        return self.login(request, status, next="/", kept=kept, problem=problem, typed=form)

    def know(self, request: Request, person: Person, token: str) -> None:
        """From now on the request is one of this session."""
        request.state.person, request.state.csrf, request.state.token = person, csrf_of(token), token

    async def hashing(self, work: Callable[[], T]) -> T:
        """The result of `work`, which takes a core and 64 MB: two at a time, in threads that no page holds."""
        return await asyncio.get_running_loop().run_in_executor(self._hashing, work)

    async def acting(self, work: Callable[[], T]) -> T:
        """The result of `work`, an act that waits for others: so many at a time, in threads that logins don't need. Raises
        NotDone while ClickHouse does not answer: a command that needs it would hang."""
        try:
            await self.reads.ask("SELECT 1", first=True)
        except ReadFailed as error:
            if error.reason.startswith(AWAY):  # else it may be the reader's trouble alone
                raise NotDone(AWAY) from None
        return await asyncio.get_running_loop().run_in_executor(self._acts, work)

    def close(self) -> None:
        """The process ends: streams end now."""
        self.stopping.set()
        self.hub.end_all()
