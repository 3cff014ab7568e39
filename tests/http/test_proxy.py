"""The settings [outgoing]: a proxy, and a CA of one's own."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from pipeline.errors import SettingsError
from pipeline.http.addresses import Allowed
from pipeline.http.failures import AddressRefused, NoAnswer
from pipeline.http.route import Route
from tests.support.server import LOOPBACK, Served, client, names, serving, talking, text

PASSWORD = "pr0xy-secret"


class Proxy(Served):
    """An HTTP proxy whose DNS knows one name for everything: 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.answer = b"200 OK"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        self.asked.append(f"{method} {target}")
        self.logins += [line.split(" ", 1)[1] for line in head.split("\r\n") if line.startswith("Proxy-Authorization:")]
        if self.answer != b"200 OK":
            writer.write(b"HTTP/1.1 " + self.answer + b"\r\nContent-Length: 0\r\n\r\n")
            return
        port = int(target.removeprefix("http://").split("/")[0].split(":")[1])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            back.write(head.encode())
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, back))
            both.create_task(_pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    made = Proxy()
    async with talking(made.talk) as served:
        made.port, made.connections = served.port, served.connections
        yield made


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("feeds.example", "127.0.0.1").configure_cert(context)
    return context


def login(proxy: Proxy) -> Route:
    return Route.of(f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}")


async def test_a_request_goes_by_the_proxy_which_resolves_its_name() -> None:
    async with serving(text()) as server, proxying() as proxy, client(login(proxy), names()) as out:
        url = server.url("/a?b", "feeds.example")
        assert (await out.request("GET", url)).body == b"hello"
        assert (await out.request("GET", url)).body == b"hello"
        assert proxy.asked == [f"GET {url}"] and len(server.requests) == 2, "the connection is kept"
        assert proxy.logins == ["Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()]
        assert server.requests[0].headers["Host"] == f"feeds.example:{server.port}"


async def test_https_and_streams_and_websockets_go_through_it(tls: ssl.SSLContext, ca_file: Path) -> None:
    async with serving(text("a\nb"), tls) as server, proxying() as proxy:
        route = Route.of(f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}", ca_file)
        async with client(route, names()) as out:
            url = server.url("/a", "feeds.example", "https")
            assert (await out.request("GET", url)).body == b"a\nb"
            async with out.stream(url) as lines:
                assert [line async for line in lines] == [b"a", b"b"]
            assert proxy.asked == [f"CONNECT feeds.example:{server.port}"] * 2 and len(proxy.logins) == 2
            assert all("Proxy-Authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "127.1", "[::1]"])
async def test_a_private_address_is_refused_before_the_proxy_is_asked(host: str) -> None:
    async with proxying() as proxy, client(login(proxy)) as out:
        with pytest.raises(AddressRefused):
            await out.request("GET", f"http://{host}/")
        assert not proxy.connections


async def test_a_redirect_by_the_proxy_to_a_private_address_is_refused() -> None:
    async with (
        serving(text(status=302, Location="http://127.0.0.1/")) as server,
        proxying() as proxy,
        client(login(proxy)) as out,
    ):
        with pytest.raises(AddressRefused):
            await out.request("GET", server.url(host="feeds.example"))


async def test_what_the_source_allows_is_reached_without_the_proxy() -> None:
    lookup = names(ours="127.0.0.1")
    async with serving(text()) as server, proxying() as proxy, client(login(proxy), lookup) as out:
        assert (await out.request("GET", server.url(), allow=LOOPBACK)).status == 200
        assert (await out.request("GET", server.url(host="ours.example"), allow=Allowed.of(["ours.example"]))).status == 200
        assert not proxy.connections
        assert (await out.request("GET", server.url(host="ours.example"), allow=LOOPBACK)).status == 200
        assert proxy.connections, "the network of a name is the proxy's matter"


async def test_a_proxy_that_refuses_or_is_down_says_so(ca_file: Path) -> None:
    async with proxying() as proxy, client(login(proxy)) as out:
        proxy.answer = b"407 Proxy Authentication Required"
        with pytest.raises(NoAnswer, match="^the proxy answers 407$"):
            await out.request("GET", "https://feeds.example/")
        assert (await out.request("GET", "http://feeds.example/")).status == 407
    async with client(login(proxy)) as out:
        for scheme in ("http", "https"):
            with pytest.raises(NoAnswer, match="^proxy: Connection refused$"):
                await out.request("GET", f"{scheme}://feeds.example/")
    async with client(Route.of("http://proxy.example:3128"), names()) as out:
        with pytest.raises(NoAnswer, match="the host's name: Name or service not known$"):
            await out.request("GET", "http://feeds.example/")


def test_its_password_does_not_show(ca_file: Path) -> None:
    assert PASSWORD not in repr(Route.of(f"http://me:{PASSWORD}@proxy.example:3128", ca_file))


async def test_a_certificate_of_ones_own_ca_is_accepted_where_the_settings_name_it(tls: ssl.SSLContext, ca_file: Path) -> None:
    async with serving(text(), tls) as server:
        url = server.url(scheme="https")
        async with client(Route.of(ca_file=ca_file)) as out:
            assert (await out.request("GET", url, allow=LOOPBACK)).status == 200
        async with client() as out:
            with pytest.raises(NoAnswer, match="^certificate: unable to get local issuer certificate$"):
                await out.request("GET", url, allow=LOOPBACK)
        async with client(Route.of(ca_file=ca_file), names(other="127.0.0.1")) as out:
            with pytest.raises(NoAnswer, match="^certificate: .*other.example"):
                await out.request("GET", server.url(host="other.example", scheme="https"), allow=LOOPBACK)


def test_the_systems_cas_stay(ca_file: Path) -> None:
    own, system = Route.of(ca_file=ca_file).tls, ssl.create_default_context()
    assert own is not None and len(own.get_ca_certs()) == len(system.get_ca_certs()) + 1
    assert own.verify_mode == ssl.CERT_REQUIRED and own.check_hostname


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file or directory"), ("no certificate", "holds no certificates (PEM)")]
)
def test_a_ca_file_that_cannot_be_read_is_an_error_at_the_start(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"^setting outgoing.ca_file: .*ca.pem.*") as caught:
        Route.of(ca_file=path)
    assert str(caught.value).endswith(says)
