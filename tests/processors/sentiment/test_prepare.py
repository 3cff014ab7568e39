"""Texts as the models read them."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.processors.sentiment.prepare import LONGEST, prepare


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("@United where is my bag?", "@user where is my bag?"),
        ("cc @a_b, @c: look", "cc @user, @user: look"),
        ("(@ann) thanks", "(@user) thanks"),
        ("@ann@mastodon.social hello", "@user hello"),
        ("write to me@example.org", "write to me@example.org"),
        ("see https://t.co/Ab1?x=2 and www.example.org/a", "see http and http"),
        ("HTTPS://EXAMPLE.ORG", "http"),
        ("Tom &amp; Ann &lt;3 &#39;hi&#39;", "Tom & Ann <3 'hi'"),
        ("AT&T; R&D", "AT&T; R&D"),
        (r"I\u2019m here\u002c \ud83d\ude00", "I’m here, 😀"),
        (r"half \ud83d", "half \ufffd"),
        ("  two\n\n lines\t and   spaces ", "two lines and spaces"),
        ("", ""),
        (None, ""),
        ("@user http", "@user http"),
    ],
)
def test_what_becomes_of_a_text(text: str | None, prepared: str) -> None:
    assert prepare(pl.Series([text], dtype=pl.String)).to_list() == [prepared]


def test_it_keeps_order_and_number_and_cuts_what_is_too_long() -> None:
    texts = pl.Series(["a", None, "&amp;", "b" * 100_000, r"\u0041"])
    assert prepare(texts).to_list() == ["a", "", "&", "b" * LONGEST, "A"]
    assert prepare(pl.Series([], dtype=pl.String)).to_list() == []


def test_what_is_prepared_stays_as_it_is() -> None:
    once = prepare(pl.Series(["@Bob see http://x.y &lt;b&gt; now", r"caf\u00e9   @x@y.z"]))
    assert prepare(once).to_list() == once.to_list()
