"""One child process of the embedded stack, and checks of ports."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.config.settings import ENV_PREFIX
from pipeline.embedded.guard import Guard
from pipeline.errors import StackError

LOG_BYTES = 10 << 20
"""A log larger than this becomes NAME.1.log and replaces the one before: a child keeps at most twice this."""


class Child:
    """A process that can be restarted. `ready` asks whether it serves; its output goes to `log`.

    It gets this process's environment without the settings in it; `environment` has the ones it needs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        guard: Guard,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._guard = guard
        self._ready = ready
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        self._environment = inherited | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def ending(self) -> str:
        """How the process ended, and the last line that it wrote."""
        code = self._process.poll() if self._process else None
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return f"{how}; {self.log}: {lines[-1][:300]}" if lines else how

    def start(self) -> None:
        """Starts the process and returns at once."""
        self.rotate()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the parent, which stops its children in order
            )
        self._guard.watch(self._process.pid)

    def rotate(self) -> None:
        """Moves the content of a log past its limit to NAME.1.log, also while the process writes.

        The process keeps its file, which is copied and truncated: a pipe through this process would block it whenever this one
        is stopped (Ctrl-Z). Lines written between copy and truncation are lost; so is the old log on a full disk.
        """
        if not self.log.exists() or self.log.stat().st_size <= LOG_BYTES:
            return
        with self.log.open("r+b") as log:
            with contextlib.suppress(OSError), self.log.with_suffix(".1.log").open("wb") as old:
                shutil.copyfileobj(log, old)
            log.truncate(0)

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Returns when the process serves. Raises StackError if it ends, or does not serve in time."""
        deadline = time.monotonic() + timeout_s
        while not self._ready():
            if not self.alive:
                raise StackError(f"{self.name} did not start: {self.ending}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} did not answer within {timeout_s:.0f} s; its log: {self.log}")
            time.sleep(0.05)

    def stop(self, timeout_s: float = 30) -> None:
        """SIGTERM, then SIGKILL if the process has not ended in time."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._guard.forget(self._process.pid)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._guard.forget(self._process.pid)

    def pause(self) -> None:
        """SIGSTOP; returns when the process has stopped: on a busy machine its threads answer requests until then."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


PORTS = range(20_000, 32_000)
"""Below those of outgoing connections, so that a port stays free while a child restarts."""
_unused: list[int] = []


def free_port() -> int:
    """A free one of PORTS. None comes twice before all have come: a child may take seconds until it listens there."""
    while True:
        if not _unused:
            _unused.extend(random.sample(PORTS, len(PORTS)))
        port = _unused.pop()
        if _bindable(port):
            return port


def check_port(port: int, who: str, setting: str) -> None:
    """Raises StackError if another program listens on the port."""
    if not _bindable(port):
        raise StackError(f"port {port} is taken: {who} can't listen there; stop the program that does, or set {setting}")


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
