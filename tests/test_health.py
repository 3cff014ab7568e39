"""The worker's port for probes: who is answered, and that nobody holds a thread for ever."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from pipeline import health
from pipeline.embedded.child import free_port
from pipeline.health import Vitals


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(health, "IDLE_S", 0.3)
    port = free_port()
    stop = health.serve(Vitals(), "127.0.0.1", port)
    yield port
    stop()


def test_pages_and_foreign_names_are_refused(port: int) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as answer:
            assert b"earshot_" not in answer.read()
    with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=5) as answer:
        assert b"earshot_" in answer.read()


def test_a_connection_that_says_nothing_holds_no_thread(port: int) -> None:
    def threads() -> int:
        return sum("process_request_thread" in thread.name for thread in threading.enumerate())

    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    idle[0].sendall(b"GET /live HTTP/1.1\r\n")
    deadline = time.monotonic() + 10
    while threads() < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while threads():
        assert time.monotonic() < deadline, "they are held"
        time.sleep(0.05)
    for connection in idle:
        connection.close()
