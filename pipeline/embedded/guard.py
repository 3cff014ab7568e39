"""Kills the embedded stack's children after the process that started them has ended, however it ended.

`python -m pipeline.embedded.guard` reads lines from its standard input, whose other end only that process holds: `+PID` adds a
process, `-PID` removes it. At the end of its input it kills the processes left. It needs only pipes, and no particular thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


class Guard:
    """The guard's process, as the process that it outlives uses it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-E", "-s", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def watch(self, pid: int) -> None:
        """Kills this process too, if it still runs at the end."""
        self._send(f"+{pid}")

    def forget(self, pid: int) -> None:
        """Leaves this process alone: it has ended."""
        self._send(f"-{pid}")

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            watched.add(pid)
        else:
            watched.discard(pid)
    for pid in watched:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
