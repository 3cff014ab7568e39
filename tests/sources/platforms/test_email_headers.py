"""Authors, robots and charsets of e-mails."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.support.mails import DATE, HEAD, event, text


@pytest.mark.parametrize(
    ("lines", "email", "name"),
    [
        ("From: Ada <ada@a.example>, bob@b.example", "ada@a.example", "Ada"),
        ("From: Ada <ada@a.example>, Bob <bob@b.example>\nSender: bob@b.example", "bob@b.example", "Bob"),
        ("From: Team: Ada <ada@a.example>, bob@b.example;", "ada@a.example", "Ada"),
        ("From: Hidden:;\nSender: Bob <bob@b.example>", "bob@b.example", "Bob"),
        ("From: =?utf-8?Q?M=C3=BCller=2C_Ada?= <ada@a.example>", "ada@a.example", "Müller, Ada"),
        ("From: =?utf-8?Q?Ada_<ada@a.example>?=", "ada@a.example", "Ada"),
        ("From: =?klingon?B?QWRh?= <ada@a.example>", "ada@a.example", "Ada"),
        ("From: =?utf-8?B?w?= =?utf-8?B?w7w=?= <ada@a.example>", "ada@a.example", "ü"),
        ("From: =?utf-8?B?w7w?= =?utf-8?Q?=C3?= =?utf-8?Q?=BC?= <ada@a.example>", "ada@a.example", "üü"),
        ("From: <ada@a.example", "ada@a.example", None),
        ("From: Ada at home", None, None),
    ],
)
def test_the_author(lines: str, email: str | None, name: str | None) -> None:
    author = event(f"{lines}\n{DATE}\n\nHi").get("author", {})
    assert (author.get("email"), author.get("name")) == (email, name)


@pytest.mark.parametrize(
    ("line", "automatic"),
    [
        ("Auto-Submitted: auto-generated (rejected)", True),
        ("Auto-Submitted: No", False),
        ("Precedence: bulk", True),
        ("Precedence: auto_reply", True),
        ("Precedence: list\nList-Id: <kettles.example>\nList-Post: <mailto:k@l.example>", False),
        ("Precedence: bulk\nList-Post: <mailto:k@l.example>\nList-Unsubscribe: <mailto:k@l.example>", False),
        ("List-Id: <news.example>\nList-Post: NO\nList-Unsubscribe: <mailto:k@l.example>", True),
        ("X-Autoreply: yes", True),
        ("Return-Path: <>", True),
        ("Return-Path: <ada@mail.example>", False),
        ("Content-Type: multipart/report; report-type=disposition-notification", True),
        ("From: no-reply@shop.example", True),
        ("From: noreply-orders@shop.example", True),
        ("From: noreen@mail.example", False),
    ],
)
def test_who_is_no_person(line: str, automatic: bool) -> None:
    found = event(f"{line}\nFrom: Ada <ada@mail.example>\n{DATE}\n\nHi")
    assert found["author"].get("kind") == ("bot" if automatic else None)


def encoded(body: str, charset: str, declared: str) -> bytes:
    content = b64encode(body.encode(charset))
    return f"{HEAD}\nContent-Type: text/plain{declared}\nContent-Transfer-Encoding: base64\n\n".encode() + content


LONG = "Der Kessel heißt »Wasserkönig« und bleibt für übermäßig lange Zeit kalt, obwohl er größer ist."


@pytest.mark.parametrize(
    ("body", "charset", "declared"),
    [
        ("Grüße", "utf-8", ""),
        ("Grüße", "utf-8", "; charset=us-ascii"),
        ("Grüße", "utf-8", "; charset=iso-8859-1"),
        ("Grüße", "utf-8", "; charset=no-such"),
        ("5 € „kalt“", "cp1252", "; charset=iso-8859-1"),
        (LONG, "cp1252", "; charset=utf-8"),
        (LONG, "cp1252", ""),
        ("Чайник холодный", "koi8-r", '; charset="KOI8-R"'),
        ("Чайник остаётся холодным, что мне делать?", "cp1251", ""),
        ("水壶是冷的", "gb18030", "; charset=gb2312"),
        ("やかんは①冷たい", "cp932", "; charset=shift_jis"),
        ("やかんは冷たい", "iso2022_jp", "; charset=ISO-2022-JP"),
        ("Grüße", "utf-16", "; charset=utf-16"),
        ("Grüße", "utf-7", "; charset=utf-7"),
    ],
)
def test_charsets(body: str, charset: str, declared: str) -> None:
    assert text(encoded(body, charset, declared)) == body


def test_headers_of_no_charset() -> None:
    assert event(f"Subject: {LONG}\nFrom: a@b.example\n{DATE}\n\n".encode("cp1252"))["text"] == LONG
