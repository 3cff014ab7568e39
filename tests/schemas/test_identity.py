"""Keys of profiles, values and edges: the same number everywhere."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from schemas.identity import EDGE_COLUMNS, account_key, account_keys, edge_keys, value_key, value_keys

texts = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=5), st.sampled_from(["1", "Ab", "ÄB"]))


@pytest.mark.parametrize(
    ("platform", "author_id", "handle", "named"),
    [
        ("x", "17", None, "x:17"),
        ("x", "Ab", "Who", "x:Ab"),
        ("x", None, "Who", "x:@who"),
        ("x", "", "ÄB", "x:@Äb"),
    ],
)
def test_a_profile_is_named_by_its_id_else_by_its_handle(platform: str, author_id: str | None, handle: str, named: str) -> None:
    assert account_key(platform, author_id, handle) == xxh3_64_intdigest(named.encode())


def test_nobody_has_no_key() -> None:
    assert account_key("x", None) == account_key("x", "", "") == 0


@given(st.lists(st.tuples(st.sampled_from(["x", "vk"]), texts, texts)))
def test_keys_by_column_are_those_of_each_row(rows: list[tuple[str, str | None, str | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"p": pl.String, "i": pl.String, "h": pl.String}, orient="row")
    assert account_keys(frame["p"], frame["i"], frame["h"]).to_list() == [account_key(*row) for row in rows]


def test_keys_of_values_by_column() -> None:
    digests = pl.Series(["00ff", None, "00ff"])
    assert value_keys("email", digests).to_list() == [value_key("email", "00ff"), 0, value_key("email", "00ff")]
    assert value_key("email", "00ff") != value_key("phone", "00ff")


def test_an_edge_is_named_by_its_ends() -> None:
    schema = {name: EDGE_COLUMNS[name] for name in ("kind", "type", "a", "b")}
    rows = [
        ("value", "email", 2**64 - 1, 3),
        ("profile", "login", 5, 3),
        ("profile", "login", 3, 5),
        ("profile", "handle", 5, 3),
    ]
    names = [b"value:email:18446744073709551615:3", b"profile:login:3:5", b"profile:login:3:5", b"profile:handle:5:3"]
    assert edge_keys(pl.DataFrame(rows, schema=schema, orient="row")).to_list() == [xxh3_64_intdigest(name) for name in names]
