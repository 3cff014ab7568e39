"""A worker as the fault tests see it: a process, its log, its health."""

from __future__ import annotations

import http.client
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from tests.support.born import born

COMMAND = ("-m", "tests.support.process", "worker")
READ = re.compile(r"batch (\d+) read rows=(\d+)")
DONE = re.compile(r"batch (\d+) (?:committed|given up)")
START = 150.0
"""Seconds for what takes seconds: a start, a rebalance after a kill (the session timeout is 10 s)."""
SOON, LATER = 0.05, 0.25


def wait_for(what: str, condition: Callable[[], bool], timeout: float = START, every: float | None = None) -> None:
    """Raises AssertionError when `condition` does not come true in time. Without `every` it looks the less often, the longer it
    takes: many conditions are a query of ClickHouse."""
    deadline = time.monotonic() + timeout
    pause = every or SOON
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(pause)
        pause = every or min(pause * 1.2, LATER)


class Worker:
    """One `earshot worker` process, or a `command` that is like it. What it logs goes to `log` and is followed as it comes."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        clickhouse_url: str | None = None,
        port: int | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.log = log
        self.port = port or free_port()
        clickhouse = settings.clickhouse.model_copy(update={"url": clickhouse_url or settings.clickhouse.url})
        worker = settings.worker.model_copy(update={"health_port": self.port})
        settings = settings.model_copy(update={"clickhouse": clickhouse, "worker": worker})
        self._lines: list[str] = []
        self._open: set[str] = set()
        self.rows_read = 0
        self._process = born(command, child_environment(settings))
        self._reader = threading.Thread(target=self._follow, name=f"log of {log.stem}")
        self._reader.start()

    def _follow(self) -> None:
        assert self._process.stderr is not None
        with self.log.open("w") as log, self._process.stderr as lines:
            for line in lines:
                log.write(line)
                log.flush()
                self._lines.append(line)
                if (read := READ.search(line)) and int(read[2]):
                    self._open.add(read[1])
                    self.rows_read += int(read[2])
                elif done := DONE.search(line):
                    self._open.discard(done[1])

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def in_flight(self) -> bool:
        """A batch of rows was read, and neither committed nor given up."""
        return bool(self._open)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> bool:
        """SIGKILL. Says whether rows were in flight, by the whole log."""
        self._process.kill()
        self._end()
        return self.in_flight

    def stop(self) -> int:
        """SIGTERM: the planned stop. Returns the exit code."""
        self._process.terminate()
        return self._end()

    def _end(self) -> int:
        try:
            code = self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
        return code

    def close(self) -> None:
        if self._reader.is_alive() or self._process.poll() is None:
            self._process.kill()
            self._end()

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of /live or /ready; status 0 when there is no answer within 5 s."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def wait_ready(self, wanted: bool = True, timeout: float = START) -> None:
        status = 200 if wanted else 503

        def reached() -> bool:
            assert self.exit_code is None, f"the worker ended with {self.exit_code}: {self.tail()}"
            return self.status("/ready") == status

        wait_for(f"/ready is {status}", reached, timeout)

    def wait_read(self, rows: float) -> None:
        """Returns soon (a millisecond) after the worker has read so many rows."""
        wait_for(f"{rows:.0f} rows read", lambda: self.rows_read >= rows, every=0.001)

    def said(self, text: str) -> bool:
        return any(text in line for line in self._lines)

    def tail(self) -> str:
        return "".join(self._lines[-5:])

    def rss(self) -> int:
        """Resident bytes; 0 when it has ended."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0
