"""What strangers wrote, on a page: nothing of it is markup, nothing is hidden, and what is cut says so."""

from __future__ import annotations

import html
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.console.shown import counted, lasting, link, number, plain, said, size, timed, when

TEXTS = st.text(st.characters(codec=None, exclude_categories=())) | st.text("<>&\"'/ \u202e\u200d\u0301a=\n")
ZALGO = "e" + "\u0301" * 300


def read(markup: str) -> LexborHTMLParser:
    return LexborHTMLParser(f"<main>{markup}</main>")


def first(parsed: LexborHTMLParser, selector: str) -> LexborNode:
    return parsed.css(selector)[0]


@given(TEXTS)
def test_what_is_said_is_one_isolated_text_without_markup_of_its_own(text: str) -> None:
    markup = str(said(text))
    markup.encode()
    tags = {node.tag for node in read(markup).css("main *")}
    assert tags <= {"bdi", "span"}
    assert all(set(node.attributes) <= {"class", "title"} for node in read(markup).css("main *"))
    unseen = [c for c in html.unescape(markup) if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t\u200c\u200d"]
    assert all(0x600 <= ord(c) <= 0x8E2 or ord(c) in (0x110BD, 0x110CD) for c in unseen)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=100))
def test_an_honest_text_is_shown_as_it_is(text: str) -> None:
    fillers = "\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"
    text = "".join(c for c in text if c not in fillers)
    assert html.unescape(str(said(text))) == f'<bdi class="said">{text}</bdi>'


def test_texts_of_many_scripts_are_honest() -> None:
    persian, family = "می\u200cخواهم", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    england = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    for text in (persian, family, england, "शक्ति नहीं", "漢字" * 400, "bạn\nเธอ", "https://example.org/" + "a/" * 300):
        assert html.unescape(str(said(text))) == f'<bdi class="said">{text}</bdi>', text


def test_what_nobody_sees_is_shown_by_its_number_and_name() -> None:
    markup = str(said("pay\u202e\x00\u200b"))
    assert '<span class="unseen" title="right-to-left override">[U+202E]</span>' in markup
    assert '<span class="unseen" title="null">[U+0000]</span>' in markup
    assert "[U+200B]" in markup
    assert "994 unseen characters left out" in str(said("\u202e" * 1000))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x" * 100_000, "99,880 characters"),
        ("a " * 50_000, "98,000 characters"),
        (ZALGO, "294 combining marks"),
        ("see " + "x" * 200 + " there", "80 characters"),
    ],
)
def test_what_never_ends_is_cut_and_says_how_much(text: str, left: str) -> None:
    parsed = read(str(said(text)))
    assert [node.text() for node in parsed.css(".left")] == [f"[… {left} left out]"]
    assert len(str(said(text))) < 2_200


def test_a_title_is_one_line_of_plain_text() -> None:
    assert plain("a\nb\u202e") == "\u2068a b[U+202E]\u2069"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>1</script>", "vbscript:x", "//example.org", 
        "ftp://a.org",
        "https://", "https:example.org", "https:///example.org", "https://bank.org@evil.org/", "https://evil.org\\@bank.org/",
        "https://bank.org\t.evil.org", "https://%65vil.org", "https://a.org/\u2028x", "http://[::1", "http://a.org:99999999/",
        "https://a.org/" + "x" * 3000, "https://a.org/\ud800", "java\nscript:alert(1)", "\x01javascript:alert(1)", "",
        "blob:https://a.org/1", "http://a b/",
    ],
)  # fmt: skip
def test_what_is_no_honest_link_is_text(url: str) -> None:
    assert read(str(link(url))).css("a") == []
    str(link(url)).encode()


def test_a_link_names_its_host_and_tells_the_page_nothing_of_us() -> None:
    parsed = read(str(link('https://Example.ORG:8443/a?b="c&d', "a\u202ename")))
    (anchor,) = parsed.css("a")
    assert anchor.attributes == {
        "href": 'https://example.org:8443/a?b="c&d',
        "rel": "noopener noreferrer nofollow",
        "target": "_blank",
    }
    assert anchor.text() == "a[U+202E]name"
    assert first(parsed, ".host").text() == "(example.org)"


def test_a_host_of_other_letters_is_shown_as_what_is_asked_for() -> None:
    parsed = read(str(link("https://аррӏе.com/x")))
    host = first(parsed, ".host").text().strip("()")
    assert host.startswith("xn--")
    assert first(parsed, "a").attributes["href"] == f"https://{host}/x"


@given(TEXTS | st.from_regex(r"(?i)https?:[/\\]{0,3}[^\x00]*"))
def test_a_link_goes_nowhere_but_to_the_host_that_is_shown(url: str) -> None:
    parsed = read(str(link(url)))
    for anchor in parsed.css("a"):
        href = anchor.attributes["href"] or ""
        found = re.match(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?([/?#]|$)", href)
        assert found and f"({found[1]})" == first(parsed, ".host").text()


def test_a_time_says_its_zone() -> None:
    said = "2026-11-29 00:01:02 UTC"
    expected = f'<time datetime="2026-11-29T00:01:02.500Z" title="{said}" data-to="seconds">{said}</time>'
    moment = datetime(2026, 11, 29, 0, 1, 2, 500_000)
    berlin = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=1)))
    for at in (moment, berlin, "2026-11-29T00:01:02.500Z", moment.replace(tzinfo=UTC).timestamp()):
        assert str(when(at)) == expected
    assert ">2026-11-29 00:00 UTC<" in when(date(2026, 11, 29), "minutes")
    assert str(when(None)) == "–"


def test_a_time_within_a_text_is_one() -> None:
    shown = timed("ines <b> has it since 2026-11-30 10:15:00 UTC: ask, until 2026-11-30 11:00 UTC or 2026-99-99 11:00 UTC")
    times = [each.attributes["datetime"] for each in read(shown).css("time")]
    assert times == ["2026-11-30T10:15:00.000Z", "2026-11-30T11:00:00.000Z"]
    assert "ines &lt;b&gt; has it since " in shown and "2026-99-99 11:00 UTC" in shown
    assert timed("Acme: 24 mentions") == said("Acme: 24 mentions") and "left out" in timed("x" * 50, 10)


@given(st.datetimes(timezones=st.none() | st.timezones()) | TEXTS | st.floats() | st.dates())
def test_any_time_is_shown(at: object) -> None:
    read(str(when(at))).css("main *")


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (number(1_234_567), "1,234,567"), (number(12.345, "%"), "12.3\u202f%"), (number(0.01234), "0.0123"),
        (number(-1234.4), "\u22121,234"), (number(None), "–"), (number(float("nan")), "–"), (number(2.0, digits=1), "2.0"),
        (number(Decimal("1.5")), "1.50"), (number("a"), "a"),
        (counted(1, "event"), "1 event"), (counted(2000, "reply", "replies"), "2,000 replies"),
        (size(999), "999\u202fB"), (size(12_345), "12.3\u202fkB"), (size(None), "–"),
        (lasting(0.85), "850\u202fms"), (lasting(0), "0\u202fs"), (lasting(59.6), "1\u202fmin"),
        (lasting(3725), "1\u202fh 2\u202fmin"), (lasting(timedelta(days=4, hours=3)), "4\u202fd 3\u202fh"),
        (lasting(-5), "\u22125\u202fs"), (lasting(0.9999), "1\u202fs"),
    ],
)  # fmt: skip
def test_numbers_have_their_units(shown: str, text: str) -> None:
    assert shown == text


@given(st.floats() | st.integers())
def test_any_number_is_shown(value: float) -> None:
    assert number(value) and lasting(value) and size(value)
