"""Addresses that name nothing: refused, with what is wrong, and no error of the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from pipeline.config.settings import Settings
from pipeline.kafka.topics import migrate_topics
from tests.support.console_routes import OUT, STREAM, acts, pages
from tests.support.console_whole import Whole, whole

LONG = "9" * 10_000
DAY = "brand=Acme&from=2026-01-01&to=2026-01-02"
LETTER = "topic=events&partition=0"
WRONG = {
    "/": ("severity=0", f"severity={LONG}", "severity=%D9%A3", "brand=nobody", "rule=none"),
    "/alerts/": ("zz", "%00", LONG, "%ff%fe", "0000000000000000/acknowledge", f"{LONG}/acknowledge"),
    "/brands": ("page=10000000", "page=0", "page=-1", "page=1e3", f"page={LONG}", "name=nobody", "name=%00"),
    "/brands/": ("%00", "nobody", LONG, "/..//..//etc/passwd"),
    "/brands/Acme": ("to=0001-01-01", "to=9999-12-31T23:59:59Z", "span=9y", "zone=../../etc/passwd", "zone=%00", f"to={LONG}"),
    "/cases/": ("take", "steal", "take?brand=Acme"),
    "/charts/": ("alert/x", "alert/%00", "brand/nothing?brand=Acme"),
    "/charts/brand/volume": ("brand=Acme&to=0001-01-01", "brand=Acme&span=%00", "brand=Acme&zone=Mars/Base"),
    "/libraries/": ("..%2f..%2fx", "x"),
    "/login/": ("x", LONG, "%00", "oidc", "oidc/back"),
    "/operations/dead-letters": ("partition=x", "partition=9999999999", f"from_offset={LONG}", "to_offset=-1"),
    "/operations/dead-letters/raw": ("", f"{LETTER}&from_offset=77&to_offset=77", f"{LETTER}&from_offset=1&to_offset=2"),
    "/operations/sources/": ("none", "%00", "feed/stop", "..%2f..", LONG),
    "/posts": ("", "brand=Acme", "brand=%00&from=2026-01-01&to=2026-01-02", f"{DAY}&after=x", f"{DAY}&after=9-{LONG}"),
    "/posts?brand=Acme&": ("from=0001-01-01&to=0001-01-02", "from=2026-01-02&to=2026-01-01", f"from={LONG}&to={LONG}"),
    "/record": ("from=0001-01-01", f"from={LONG}d", "way=smoke", "to=99999999999d", "way=%00"),
    "/record.csv": ("from=never", "way=smoke"),
    "/silence": ("alert=x", f"alert={LONG}", "alert=%00"),
    "/static/": ("..%2fapp.py", "%2e%2e/app.py", "%00"),
    "/nothing": ("",),
}
"""An address, and what is put behind it."""
ODD = ("x" * 5_000, "\0", b"\xed\xa0\x80", b"\xff", "\u202e", "%", "\r\nSet-Cookie: a=b", "[]", "9" * 400, "'\"\\;--", "٣")
NAMES = (
    *("brand", "rule", "platform", "severity", "search", "page", "name", "span", "to", "from", "zone", "actor", "act", "way"),
    *("subject", "language", "tone", "after", "reason", "topic", "partition", "from_offset", "to_offset", "alert", "next"),
    *("comment", "minutes", "owner", "kept", "conversation_id"),
)


@pytest.fixture
def bench(emptied: Settings, tmp_path: Path) -> Iterator[Whole]:
    with whole(emptied, tmp_path) as console:
        yield console


def address(where: str, what: str) -> str:
    return f"{where}{what}" if where.endswith(("/", "&")) and where != "/" else f"{where}?{what}"


def test_what_is_nothing_is_refused_and_said(bench: Whole) -> None:
    browser, wrong = bench.person("ada"), dict[str, object]()
    for path in (address(where, what) for where, all_ in WRONG.items() for what in all_):
        answer = browser.get(path)
        fine = 400 <= answer.status_code < 500 and "Traceback" not in answer.text and len(answer.content) < 200_000
        if not fine or "<title>" not in answer.text:
            wrong[path[:100]] = (answer.status_code, answer.text[:300])
    assert wrong == {}


def some(value: str | bytes) -> tuple[str, ...]:
    """As many of the names as an address has room for."""
    return NAMES if len(value) < 1_000 else NAMES[::8]


def test_odd_parameters_leave_a_page_a_page(bench: Whole) -> None:
    browser, wrong = bench.person("ada"), dict[str, object]()
    for way in pages(bench.app, bench.names):
        for value in ODD if way.route != STREAM else ():
            path = f"{urlsplit(way.path).path}?{urlencode(dict.fromkeys(some(value), value))}"
            answer = browser.get(path)
            if answer.status_code not in (200, 303, 400, 404) or "set-cookie" in answer.headers:
                wrong[path[:100]] = (answer.status_code, answer.text[:300])
    assert wrong == {}


def test_odd_fields_of_a_form_do_nothing_that_is_an_error(bench: Whole) -> None:
    migrate_topics(bench.settings.kafka)
    browser, wrong = bench.person("ada"), dict[str, object]()
    token = browser.csrf()
    for way in acts(bench.app, bench.names):
        for value in ODD if way.route != OUT else ():
            form = urlencode(
                {**dict.fromkeys({*NAMES, *way.form, "comment", "minutes", "owner", "kept"}, value), "csrf": token}
            )
            headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
            answer = browser.client.post(way.path, content=form, headers=headers)
            if answer.status_code >= 500 or "Traceback" in answer.text:
                wrong[f"{way.path} {value[:20]!r}"] = (answer.status_code, answer.text[:300])
    assert wrong == {}
