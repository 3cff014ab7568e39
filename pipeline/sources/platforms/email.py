"""E-mail, as RFC 5322 has it: `observe` takes the bytes of one message or of an mbox.

It reads headers and parts by itself, in time that grows with the payload's length: the standard library's parser raises for
odd headers, and needs minutes for parts in parts in parts. A mail has no `original`, as it is no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from xxhash import xxh3_128

from pipeline.sources.platforms.email_headers import (
    Address,
    Headers,
    addresses,
    message_id,
    moment_of,
    plain_header,
    read_headers,
    text_header,
)
from pipeline.sources.platforms.email_html import plain_of_html
from pipeline.sources.platforms.email_parts import Body, content_type, read_body
from pipeline.sources.platforms.email_text import new_text
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.values import event, text_of
from schemas.events import EARLIEST, ID_BYTES
from schemas.times import rfc3339

LARGEST = 64 << 20
LONGEST_HEAD = 256 << 10
LONGEST_SUBJECT = 1_000
HASHED = 1 << 20
"""Bytes of a body that make an id, where a mail has none."""
NO_ID = "no-message-id-"
UNCHANGED = frozenset(("text", "author"))
"""A mail stays as it is: who sends another one with its Message-ID, which anybody can, does not overwrite it."""
_STABLE = ("from", "sender", "to", "cc", "date", "subject", "in-reply-to", "references")
"""Headers that no server on the way adds or changes."""
_KNOWN = frozenset(("from", "date", "message-id", "subject", "received", "to", "sender", "return-path", "mime-version"))
_EARLIEST = datetime.fromisoformat(EARLIEST)
_AHEAD = timedelta(days=1)
_NEXT = re.compile(rb"(?:\A|\n\r?\n)From [^\n]*\n(?=[!-9;-~]+[ \t]*:)")
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_ROBOTS = re.compile(r"(?:mailer-daemon|postmaster|(?:no|do-?not|dont)[-_.]?reply|bounces?|notifications?)(?:[-+=.].*)?@")
_REMARK = re.compile(r"\([^()]*\)")
_CHECK = re.compile(r"(?:^|;)\s*(dmarc|dkim|spf)\s*=\s*([a-z]+)")
_AUTO_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-failed-recipients")


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Each message: an observation and the kinds of parts that were left out, or the reason why it is left out as a whole.

    Raises Unreadable if the payload is no e-mail.
    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise Unreadable(f"a {type(payload).__name__} where the bytes of an e-mail belong")
    data = bytes(payload)
    if data.startswith(b"From "):
        for message in _messages(data):
            yield from _message(message, origin) or (LeftOut("not an e-mail"),)
    elif found := _message(data, origin):
        yield from found
    else:
        raise Unreadable("no header line of an e-mail")


def _messages(mbox: bytes) -> Iterator[bytes]:
    """The messages of an mbox; a line `From ` starts one where a blank line is above it and a header line below."""
    starts = _NEXT.finditer(mbox)
    before = next(starts, None)
    if before is None:
        raise Unreadable("an mbox without a header line")
    for found in starts:
        yield _ESCAPED.sub(rb"\1", mbox[before.end() : found.start() + 1])
        before = found
    yield _ESCAPED.sub(rb"\1", mbox[before.end() :])


def _message(data: bytes, origin: Origin) -> list[Observation | LeftOut]:
    """Empty, if it is no e-mail."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    headers, body_at = read_headers(data, start, min(len(data), start + LONGEST_HEAD))
    if not headers.keys() & _KNOWN:
        return []
    if len(data) > LARGEST:
        return [LeftOut("over 64 MiB")]
    if body_at - start >= LONGEST_HEAD:
        return [LeftOut("headers over 256 KiB")]
    created_at = _created_at(headers)
    if created_at is None:
        return [LeftOut("no date")]
    body = read_body(data, headers, body_at, len(data))
    own_id = _own_id(headers, data, body_at)
    answered = _id(message_id(plain_header(headers, "in-reply-to")))
    author = _author(headers)
    ours = author is not None and author.email.lower() in origin.own
    forged = ours and _is_forged(headers)
    seen = event(
        id=own_id,
        platform="email",
        kind="email",
        direction="outbound" if ours and not forged else "inbound",
        created_at=created_at,
        text=text_of(_text(headers, body)),
        visibility="private",
        author=event(
            id=author.email.lower() if author and not forged else None,
            name=text_of(author.name) if author else None,
            email=author.email if author else None,
            kind="bot" if _is_automatic(headers, author) else None,
        ),
        in_reply_to=answered,
        conversation_id=_id(message_id(plain_header(headers, "references"))) or answered or own_id,
    )
    return [Observation(seen, partial=UNCHANGED), *map(LeftOut, body.left_out)]


def _created_at(headers: Headers) -> str | None:
    """Of `Date`, unless the topmost `Received` shows that its clock was wrong."""
    received = (moment_of(plain.rsplit(";", 1)[-1]) for plain in _plain(headers, "received"))
    arrived = next((moment for moment in received if moment is not None and moment >= _EARLIEST), None)
    sent = moment_of(plain_header(headers, "date"))
    if sent is None or sent < _EARLIEST or (arrived is not None and sent > arrived + _AHEAD):
        sent = arrived
    return rfc3339(sent, short=True) if sent is not None else None


def _plain(headers: Headers, name: str) -> Iterator[str]:
    return (value.decode("ascii", "replace") for value in headers.get(name, ())[:20])


def _own_id(headers: Headers, data: bytes, body_at: int) -> str:
    written = plain_header(headers, "message-id")
    given = message_id(written) or "".join(written.strip("<> ").split())
    if given and _id(given):
        return given
    stable = [value for name in _STABLE for value in headers.get(name, ())]
    body = data[body_at : body_at + HASHED].replace(b"\r", b"").rstrip()
    return NO_ID + xxh3_128(b"\n".join((given.encode(), *stable, b"", body))).hexdigest()


def _is_forged(headers: Headers) -> bool:
    """Whether the server that took the mail says that its sender's address is not the sender's. The topmost header is that
    server's; a mail that never left it has none."""
    checks: dict[str, set[str]] = {}
    for method, result in _CHECK.findall(_REMARK.sub("", plain_header(headers, "authentication-results").lower())):
        checks.setdefault(method, set()).add(result)
    signed = {"pass"} & (checks.get("dmarc", set()) | checks.get("dkim", set()))
    return "fail" in checks.get("dmarc", ()) or (not signed and bool({"fail", "softfail"} & checks.get("spf", set())))


def _id(text: str) -> str | None:
    return text if text and len(text.encode()) <= ID_BYTES else None


def _author(headers: Headers) -> Address | None:
    """Who wrote it. Of several in From the one that sent it, else the first; without any, the sender."""
    sender = addresses(headers.get("sender", ())[:1])
    authors = addresses(headers.get("from", ())[:1])
    sent = [each for each in authors if sender and each.email.lower() == sender[0].email.lower()]
    return next(iter((*sent, *authors, *sender, *addresses(headers.get("reply-to", ())[:1]))), None)


def _is_automatic(headers: Headers, author: Address | None) -> bool:
    """Bounces, auto-replies and mass mail, by their headers. A discussion list's mails, to which one can post, are people's."""
    if content_type(headers)[0] == "multipart/report" or any(name in headers for name in _AUTO_HEADERS):
        return True
    submitted = plain_header(headers, "auto-submitted").split(";")[0].strip().lower()
    if submitted not in ("", "no") or plain_header(headers, "return-path").replace(" ", "") == "<>":
        return True
    if author is not None and _ROBOTS.match(author.email.lower()):
        return True
    if "list-post" in headers and plain_header(headers, "list-post").strip().upper() != "NO":
        return False
    mass = plain_header(headers, "precedence").strip().lower() in ("bulk", "junk", "auto_reply", "auto-reply")
    return mass or "list-unsubscribe" in headers


def _text(headers: Headers, body: Body) -> str:
    """The subject, a blank line, and what is new; of HTML whose every word is in a quote, all of it."""
    subject = text_header(headers, "subject")[:LONGEST_SUBJECT]
    new = new_text("\n".join(plain_of_html(each.text) if each.html else each.text for each in body.texts))
    if not new and any(each.html for each in body.texts):
        new = "\n".join(plain_of_html(each.text, quotes=False) if each.html else "" for each in body.texts)
    return "\n\n".join(filter(None, (subject, text_of(new))))
