"""The worker's port for probes: who is answered, and that nobody holds a thread for ever."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pipeline.embedded.child import free_port
from pipeline.monitoring import health
from pipeline.monitoring.health import Vitals


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(health, "REQUEST_S", 0.5)
    monkeypatch.setattr(health, "CONNECTIONS", 5)
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


def threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not met():
        assert time.monotonic() < deadline, "not met in time"
        time.sleep(0.02)


def test_a_connection_that_says_nothing_holds_no_thread(port: int) -> None:
    with ExitStack() as kept:
        idle = [kept.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(5)]
        idle[0].sendall(b"GET /live HTTP/1.1\r\n")
        wait_until(lambda: threads() == 5)
        wait_until(lambda: not threads())


def test_a_connection_that_says_a_byte_now_and_then_holds_no_thread(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as slow:

        def hung_up() -> bool:
            try:
                slow.sendall(b"G")
            except ConnectionError:
                return True
            return False

        wait_until(lambda: threads() == 1)
        wait_until(hung_up)
    wait_until(lambda: not threads())


def test_many_connections_hold_few_threads_and_a_probe_is_answered_after_them(port: int) -> None:
    with ExitStack() as kept:
        for _ in range(12):
            kept.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_until(lambda: threads() == 5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=10) as answer:
            assert answer.read() == b"ok\n"
        assert threads() <= 5
    wait_until(lambda: not threads())
