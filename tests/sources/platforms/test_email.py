"""E-mails as events: three by hand, then times, ids and mboxes."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms.email import NO_ID, UNCHANGED, observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Unreadable
from tests.support.mails import DATE, HEAD, OWN, event, seen, text

QUESTION = b"""\
Return-Path: <ada@mail.example>
Received: from mail.example by mx.shop.example; Mon, 2 Mar 2026 10:00:05 +0100
From: =?utf-8?Q?Ada_M=C3=BCller?= <Ada@Mail.example>
To: help@shop.example
Subject: =?utf-8?B?S2V0dGxlIOKAkyBub3Qg?= =?utf-8?Q?hot?=
Date: Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <question@mail.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

The kettle stays cold=E2=80=A6

--=20
Ada, Lake Road 1
--inner
Content-Type: text/html; charset=utf-8

<p>The kettle stays <b>cold</b></p>
--inner--
--outer
Content-Type: image/jpeg; name="kettle.jpg"
Content-Transfer-Encoding: base64

/9j/4AAQSkZJRg==
--outer--
"""
ANSWER = b"""\
From: "Help, Shop" <HELP@shop.example>
To: Ada <ada@mail.example>
Subject: Re: Kettle
Date: Mon, 2 Mar 2026 12:30:00 GMT
Message-ID: <answer@shop.example>
In-Reply-To: <question@mail.example>
References: <first@mail.example>
\t<question@mail.example>
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

<html><body><div>We send a new one.<br>Gr\xfc\xdfe</div>
<div class="gmail_quote"><div class="gmail_attr">On Mon, 2 Mar 2026, Ada wrote:</div>
<blockquote>The kettle stays cold</blockquote></div></body></html>
"""
BOUNCE = b"""\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: help@shop.example
Subject: Undelivered
Date: Tue, 3 Mar 2026 08:00:00 -0500 (EST)
Message-ID: <bounce@mx.example>
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Nobody has this address.
--b
Content-Type: message/delivery-status

Action: failed
--b
Content-Type: message/rfc822

From: help@shop.example
Subject: Re: Kettle

Hello
--b--
"""


def test_a_question() -> None:
    assert seen(QUESTION) == [
        Observation(
            {
                "id": "question@mail.example",
                "platform": "email",
                "kind": "email",
                "direction": "inbound",
                "created_at": "2026-03-02T09:00:00Z",
                "text": "Kettle \u2013 not hot\n\nThe kettle stays cold\u2026",
                "visibility": "private",
                "author": {"id": "ada@mail.example", "name": "Ada Müller", "email": "Ada@Mail.example"},
                "conversation_id": "question@mail.example",
            },
            partial=UNCHANGED,
        ),
        LeftOut("attachment image"),
    ]


def test_our_own_answer() -> None:
    assert seen(ANSWER) == [
        Observation(
            {
                "id": "answer@shop.example",
                "platform": "email",
                "kind": "email",
                "direction": "outbound",
                "created_at": "2026-03-02T12:30:00Z",
                "text": "Re: Kettle\n\nWe send a new one.",
                "visibility": "private",
                "author": {"id": "help@shop.example", "name": "Help, Shop", "email": "HELP@shop.example"},
                "in_reply_to": "question@mail.example",
                "conversation_id": "first@mail.example",
            },
            partial=UNCHANGED,
        )
    ]


def test_a_bounce() -> None:
    assert seen(BOUNCE) == [
        Observation(
            {
                "id": "bounce@mx.example",
                "platform": "email",
                "kind": "email",
                "direction": "inbound",
                "created_at": "2026-03-03T13:00:00Z",
                "text": "Undelivered\n\nNobody has this address.",
                "visibility": "private",
                "author": {
                    "id": "mailer-daemon@mx.example",
                    "name": "Mail Delivery System",
                    "email": "MAILER-DAEMON@mx.example",
                    "kind": "bot",
                },
                "conversation_id": "bounce@mx.example",
            },
            partial=UNCHANGED,
        ),
        LeftOut("attachment message"),
        LeftOut("forwarded message"),
    ]


def test_an_mbox_is_its_messages() -> None:
    mbox = b"".join(b"From x@y Mon Mar  2 10:00:00 2026\n" + mail + b"\n" for mail in (QUESTION, ANSWER, b"X: 1\n\n", BOUNCE))
    assert seen(mbox) == [*seen(QUESTION), *seen(ANSWER), LeftOut("not an e-mail"), *seen(BOUNCE)]
    lines = f"From x\n{HEAD}\n\nOne.\n\nFrom here on it is cold.\n>From there, too.\n\nFrom y\n{HEAD}\n\nTwo."
    assert [text(f"{HEAD}\n\n{body}") for body in ("One.\n\nFrom here on it is cold.\nFrom there, too.", "Two.")] == [
        str(each.event["text"]).partition("\n\n")[2] for each in seen(lines) if isinstance(each, Observation)
    ]


@pytest.mark.parametrize(
    "payload", [b"", b"\n\n", b"Hi,\nthere: no\n\nmail", b"From x\n\nno header", b"\xff\xd8\xff\xe0" * 9, None, {}]
)
def test_what_is_no_mail(payload: object) -> None:
    with pytest.raises(Unreadable):
        list(observe(payload, OWN))


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        ("Date: Mon, 2 Mar 2026 10:00:00 -0000", "2026-03-02T10:00:00Z"),
        ("Date: 2 Mar 26 10:00 EST", "2026-03-02T15:00:00Z"),
        ("Date: \n        <HR>\nReceived: by x;\n\tMon, 2 Mar 2026 10:00:09 +0000", "2026-03-02T10:00:09Z"),
        ("Date: Thu, 1 Jan 1970 00:00:00 +0000\nReceived: by x; 2 Mar 2026 10:00:09 +0000", "2026-03-02T10:00:09Z"),
        ("Date: 2 Mar 2062 10:00:00 +0000\nReceived: by x; 2 Mar 2026 10:00:09 +0000", "2026-03-02T10:00:09Z"),
        ("Received: by x; today\nReceived: by y; 2 Mar 2026 10:00:08 +0000", "2026-03-02T10:00:08Z"),
        ("Date: 99 Foo 20266 99:99:99 +9999", None),
        ("Subject: none", None),
    ],
)
def test_the_time(lines: str, at: str | None) -> None:
    found = seen(f"From: ada@mail.example\n{lines}\n\nHi")
    assert [each.kind if isinstance(each, LeftOut) else each.event["created_at"] for each in found] == [at or "no date"]


@pytest.mark.parametrize(
    ("lines", "own", "answered", "thread"),
    [
        ("Message-ID: < a@b >", "a@b", None, "a@b"),
        ("Message-ID: a@b", "a@b", None, "a@b"),
        ("Message-ID: <a@b>\nIn-Reply-To: mail of Ada <c@d>", "a@b", "c@d", "c@d"),
        ("Message-ID: <a@b>\nIn-Reply-To: ada@mail.example", "a@b", None, "a@b"),
        ("Message-ID: <a@b>\nIn-Reply-To: <c@d>\nReferences: (x) <e@f> <c@d>", "a@b", "c@d", "e@f"),
    ],
)
def test_ids(lines: str, own: str, answered: str | None, thread: str) -> None:
    found = event(f"From: ada@mail.example\n{DATE}\n{lines}\n\nHi")
    assert (found["id"], found.get("in_reply_to"), found["conversation_id"]) == (own, answered, thread)


def test_a_mail_without_an_id_has_the_same_one_on_every_way() -> None:
    mail = f"From: ada@mail.example\n{DATE}\n\nHi\n"
    found = event(mail)
    assert found["id"].startswith(NO_ID)
    assert event(b"Received: by x; 1 Mar 2026\r\n" + mail.replace("\n", "\r\n").encode())["id"] == found["id"]
    assert event(mail.replace("Hi", "Ho"))["id"] != found["id"]
    assert event(f"Message-ID: <{'x' * 1200}>\n{mail}")["id"].startswith(NO_ID)
