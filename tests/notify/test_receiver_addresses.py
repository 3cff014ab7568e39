"""What an outgoing request must not reach, and that it does not."""

from __future__ import annotations

import logging
import socket

import pytest
from aiohttp import web

from pipeline.errors import SettingsError
from pipeline.http.route import Route
from pipeline.notify.receivers import Outcome, Outside, check, make_sender
from tests.http.test_addresses import REFUSED
from tests.support.notify import Request, alert, always, config, hook

LITERALS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "127.0.0.1.",
    "127.1.",
    "１２７.0.0.1",
    "127。0。0。1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[fe80::1%25lo]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "2852039166",
]


async def ask(url: str, **receiver: object) -> Outcome:
    """The outcome of telling a receiver there, without an allow-list unless one is given."""
    lookup = receiver.pop("lookup", None)
    rules = config({"name": "ops", "url": url, "allow": [], "timeout": "3s", **receiver})
    sender = make_sender(rules.receivers[0], rules, Outside({}, lookup=lookup))  # type: ignore[arg-type]
    try:
        return await sender.send([alert()], "id")
    finally:
        await sender.close()


@pytest.mark.parametrize("host", LITERALS)
async def test_an_address_is_refused_however_it_is_spelt(host: str) -> None:
    async with hook() as server:
        outcome = await ask(f"http://{host}:{server.port}/hook")
        assert outcome.reason.startswith("refused: ") and outcome.permanent and not outcome.sent
        assert not server.requests


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "ip6-localhost"])
async def test_a_name_that_the_system_resolves_to_us_is_refused(name: str) -> None:
    try:
        socket.getaddrinfo(name, None)
    except socket.gaierror:
        pytest.skip(f"{name} is no name here")
    async with hook() as server:
        outcome = await ask(f"http://{name}:{server.port}/hook")
        assert "is loopback" in outcome.reason and not server.requests


@pytest.mark.parametrize("address", REFUSED)
async def test_a_name_that_resolves_there_is_refused(address: str) -> None:
    async def lookup(name: str) -> list[str]:
        return ["93.184.216.34", address]

    outcome = await ask("http://hooks.example/", lookup=lookup)
    assert outcome.reason.startswith("refused: ") and outcome.reason.endswith(REFUSED[address])


@pytest.mark.parametrize(
    ("host", "allow"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("127.0.0.1", ["10.0.0.0/8", "127.0.0.0/8"]),
        ("[::ffff:127.0.0.1]", ["127.0.0.1"]),
        ("hooks.example", ["hooks.example"]),
        ("Hooks.Example.", ["hooks.example"]),
        ("hooks.example", ["127.0.0.1"]),
    ],
)
async def test_what_is_allowed_is_reached(host: str, allow: list[str]) -> None:
    async def lookup(name: str) -> list[str]:
        return ["127.0.0.1"]

    async with hook() as server:
        assert await ask(f"http://{host}:{server.port}/hook", allow=allow, lookup=lookup) == Outcome(True, "204")
        assert len(server.requests) == 1


@pytest.mark.parametrize("allow", [["127.0.0.2"], ["other.example"], ["127.0.0.1", "other.example"]])
async def test_what_is_allowed_is_no_more_than_that(allow: list[str]) -> None:
    async def lookup(name: str) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    async with hook() as server:
        assert (await ask(f"http://hooks.example:{server.port}/", allow=allow, lookup=lookup)).permanent
        assert not server.requests


async def test_an_odd_spelling_is_not_connected_to_even_where_it_is_allowed() -> None:
    async with hook() as server:
        outcome = await ask(f"http://127.1:{server.port}/hook", allow=["127.0.0.1"])
        assert outcome.reason == "refused: an address must be written in full" and not server.requests


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding, public at first and then ours: the name is looked up once, and nothing else is connected to."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    connected: list[str] = []

    async def lookup(name: str) -> list[str]:
        return answers.pop(0)

    async def no_network(loop: object, sock: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        sock.close()
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", no_network)
    async with hook() as server:
        assert not (await ask(f"http://hooks.example:{server.port}/", lookup=lookup)).permanent
        assert connected == ["93.184.216.34"] and answers == [["127.0.0.1"]]
        assert (await ask(f"http://hooks.example:{server.port}/", lookup=lookup)).reason == "refused: 127.0.0.1 is loopback"
        assert connected == ["93.184.216.34"] and not server.requests


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "/elsewhere"])
async def test_a_redirect_is_not_followed(target: str) -> None:
    async with hook(always(307, Location=target)) as server:
        outcome = await ask(server.url, allow=["127.0.0.1"])
        assert outcome == Outcome(False, "307: redirects are not followed", permanent=True)
        assert len(server.requests) == 1


async def test_a_proxy_of_the_environment_and_cookies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hook() as server, hook() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        server.answer = always(204, Set_Cookie="a=b")
        rules = config({"name": "ops", "url": server.url})
        sender = make_sender(rules.receivers[0], rules, Outside({}))
        for _ in range(2):
            assert (await sender.send([alert()], "id")).sent
        await sender.close()
        assert not proxy.requests and all("Cookie" not in request.headers for request in server.requests)


async def test_the_proxy_of_the_settings_is_used_for_receivers_that_are_not_allowed_by_name() -> None:
    async with hook() as server, hook() as proxy:
        rules = config({"name": "ops", "url": "http://hooks.example/hook", "allow": []}, {"name": "own", "url": server.url})
        outside = Outside({}, route=Route.of(f"http://me:pw@127.0.0.1:{proxy.port}"))
        for receiver in rules.receivers:
            sender = make_sender(receiver, rules, outside)
            assert await sender.send([alert()], "id") == Outcome(True, "204")
            await sender.close()
        assert [request.headers["Host"] for request in proxy.requests] == ["hooks.example"]
        assert [request.headers["Host"] for request in server.requests] == [f"127.0.0.1:{server.port}"]


async def test_an_answer_without_end_costs_no_more_than_it_may() -> None:
    async def endless(request: Request) -> web.Response:
        return web.Response(body=bytes(1 << 20))

    async with hook(endless) as server:
        assert (await ask(server.url, allow=["127.0.0.1"])).sent


SECRET = "T0PS3CRET"


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1/{SECRET}",
        f"http://127.1/{SECRET}",
        f"http://{SECRET}.invalid/{SECRET}",
        f"http://localhost/{SECRET}",
        f"https://127.0.0.1:1/{SECRET}",
    ],
)
async def test_neither_url_nor_secret_is_ever_said(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "asyncio")
    rules = config({"name": "ops", "url_env": "CHAT", "secret_env": "KEY", "allow": ["127.0.0.1"], "timeout": "2s"})
    sender = make_sender(rules.receivers[0], rules, Outside({"CHAT": url, "KEY": SECRET}))
    outcome = await sender.send([alert()], "id")
    await sender.close()
    assert not outcome.sent and SECRET not in f"{outcome} {sender!r} {vars(sender)!r} {caplog.text}"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "receiver ops: url_env: there is no environment variable CHAT"),
        ({"CHAT": "  ", "KEY": "k"}, "receiver ops: url_env: there is no environment variable CHAT"),
        ({"CHAT": "https://hooks.example/x"}, "receiver ops: secret_env: there is no environment variable KEY"),
        ({"CHAT": f"ftp://{SECRET}/", "KEY": "k"}, "receiver ops: CHAT: a URL should look like https://host/path"),
        ({"CHAT": f"http://[{SECRET}", "KEY": "k"}, "receiver ops: CHAT: it is no URL"),
        ({"CHAT": f"https://u:{SECRET}@hooks.example/", "KEY": "k"}, "receiver ops: CHAT: a URL holds no user and password"),
    ],
)
def test_what_the_environment_lacks_is_said_at_once(environ: dict[str, str], said: str) -> None:
    rules = config({"name": "ops", "url_env": "CHAT", "secret_env": "KEY"})
    with pytest.raises(SettingsError) as raised:
        check(rules, environ)
    assert str(raised.value) == said and raised.value.__cause__ is None


def test_a_template_names_only_what_there_is() -> None:
    check(config({"name": "ops", "url": "https://hooks.example", "template": {"a": ["{text} {Other} {}", 1]}}), {})
    with pytest.raises(SettingsError, match=r"^receiver ops: template: there is no \{colour\}$"):
        check(config({"name": "ops", "url": "https://hooks.example", "template": {"a": ["{text} {colour}", 1]}}), {})
