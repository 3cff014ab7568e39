"""`earshot console` as a process of its own, and people who are logged in there."""

from __future__ import annotations

import gzip
import http.client
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from benchmarks.ground import Ground
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.console import ConsoleSettings
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.console.one_time import make_link
from pipeline.console.session_table import SessionTable
from pipeline.embedded.child import free_port
from pipeline.embedded.password import password_of
from tests.support.console_process import log_in

HOST = "127.0.0.1"
FAILED = b'class="failed"'
"""What a page says in place of a part that could not be had."""
PATIENCE_S, ASK_S = 60.0, 30.0


class Answer(NamedTuple):
    """A page as it came."""

    ms: float
    """From the call that sends the request to the last byte."""
    content: bytes
    packed: int
    """Bytes of the content as they were sent."""

    @property
    def failed(self) -> bool:
        """Whether a part of the page could not be had."""
        return FAILED in self.content


class Console:
    """The process, on a port of its own: it serves when `with` begins. Its pages read as user console of the stage's server."""

    def __init__(self, stage: Ground, settings: Settings) -> None:
        self.port = free_port()
        console = ConsoleSettings(port=self.port, clickhouse_password=password_of(stage.stack.data_dir, "console"))
        self.settings = settings.model_copy(update={"console": console})
        command = [sys.executable, "-m", "pipeline.cli", "console"]
        self._log = stage.folder / f"console-{self.port}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=child_environment(self.settings), stderr=log)

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_in(self, name: str = "ines") -> str:
        """The cookie of somebody who may do all."""
        with clickhouse_client(self.settings.clickhouse) as client:
            link = make_link(SessionTable(lambda: client), name)
        return log_in(self.port, f"http://{HOST}:{self.port}{link}")

    def ask(self, path: str, cookie: str = "") -> Answer:
        """This page. Raises RuntimeError for an answer that is not 200."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ASK_S)
        started = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        content = answer.read()
        ms = (time.perf_counter() - started) * 1000
        connection.close()
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(f"the console says {answer.status} to {path}")
        packed = answer.headers.get("Content-Encoding") == "gzip"
        return Answer(ms, gzip.decompress(content) if packed else content, len(content))

    def __enter__(self) -> Console:
        end = time.monotonic() + PATIENCE_S
        while not self._ready():
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()
                raise RuntimeError(f"the console did not get ready: {_last_line(self._log)}")
            time.sleep(0.1)
        return self

    def _ready(self) -> bool:
        try:
            self.ask("/ready")
        except (OSError, RuntimeError, http.client.HTTPException):
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]
