"""`earshot console` as a process: killed and restarted, asked slowly, by many, by TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from pipeline.config.settings import Settings
from pipeline.console.connections import BUSY_LINE, REQUEST_S
from pipeline.console.one_time import login_url
from pipeline.embedded.child import free_port
from pipeline.migrate import migrate
from tests.support.console_process import Console, ask
from tests.support.worker import wait_for

Start = Callable[..., Console]


@pytest.fixture
def start(emptied: Settings, tmp_path: Path) -> Iterator[Start]:
    running: list[Console] = []

    def started(**given: object) -> Console:
        if not running:
            migrate(emptied)
        console = emptied.console.model_copy(update={"port": free_port(), **given})
        running.append(Console(emptied.model_copy(update={"console": console}), tmp_path / f"console {len(running)}.log"))
        return running[-1]

    yield started
    for worker in running:
        worker.close()


def test_killed_and_restarted_it_keeps_people_logged_in(start: Start) -> None:
    console = start()
    console.wait_ready()
    cookie = console.log_in()
    assert ask(console.port, "GET", "/", cookie).status == 200
    console.kill()
    again = start(port=console.port)
    again.wait_ready()
    assert ask(console.port, "GET", "/", cookie).status == 200
    assert ask(console.port, "GET", "/metrics").status == 200
    assert again.stop() == 0
    log = again.log.read_text()
    assert f"the console is at http://127.0.0.1:{console.port}/" in log and "Traceback" not in log and "WARNING" not in log


def test_who_sends_slowly_is_cut_off_and_others_are_served(start: Start) -> None:
    console = start()
    console.wait_ready()
    slow = [socket.create_connection(("127.0.0.1", console.port)) for _ in range(40)]
    for number, each in enumerate(slow):
        each.settimeout(REQUEST_S + 5)
        head = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nContent-Length: 10\r\n"
        each.sendall((b"", b"GE", head.encode(), f"{head}\r\na=".encode())[number % 4])
    assert ask(console.port, "GET", "/login").status == 200
    for each in slow:
        assert _ends(each)
        each.close()
    assert ask(console.port, "GET", "/login").status == 200


def _ends(connection: socket.socket) -> bool:
    with suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass
    return True


def test_a_kept_connection_that_begins_a_request_and_does_not_end_it(start: Start) -> None:
    console = start()
    console.wait_ready()
    head = f"HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n"
    whole = f"GET /live {head}\r\n".encode()
    part = f"POST /login {head}Sec-Fetch-Site: same-origin\r\nContent-Length: 10\r\n\r\na=".encode()
    here = ("127.0.0.1", console.port)
    with socket.create_connection(here, REQUEST_S + 60) as kept, socket.create_connection(here, REQUEST_S + 60) as piped:
        piped.sendall(whole + part)  # the second waits in the server until the first is answered
        kept.sendall(whole)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200")
        kept.sendall(b"GET /live HT")
        assert _ends(kept) and _ends(piped)


def test_too_many_connections_are_told_so(start: Start) -> None:
    console = start()
    console.wait_ready()
    many = [socket.create_connection(("127.0.0.1", console.port)) for _ in range(620)]
    many[-1].settimeout(30)
    said = many[-1].recv(1 << 16)
    assert said.startswith(b"HTTP/1.1 503") and b"content-security-policy" in said.lower() and BUSY_LINE.encode() in said
    for each in many:
        each.close()


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * (1 << 17) + b"\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request_gets_a_400_with_the_headers(start: Start, head: bytes) -> None:
    console = start()
    console.wait_ready()
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as connection:
        connection.sendall(head)
        said = connection.recv(1 << 16)
    assert said.startswith(b"HTTP/1.1 400") and b"content-security-policy" in said.lower()
    assert "WARNING" not in console.log.read_text(), "who is not logged in fills no log"


def test_by_tls_of_its_own(start: Start, tmp_path: Path) -> None:
    ca = trustme.CA()
    made = ca.issue_cert("localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in made.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    console = start(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    context = ssl.create_default_context()
    ca.configure_trust(context)
    console.says("the console is at https://127.0.0.1")
    silent = socket.create_connection(("127.0.0.1", console.port), 50)  # asyncio alone waits 60 s for a handshake
    connection = http.client.HTTPSConnection("127.0.0.1", console.port, context=context, timeout=20)
    path = "/login/" + login_url(console.settings).rpartition("/")[2]
    connection.request("POST", path, headers={"Origin": f"https://127.0.0.1:{console.port}"})
    answer = connection.getresponse()
    assert answer.status == 303 and (answer.headers["Set-Cookie"] or "").startswith("__Host-earshot=")
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    connection.close()
    assert _ends(silent)
    silent.close()


def test_a_taken_port_and_a_place_in_clear_are_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        console = start(port=port)
        console.says(f"console's port 127.0.0.1:{port}: Address already in use")
        wait_for("its end", lambda: console.exit_code == 5)
    console = start(host="0.0.0.0")
    console.says("console.public_url")
    wait_for("its end", lambda: console.exit_code == 2)
