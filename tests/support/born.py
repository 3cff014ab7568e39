"""A process out of the nursery (tests/support/nursery.py), and what the tests do with it."""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TextIO

import orjson


class _Nursery:
    """One a process of the tests, started when it is needed first; it ends with them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None

    def ask(self, request: object, descriptors: Sequence[int]) -> None:
        with self._lock:
            if self._requests is None:
                self._requests = self._started()
            socket.send_fds(self._requests, [orjson.dumps(request)], descriptors)

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)
        theirs.close()
        atexit.register(_end, process, ours)
        return ours


def _end(process: subprocess.Popen[bytes], requests: socket.socket) -> None:
    requests.close()  # by which it knows, also where the tests are killed
    process.wait()


_nursery = _Nursery()


class Born:
    """`python -m MODULE ARGUMENTS`, as subprocess.Popen has it: what it logs is in `stderr`."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        log, told = os.pipe(), os.pipe()
        _nursery.ask((module, list(arguments), dict(environment), os.getcwd()), (log[1], told[1]))
        os.close(log[1])
        os.close(told[1])
        self.stderr: TextIO = os.fdopen(log[0])
        self._told = os.fdopen(told[0])
        self.pid = int(self._told.readline())
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self._code is None and select.select([self._told], [], [], timeout)[0]:
            with self._told:
                self._code = int(self._told.readline())
        return self._code


def born(command: Sequence[str], environment: Mapping[str, str]) -> Born | subprocess.Popen[str]:
    """`python COMMAND`, which begins with -m and a module; elsewhere than on Linux it reads its modules by itself."""
    option, module, *arguments = command
    assert option == "-m"
    if sys.platform == "linux":
        return Born(module, arguments, environment)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *command], env=dict(environment), text=True, **pipes)
