"""Names that a provider gives, and logins that wait for it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.console.oidc.failed import ProviderAway
from pipeline.console.oidc.id_token import claimed, read_keys
from pipeline.console.oidc.names import compared
from pipeline.console.oidc.waiting import MOST_BYTES, MOST_BYTES_OF_ADDRESS, MOST_OF_ADDRESS, WaitingLogins
from pipeline.console.turns import MOST_WAITING, Turns
from pipeline.errors import UnreachableError
from schemas.untyped import JsonObject

SUB = "248289761001"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ines", "email": "i@acme.example"}, "ines"),
        ({"email": "i@acme.example", "email_verified": True}, "i@acme.example"),
        ({"email": "i@acme.example"}, SUB),  # it says nothing of whether the address is theirs
        ({"preferred_username": " zoë ", "email": "i@acme.example"}, "zoë"),
        ({"preferred_username": "zoe\u0308"}, "zoë"),
        ({"preferred_username": "<script>alert(1)</script>"}, "<script>alert(1)</script>"),  # templates escape it
        ({"preferred_username": "", "email": "i@acme.example", "email_verified": True}, "i@acme.example"),
        ({"preferred_username": "admin\u202e", "email": "i@acme.example", "email_verified": True}, "i@acme.example"),
        ({"preferred_username": "a\nX-Earshot-Actor: b", "email": "i@acme.example", "email_verified": True}, "i@acme.example"),
        *(
            ({"preferred_username": f"ines{unseen}"}, SUB)  # on the page it would be ines
            for unseen in ("\ufe0f", "\u034f", "\u3164", "\u2800", "\U000e0101")
        ),
        ({"preferred_username": "x" * 101, "email": "i@acme.example", "email_verified": True}, "i@acme.example"),
        ({"preferred_username": ["ines"], "email": "i@acme.example", "email_verified": False}, SUB),
        ({"email": "i@acme.example", "email_verified": "true"}, SUB),
        ({}, SUB),
        ({"sub": "\u200b"}, "oidc-f4e48e664a60"),
        ({"sub": "x" * 101}, "oidc-"),
        ({"sub": "\ud800"}, "oidc-"),
    ],
)
def test_the_name_that_is_shown_and_on_record(claims: JsonObject, name: str) -> None:
    got = claimed({"sub": SUB, **claims}, "groups").name
    assert got == name or (name == "oidc-" and got.startswith(name))


@pytest.mark.parametrize(
    ("groups", "known"),
    [(["a", "b"], {"a", "b"}), ("a", {"a"}), ([], set()), (None, set()), ({"a": 1}, set()), ([["a"], 1, "b"], {"b"})],
)
def test_the_groups(groups: object, known: set[str]) -> None:
    assert claimed({"sub": SUB, "their groups": groups}, "their groups").groups == known


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": [None, 1, [], {}]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [{"kty": "RSA", "n": "!" * 342, "e": "AQAB"}]},
        {"keys": [{"kty": "RSA", "n": "AQAB" * 90}]},
        {"keys": [{"kty": "RSA", "n": "A" * 342, "e": "AA"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]},
    ],
)
def test_keys_that_are_none(document: object) -> None:
    with pytest.raises(ProviderAway, match="publishes no key"):
        read_keys(document)


def test_a_login_waits_for_ten_minutes_and_is_taken_once() -> None:
    now = [1_000.0]
    logins = WaitingLogins(lambda: now[0])
    login, cookie = logins.add("10.0.0.1", "http://here/back", "/", "kept")
    assert logins.take(login.state, "another") is None and logins.take("another", cookie) is None
    assert logins.take(login.state, cookie) == login
    assert logins.take(login.state, cookie) is None
    login, cookie = logins.add("10.0.0.1", "http://here/back", "/", "")
    now[0] += 600
    assert logins.take(login.state, cookie) is None


def test_who_begins_thousands_ends_nobody_elses() -> None:
    logins = WaitingLogins()
    login, cookie = logins.add("10.0.0.1", "http://here/back", "/", "")
    flood = [logins.add("10.6.6.6", "http://here/back", "/", "x" * 1_000) for _ in range(MOST_OF_ADDRESS + 50)]
    assert logins.take(flood[0][0].state, flood[0][1]) is None
    assert logins.take(flood[-1][0].state, flood[-1][1]) is not None
    assert logins.take(login.state, cookie) == login


def test_an_address_has_so_many_bytes_and_its_oldest_go_first() -> None:
    logins = WaitingLogins()
    typed = "\u20ac" * (MOST_BYTES_OF_ADDRESS // 12)  # three bytes each: four of them are the limit
    own = [logins.add("2001:db8::1", "http://here/back", "/", typed) for _ in range(6)]
    kept = [logins.take(login.state, cookie) is not None for login, cookie in own]
    assert kept == [False, False, False, True, True, True]


def test_all_together_have_an_end_in_bytes_and_who_has_most_gives() -> None:
    logins = WaitingLogins()
    small = [logins.add(f"10.2.0.{number}", "http://here/back", "/", "") for number in range(9)]
    for number in range(2 * MOST_BYTES // MOST_BYTES_OF_ADDRESS):
        for _ in range(4):
            logins.add(f"10.1.0.{number}", "http://here/back", "/", "x" * (MOST_BYTES_OF_ADDRESS // 5))
    assert MOST_BYTES - MOST_BYTES_OF_ADDRESS < logins._all_bytes <= MOST_BYTES
    assert all(logins.take(login.state, cookie) for login, cookie in small)
    for state in list(logins._waiting):
        logins._drop(state)
    assert not logins._of and not logins._bytes and logins._all_bytes == 0


async def test_who_asks_for_much_waits_for_themselves() -> None:
    turns, inside, leave = Turns(3, 2), list[str](), asyncio.Event()

    async def ask(holder: str) -> None:
        async with turns.turn(holder):
            inside.append(holder)
            await leave.wait()

    flood = [asyncio.create_task(ask("10.6.6.6")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(UnreachableError, match="too much"):
        await ask("10.6.6.6")
    other = asyncio.create_task(ask("10.0.0.1"))
    while len(inside) < 3:
        await asyncio.sleep(0)
    assert inside == ["10.6.6.6", "10.6.6.6", "10.0.0.1"]
    leave.set()
    await asyncio.gather(*flood, other)
    assert not turns._holders


def test_what_is_over_makes_room() -> None:
    now = [1_000.0]
    logins = WaitingLogins(lambda: now[0])
    for number in range(5):
        logins.add(f"10.0.0.{number}", "http://here/back", "/", "kept")
    now[0] += 600
    logins.add("10.0.0.9", "http://here/back", "/", "")
    assert len(logins._waiting) == 1


def test_names_that_are_shown_alike_are_one() -> None:
    assert compared("In\u00e9s") == compared("ine\u0301s") == compared("\uff29\uff2e\u00c9\uff33")
    assert compared("ines") != compared("in\u0435s")  # a letter of another script is another name
