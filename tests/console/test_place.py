"""Where the console serves, and to whom."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from pipeline.config.console import ConsoleSettings
from pipeline.console.place import Place
from pipeline.errors import SettingsError

PROXY = {"host": "0.0.0.0", "public_url": "https://earshot.example", "trusted_proxies": ["10.0.0.7", "fd00::/8"]}


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"},
        {"host": "10.0.0.5"},
        {"host": "::"},
        {"host": "0.0.0.0", "public_url": "http://earshot.example", "trusted_proxies": ["10.0.0.7"]},
        {"host": "0.0.0.0", "public_url": "https://earshot.example"},
        {"host": "0.0.0.0", "trusted_proxies": ["10.0.0.7"]},
    ],
)
def test_in_clear_beyond_this_machine_it_does_not_start(given: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=r"console\."):
        Place(ConsoleSettings.model_validate(given))


@pytest.mark.parametrize(
    "given",
    [
        {"public_url": "earshot.example"},
        {"public_url": "https://earshot.example/console"},
        {"public_url": "ftp://earshot.example"},
        {"trusted_proxies": ["proxy.example"]},
        {"trusted_proxies": ["10.0.0.7/8"]},
        {"trusted_proxies": ["0.0.0.0/0"]},
        {"trusted_proxies": ["::/0"]},
        {"certificate": "a.pem"},
        {"idle_hours": 0},
    ],
)
def test_wrong_settings(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ConsoleSettings.model_validate(given)


def test_beyond_this_machine_the_proxy_alone_may_ask() -> None:
    place = Place(ConsoleSettings.model_validate(PROXY))
    assert place.https
    assert place.refusal("10.0.0.7", "earshot.example") == place.refusal("fd00::1", "EARSHOT.example") == ""
    assert "through its proxy" in place.refusal("10.0.0.8", "earshot.example")
    for host in ("10.0.0.5:9405", "127.0.0.1:9405", "evil.example", "earshot.example:9405"):
        assert place.refusal("10.0.0.7", host)


def test_with_its_own_certificate_it_answers_to_any_name() -> None:
    place = Place(ConsoleSettings.model_validate({"host": "0.0.0.0", "certificate": "a.pem", "key": "a.key"}))
    assert place.https and place.refusal("192.0.2.1", "console.example:9405") == ""
    assert place.refusal("192.0.2.1", "a b")


def test_a_published_port_of_a_container_is_this_machine() -> None:
    given = {"host": "0.0.0.0", "public_url": "http://127.0.0.1:9405", "trusted_proxies": ["172.16.0.0/12"]}
    place = Place(ConsoleSettings.model_validate(given))
    assert not place.https and place.refusal("172.18.0.1", "127.0.0.1:9405") == ""
    assert place.refusal("172.18.0.1", "console:9405") and place.refusal("192.0.2.1", "127.0.0.1:9405")


def test_who_asks_is_what_a_trusted_proxy_says_and_nobody_else() -> None:
    place = Place(ConsoleSettings.model_validate(PROXY))
    assert place.address("10.0.0.7", ["192.0.2.9"]) == "192.0.2.9"
    assert place.address("10.0.0.7", ["6.6.6.6, 192.0.2.9, fd00::3"]) == "192.0.2.9"
    assert place.address("10.0.0.7", ["6.6.6.6", "192.0.2.9"]) == "192.0.2.9", "a proxy's own line comes last"
    assert place.address("192.0.2.1", ["6.6.6.6"]) == "192.0.2.1"
    assert place.address("10.0.0.7", []) == place.address("10.0.0.7", [" , "]) == "10.0.0.7"
    assert place.address("10.0.0.7", ["x" * 5000]) == "x" * 64
    assert place.address("::ffff:10.0.0.7", ["192.0.2.9:4711"]) == "192.0.2.9"
    assert place.address("10.0.0.7", ["6.6.6.6:1, [2001:db8::1]:443, [fd00::3], 10.0.0.7:80"]) == "2001:db8::1"


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("10.1.2.3:9405", True),
        ("[fd00::5]:9405", True),
        ("console:9405", True),
        ("console.earshot.svc:9405", True),
        ("console.earshot.svc.cluster.local", True),
        ("earshot.example", True),
        ("EARSHOT.example:9405", True),
        ("evil.example:9405", False),
        ("10.1.2.3.evil.example", False),
        ("", False),
    ],
)
def test_who_scrapes_names_the_console_by_an_address_or_a_name_of_its_network(host: str, answered: bool) -> None:
    place = Place(ConsoleSettings.model_validate(PROXY))
    assert (place.refusal_of_health(Headers({"host": host})) == "") is answered
    assert place.refusal_of_health(Headers({"host": host, "origin": "https://evil.example"}))
    assert place.refusal_of_health(Headers({"host": host, "sec-fetch-site": "cross-site"}))


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": "https://earshot.example"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://earshot.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://earshot.example", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://earshot.example"}, False),
        ({"origin": "https://earshot.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "none"}, False),
        ({}, False),
    ],
)
def test_the_origin_of_an_act(headers: dict[str, str], own: bool) -> None:
    place = Place(ConsoleSettings.model_validate(PROXY))
    assert place.same_origin(Headers({"host": "earshot.example", **headers})) is own


def test_links_are_as_people_open_them() -> None:
    assert Place(ConsoleSettings.model_validate(PROXY)).url("/login/x", 9405) == "https://earshot.example/login/x"
    assert Place(ConsoleSettings()).url("/", 9405) == "http://127.0.0.1:9405/"
    assert Place(ConsoleSettings(host="::1")).url("/", 1) == "http://[::1]:1/"
