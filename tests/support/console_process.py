"""`earshot console` as a process of its own, and what a browser without scripts asks of it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from pipeline.config.settings import Settings
from pipeline.console.one_time import login_url
from pipeline.embedded.child import free_port
from tests.support.worker import Worker, wait_for

COMMAND = ("-m", "tests.support.process", "console")


class Console(Worker):
    """One process, at the port of the settings."""

    def __init__(self, settings: Settings, log: Path) -> None:
        super().__init__(settings, log, port=settings.console.port, command=COMMAND)
        self.settings = settings

    def says(self, text: str) -> None:
        """Returns when its log has this."""
        wait_for(text, lambda: self.log.exists() and text in self.log.read_text())

    def log_in(self) -> str:
        """By a link; returns the cookie."""
        return log_in(self.port, login_url(self.settings))


def start_console(settings: Settings, log: Path) -> Console:
    """On a port of its own. `wait_ready` returns when it serves."""
    own = settings.console.model_copy(update={"port": free_port()})
    return Console(settings.model_copy(update={"console": own}), log)


def ask(port: int, method: str, path: str, cookie: str = "", body: str = "") -> http.client.HTTPResponse:
    """The answer, read; a POST is one of the console's own pages."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Cookie": cookie} | ({"Sec-Fetch-Site": "same-origin"} if method == "POST" else {})
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, path, body or None, headers | kind)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@contextmanager
def visiting(port: int) -> Iterator[None]:
    """Somebody looks at a page now and then."""
    over = Event()

    def visit() -> None:
        while not over.wait(0.5):
            with suppress(OSError):
                ask(port, "GET", "/login")

    visitor = Thread(target=visit, name="visitor")
    visitor.start()
    try:
        yield
    finally:
        over.set()
        visitor.join()


def log_in(port: int, url: str) -> str:
    """By this link; returns the cookie."""
    path = "/login/" + url.rpartition("/")[2]
    assert ask(port, "GET", path).status == 200
    answer = ask(port, "POST", path)
    assert answer.status == 303
    return (answer.headers["Set-Cookie"] or "").partition(";")[0]
