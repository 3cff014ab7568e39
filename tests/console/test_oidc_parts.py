"""Names that a provider gives, and logins that wait for it."""

from __future__ import annotations

import pytest

from pipeline.console.oidc.failed import ProviderAway
from pipeline.console.oidc.id_token import claimed, read_keys
from pipeline.console.oidc.waiting import MOST, MOST_BYTES, MOST_OF_ADDRESS, WaitingLogins
from schemas.untyped import JsonObject

SUB = "248289761001"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ines", "email": "i@acme.example"}, "ines"),
        ({"preferred_username": " zoë ", "email": "i@acme.example"}, "zoë"),
        ({"preferred_username": "zoe\u0308"}, "zoë"),
        ({"preferred_username": "<script>alert(1)</script>"}, "<script>alert(1)</script>"),  # templates escape it
        ({"preferred_username": "", "email": "i@acme.example"}, "i@acme.example"),
        ({"preferred_username": "admin\u202e", "email": "i@acme.example"}, "i@acme.example"),
        ({"preferred_username": "a\nX-Earshot-Actor: b", "email": "i@acme.example"}, "i@acme.example"),
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


def test_they_have_an_end_in_number_and_in_bytes() -> None:
    logins = WaitingLogins()
    for number in range(MOST + 10):
        logins.add(f"10.0.{number // 256}.{number % 256}", "http://here/back", "/", "")
    assert len(logins._waiting) == MOST
    big = "x" * (MOST_BYTES // 4)
    for number in range(8):
        logins.add(f"10.1.0.{number}", "http://here/back", "/", big)
    assert logins._bytes <= MOST_BYTES and len(logins._waiting) == 4
