"""Requests that a page of another origin makes a browser send are refused; those of everybody else are not."""

from __future__ import annotations

import pytest

from pipeline.http.same_origin import refusal

HERE = "127.0.0.1:8123"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": HERE},
        {},  # a probe that speaks HTTP/1.0
        {"Host": "localhost:8123"},
        {"Host": "[::1]:8123"},
        {"Host": "[::ffff:127.0.0.1]:8123"},
        {"Host": HERE, "Sec-Fetch-Site": "none"},
        {"Host": HERE, "Sec-Fetch-Site": "same-origin", "Origin": f"http://{HERE}"},
    ],
)
def test_this_machine_is_answered(headers: dict[str, str]) -> None:
    assert refusal("127.0.0.1", headers) is None


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://localhost:8123"},
    {"Origin": "null"},
    {"Origin": "http://["},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
def test_a_page_of_another_origin_is_refused(bound_to: str, headers: dict[str, str]) -> None:
    assert refusal(bound_to, {"Host": HERE, **headers}) == "not for a page of another origin"


NOT_HERE = [
    "evil.example:8123",
    "0.0.0.0:8123",
    "127.0.0.1.evil.example",
    "[",
    "localhost.",
    "evil@127.0.0.1:8123",
    "127.0.0.1:8123@evil",
    "127.0.0.1#evil",
    "127.0.0.1/evil",
    "127.0.0.1?evil",
    "127.0.0.1\\evil",
    "127.0.0.1:80:80",
    "127.0.0.1 evil",
    "[::1]evil",
]


@pytest.mark.parametrize("host", NOT_HERE)
def test_a_page_whose_name_resolves_to_this_machine_is_refused(host: str) -> None:
    assert refusal("127.0.0.1", {"Host": host}) == f"this is 127.0.0.1, not {host}"
    for bound_to in ("localhost", "::1", "::ffff:127.0.0.1"):
        assert refusal(bound_to, {"Host": host, "Origin": f"http://{host}"}) is not None


def test_a_port_for_other_machines_goes_by_any_name() -> None:
    assert refusal("0.0.0.0", {"Host": "worker:9400"}) is None
