"""The processes of a peer: one application, as many times as there are topics, begun together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.environments import APPS, python_of
from benchmarks.ground import PATIENCE_S
from pipeline.config.settings import Settings


class PeerProcesses:
    """An application in the peer's environment."""

    def __init__(self, peer: str, application: str, folder: Path) -> None:
        self._command = [str(python_of(peer)), str(APPS / application)]
        self._folder = folder
        self._log = folder / f"{application}.log"
        self._begun: list[tuple[float, float]] = []
        self._running: list[subprocess.Popen[str]] = []
        self.cpu_seconds = 0.0
        """Of all of them, from the first record of each to its end; known once they have ended."""

    @property
    def started(self) -> float:
        """When the first of them had its first record in hand."""
        return min(moment for moment, _ in self._begun)

    @contextmanager
    def reading(self, settings: Settings, topics: Sequence[str], terms: Sequence[tuple[str, str]]) -> Iterator[None]:
        """A process a topic reads from its beginning; all begin when all have imported what they need.

        Raises RuntimeError when one does not start.
        """
        ready = threading.Barrier(len(topics) + 1)
        secrets = {"CLICKHOUSE_PASSWORD": settings.clickhouse.password.get_secret_value()}
        with self._log.open("w") as errors:
            try:
                for topic in topics:
                    process = subprocess.Popen(
                        [*self._command, json.dumps(_job(settings, topic, terms))],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        cwd=self._folder,
                        env=os.environ | secrets,
                        text=True,
                    )
                    self._running.append(process)
                    threading.Thread(target=self._follow, args=(process, ready), daemon=True).start()
                self._begin(ready)
                yield
            finally:
                self._end()

    def check(self) -> None:
        """Raises RuntimeError when one of them ended with an error."""
        if codes := [code for process in self._running if (code := _ended(process))]:
            last = self._log.read_text().strip().splitlines()[-1:]
            raise RuntimeError(f"a process ended with exit code {codes[0]}: {' '.join(last)}")

    def _begin(self, ready: threading.Barrier) -> None:
        try:
            ready.wait(PATIENCE_S)
        except threading.BrokenBarrierError:
            self.check()
            raise RuntimeError("a process did not start") from None
        for process in self._running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def _follow(self, process: subprocess.Popen[str], ready: threading.Barrier) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                ready.wait()
            elif line.startswith("reading "):
                moment, spent = map(float, line.split()[1:])
                self._begun.append((moment, spent))
        ready.abort()

    def _end(self) -> None:
        for process in self._running:
            # Popen's own would wait for one that has ended, and its use would be lost.
            os.kill(process.pid, signal.SIGKILL)
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = -9
            self.cpu_seconds += used.ru_utime + used.ru_stime
        self.cpu_seconds -= sum(spent for _, spent in self._begun)


def _ended(process: subprocess.Popen[str]) -> int:
    """The exit code of a process that ended with an error, which stays to be waited for; 0: there is none."""
    state = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return state.si_status if state else 0


def _job(settings: Settings, topic: str, terms: Sequence[tuple[str, str]]) -> dict[str, Any]:
    clickhouse = urlsplit(settings.clickhouse.url)
    return {
        "bootstrap": settings.kafka.bootstrap,
        "topic": topic,
        "group": f"peer-{settings.clickhouse.database}-{topic}",
        "clickhouse_host": clickhouse.hostname,
        "clickhouse_port": clickhouse.port,
        "database": settings.clickhouse.database,
        "terms": terms,
    }
