"""A console in the tests' own process, and a browser that asks it: real sessions in a real ClickHouse, no page of it mocked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html import unescape
from pathlib import Path
from typing import ClassVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from httpx2 import Response
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.app import build, make_desk
from pipeline.console.one_time import make_link
from pipeline.console.session_table import SessionTable

HASHER = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
"""A hash says what it costs to check it. A real one costs a quarter of a second, also at each login."""
HERE = "http://127.0.0.1:9405"
FIELD = re.compile(r'<input type="hidden" name="csrf" value="([^"]+)"')


class OneLoop(TestClient):
    """All requests of a test run in one event loop, as in the process: what waits, or is kept, belongs to its loop."""

    running: ClassVar[BlockingPortal | None] = None

    @property
    def portal(self) -> BlockingPortal | None:  # TestClient makes a loop for each request without one
        return self.running

    @portal.setter
    def portal(self, own: BlockingPortal | None) -> None:
        """`with client` would have a loop of its own."""


@contextmanager
def one_loop() -> Iterator[None]:
    with start_blocking_portal() as OneLoop.running:
        yield
    OneLoop.running = None


class Browser:
    """One browser: it keeps cookies, says where a request comes from, and follows no redirect by itself."""

    def __init__(self, app: Starlette, base: str = HERE, address: str = "testclient") -> None:
        self.client = OneLoop(app, base_url=base, follow_redirects=False, client=(address, 50_000))
        self.base = base

    def get(self, path: str, **headers: str):  # type: ignore[no-untyped-def]  # httpx2's answer
        return self.client.get(path, headers=_named(headers))

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str):  # type: ignore[no-untyped-def]
        """As a form of the console's own page sends it; `headers` replace those."""
        own = {"origin": self.base, "sec-fetch-site": "same-origin"}
        return self.client.post(path, data=form or {}, headers=own | _named(headers))

    def act(self, path: str, form: dict[str, str] | None = None, page: str = "/"):  # type: ignore[no-untyped-def]
        """The same, with the token of a page."""
        return self.post(path, {"csrf": self.csrf(page), **(form or {})})

    def follow(self, answer: Response) -> Response:
        """The page to which this answer leads."""
        assert answer.status_code == 303, answer.text
        page: Response = self.get(answer.headers["location"])
        return page

    def csrf(self, page: str = "/") -> str:
        """A CSRF token, as this page has it."""
        found = FIELD.search(self.get(page).text)
        assert found, f"{page} has no form"
        return unescape(found[1])

    def carry(self, token: str) -> None:
        """From now on its cookie holds this."""
        self.client.cookies.clear()
        self.client.cookies.set("earshot", token, domain="127.0.0.1", path="/")

    def log_in(self, settings: Settings, name: str = "ines") -> None:
        """By a link that works once: as admin."""
        assert self.post(link(settings, name)).status_code == 303

    @property
    def cookie(self) -> str:
        """What the cookie of the session holds; blank: there is none."""
        return next((cookie.value or "" for cookie in self.client.cookies.jar if cookie.name.endswith("earshot")), "")


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def table(settings: Settings) -> SessionTable:
    return SessionTable(partial(clickhouse_client, settings.clickhouse, 10))


def link(settings: Settings, name: str = "ines") -> str:
    """The path of a link that logs in once."""
    return make_link(table(settings), name)


def app_of(settings: Settings) -> Starlette:
    """The console of these settings, as a process that has just started."""
    return build(make_desk(settings))


def users_file(path: Path, **people: str) -> Path:
    """users.yaml: people with their roles (`ines="ops analyst"`); the password of each is that of `password`."""
    lines = [
        f"  - {{name: {name}, roles: [{', '.join(roles.split())}], password: {HASHER.hash(password(name))!r}}}\n"
        for name, roles in people.items()
    ]
    path.write_text("users:\n" + "".join(lines) if lines else "users: []\n")
    return path


def password(name: str) -> str:
    return f"the password of {name}"
