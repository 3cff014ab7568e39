"""The lossy proxy: the upstream has seen every request, the client lacks about the part of the answers that was asked for."""

from __future__ import annotations

import gzip
import http.client
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import pytest

from tests.support.proxy import LossyProxy


class Upstream(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Upstream)
        self.server.bodies.append(body)
        answer = f"{self.path} {self.headers['Content-Encoding']} {len(body)}".encode()
        self.send_response(200)
        self.send_header("X-Kept", "yes")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(url: str, path: str, body: bytes) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Encoding": "gzip"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-Kept"), answer.read()
    finally:
        connection.close()


def test_what_passes_passes_unchanged(upstream: Upstream) -> None:
    body = gzip.compress(random.Random(1).randbytes(3_000_000))
    with LossyProxy(upstream.url, 1.0, seed=1) as proxy:
        path = f"/?query={quote('SELECT 1')}&max_rows=3"
        assert post(proxy.url, path, body) == (200, "yes", f"{path} gzip {len(body)}".encode())
        assert (proxy.inserts, proxy.dropped) == (0, 0)
    assert upstream.bodies == [body]


def test_inserts_are_done_and_a_part_of_their_answers_is_lost(upstream: Upstream) -> None:
    lost = 0
    with LossyProxy(upstream.url, 0.3, seed=2) as proxy:
        for number in range(200):
            statement = quote("insert INTO t FORMAT Arrow")
            path, body = (
                (f"/?query={statement}", b"%d" % number) if number % 2 else ("/", b"INSERT INTO t VALUES (%d)" % number)
            )
            try:
                assert post(proxy.url, path, body)[0] == 200
            except (http.client.RemoteDisconnected, ConnectionResetError):
                lost += 1
        assert (proxy.inserts, proxy.dropped) == (200, lost)
    assert len(upstream.bodies) == 200
    assert 40 < lost < 80
