"""Processes of Earshot that begin with its modules read: `python -m tests.support.nursery FD` forks them.

To read the modules costs each process more than a second of a core, and the tests start more than a hundred. A born process is
like `python -m MODULE ARGUMENTS`: it has its own environment, arguments and log, and ends with its own exit code. It ends with
the tests, too, even when these are killed.

For each request, JSON on the socket FD with two descriptors (where it logs to; where its pid and its exit code are told), a
keeper is forked, who forks the process and waits for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import runpy
import signal
import socket
import sys
import warnings
from types import FrameType
from typing import NamedTuple

import orjson

PR_SET_PDEATHSIG = 1
LONGEST = 1 << 20
"""Bytes of a request: each of its environment's variables is in it."""


class Request(NamedTuple):
    """What to run as `python -m MODULE ARGUMENTS`, and the pipes to who asked for it."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    log: int
    told: int


def _read_modules() -> None:
    """Those of every long process, but not what makes a name of its pid as it is read (pipeline/listen/tables.py)."""
    import pipeline.app
    import pipeline.cli.main
    import pipeline.console.app
    import pipeline.control.app
    import pipeline.customers.app  # noqa: F401

    gc.collect()
    gc.freeze()


def _next(requests: socket.socket) -> Request | None:
    """Waits for it. None: the tests have ended."""
    data, descriptors, _, _ = socket.recv_fds(requests, LONGEST, 2)
    return Request(*orjson.loads(data), *descriptors) if data else None


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for_keepers(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            """The next one."""


def _kept(request: Request) -> bool:
    """Forks the process, in which it returns True. In the keeper it never returns."""
    _end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return True
    os.close(request.log)
    os.write(request.told, b"%d\n" % pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        os.write(request.told, b"%d\n" % code)
    os._exit(0)


def _become(request: Request) -> None:
    """This process is the one that was asked for: from here on it runs as if it had been started so."""
    _end_with_parent()
    os.close(request.told)
    silent = os.open(os.devnull, os.O_RDWR)
    for theirs, ours in ((silent, 0), (silent, 1), (request.log, 2)):
        os.dup2(theirs, ours)
    os.close(silent)
    os.close(request.log)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv = [request.module, *request.arguments]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def main() -> None:
    requests = socket.socket(fileno=int(sys.argv[1]))
    _read_modules()
    # Polars has threads from its import on, which do nothing until it is used: here it never is.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded, use of fork", DeprecationWarning)
    signal.signal(signal.SIGCHLD, _wait_for_keepers)
    while request := _next(requests):
        if os.fork() == 0:
            requests.close()
            break
        os.close(request.log)
        os.close(request.told)
    else:
        return
    if _kept(request):
        _become(request)


if __name__ == "__main__":
    main()
