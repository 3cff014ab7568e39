"""Serves /live, /ready and /metrics of a worker or of control, on a thread of its own.

Live: every loop gave a sign of life in the last 30 s; waiting for input or for room, and a counted retry, are signs. Ready: a
worker has its partitions assigned and seeded, broker and database answer, nothing waits for a person. The status is 200 or 503,
and the body of a 503 has one reason a line.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import exposition

from pipeline.errors import StackError
from pipeline.http.same_origin import refusal
from pipeline.monitoring import metrics

SILENCE_S = 30.0
REQUEST_S = 10.0
"""The longest time from the connection to the end of the response."""
CONNECTIONS = 32
"""Requests handled at a time; others wait."""


class Vitals:
    """Signs of life by name, and the reasons why the process is not ready. Threads may share it."""

    def __init__(self) -> None:
        self._busy_since: dict[str, float | None] = {}
        self._unready: dict[str, str] = {}
        self._lock = threading.Lock()

    def busy(self, name: str) -> None:
        """`name` starts to work; a sign of life in a retry or at each turn of its loop."""
        self._busy_since[name] = time.monotonic()

    def idle(self, name: str) -> None:
        """`name` waits for input or for room."""
        self._busy_since[name] = None

    def hold(self, what: str, reason: str) -> None:
        """Makes the process unready, because `what` waits for this `reason`."""
        with self._lock:
            self._unready[what] = reason

    def clear(self, what: str) -> None:
        """`what` waits no longer."""
        with self._lock:
            self._unready.pop(what, None)

    def silent(self) -> list[str]:
        """Why the process is not live; empty if it is."""
        now = time.monotonic()
        signs = list(self._busy_since.items())
        return [
            f"{name}: no sign of life for {now - since:.0f} s" for name, since in signs if since and now - since > SILENCE_S
        ]

    def unready(self) -> list[str]:
        """Why the process is not ready; empty if it is."""
        with self._lock:
            return [f"{what}: {reason}" for what, reason in self._unready.items()]

    def measure(self) -> None:
        """Sets the metrics live, ready and unready."""
        with self._lock:
            causes = {_cause(what) for what in self._unready}
        metrics.LIVE.set(not self.silent())
        metrics.READY.set(not causes)
        for cause in metrics.CAUSES:
            metrics.UNREADY.labels(cause).set(cause in causes)


def _cause(what: str) -> str:
    """The label of metric unready: `what` without the topic's partition or the client that it names."""
    cause = "held" if "[" in what else what.split(" (")[0].replace(" ", "_")
    return cause if cause in metrics.CAUSES else "other"


def memory_limit() -> int:
    """The bytes this process may use: the limit of its control group (a container's limit), else the machine's memory."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return min(machine, int(Path(path).read_text()))
    return machine


PATHS = ("/live", "/ready", "/metrics")


def answer(vitals: Vitals, path: str) -> tuple[int, bytes, str]:
    """Status, body and content type of one of PATHS; 404 for any other."""
    if path == "/metrics":
        vitals.measure()
        return 200, exposition.generate_latest(metrics.REGISTRY), exposition.CONTENT_TYPE_LATEST
    if path in PATHS:
        reasons = vitals.silent() if path == "/live" else vitals.unready()
        return 503 if reasons else 200, "\n".join(reasons or ["ok"]).encode() + b"\n", "text/plain"
    return 404, b"/live, /ready, /metrics\n", "text/plain"


class _Server(ThreadingHTTPServer):
    """With limits on its threads and on the time of each, since a peer may send a byte now and then, or nothing."""

    request_queue_size = 4 * CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._free = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        deadline = threading.Timer(REQUEST_S, _hang_up, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve(vitals: Vitals, host: str, port: int) -> Callable[[], None]:
    """Starts the server; returns a function that stops it. Raises StackError if the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refused = refusal(host, self.headers)
            self._answer(*((403, f"{refused}\n".encode(), "text/plain") if refused else answer(vitals, self.path)))

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            with suppress(OSError):  # the peer is gone, or its time is up
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise StackError(f"health server on {host}:{port}: {error.strerror}") from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
