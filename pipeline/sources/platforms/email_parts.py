"""The parts of an e-mail's body (MIME): where its text is, and the kinds of what is left out.

It walks over positions in the message's bytes and copies nothing but texts, so attachments cost no memory and almost no time.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.sources.platforms.email_headers import MOST_GUESSES, Headers, base64_bytes, decoded, plain_header, read_headers
from pipeline.sources.platforms.email_html import plain_of_html

MOST_PARTS = 1_000
"""Of a message; what is behind them is left out."""
DEEPEST = 10
"""Parts within parts."""
MOST_BYTES = 1 << 20
"""Of the texts of a message, as they are encoded; what is behind them is left out."""
_TOO_MANY, _TOO_DEEP, _TOO_LONG = f"parts beyond {MOST_PARTS:,}", f"parts over {DEEPEST} deep", "text beyond 1 MiB"
_KINDS = ("application", "audio", "font", "image", "message", "model", "multipart", "text", "video")
_STUB, _RICH = 200, 4_000
"""A plain text below as many characters is compared with an HTML text of as many bytes: it may say nothing but that there is
HTML."""
_GUESSED = re.compile(rb"^--([^\r\n]{1,200}?)[ \t]*\r?\nContent-", re.MULTILINE | re.IGNORECASE)
_GUESSED_IN = 1 << 16
_PARAMETER = re.compile(r";\s*([a-z*0-9-]{1,40})\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]*))", re.IGNORECASE)


class Text(NamedTuple):
    """The text of a part, as it came."""

    text: str
    html: bool


@dataclass
class Body:
    """The texts of a message in their order, and the kinds of what was left out."""

    texts: list[Text] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    parts: int = 0
    bytes_read: int = 0

    def leave_out(self, kind: str) -> None:
        """A limit is named once."""
        if kind not in (_TOO_MANY, _TOO_DEEP, _TOO_LONG) or kind not in self.left_out:
            self.left_out.append(kind)


def read_body(data: bytes, headers: Headers, start: int, end: int) -> Body:
    """The texts of a message whose body is data[start:end]; of alternatives the best one."""
    body = Body()
    body.texts = _texts(body, data, headers, (start, end), 0)
    return body


def content_type(headers: Headers) -> tuple[str, dict[str, str]]:
    """The kind in small letters (`text/plain` if none is given), and its parameters."""
    written = plain_header(headers, "content-type")
    kind = "".join(written.split(";", 1)[0].split()).lower()
    return kind if "/" in kind else "text/plain", _parameters(written)


def _parameters(written: str) -> dict[str, str]:
    return {found[1].lower(): found[2] if found[2] is not None else found[3] for found in _PARAMETER.finditer(written)}


def _texts(body: Body, data: bytes, headers: Headers, span: tuple[int, int], depth: int) -> list[Text]:
    kind, parameters = content_type(headers)
    main = kind.split("/")[0]
    if main == "multipart":
        parts = _split(body, data, span, parameters.get("boundary", ""), depth)
        if parts is None:  # no boundary anywhere: it is a text
            return _text(body, data, {}, span, {})
        found = [_texts(body, data, *part, depth + 1) for part in parts]
        return _best(found) if kind == "multipart/alternative" else [text for texts in found for text in texts]
    disposition = plain_header(headers, "content-disposition").lower()
    named = "name" in parameters or "filename" in disposition
    if kind == "message/rfc822":
        body.leave_out("forwarded message")
    elif kind not in ("text/plain", "text/html") or disposition.startswith("attachment") or (named and depth):
        body.leave_out(f"attachment {main if main in _KINDS else 'other'}")
    else:
        return _text(body, data, headers, span, parameters)
    return []


Piece = tuple[Headers, tuple[int, int]]


def _split(body: Body, data: bytes, span: tuple[int, int], boundary: str, depth: int) -> list[Piece] | None:
    """The parts between a multipart's delimiters; None if there is no delimiter."""
    start, end = span
    mark = boundary.encode("utf-8", "replace")
    if not mark or data.find(b"--" + mark, start, end) < 0:
        guess = _GUESSED.search(data, start, min(end, start + _GUESSED_IN))
        if guess is None:
            return None
        mark = guess[1]
    if depth >= DEEPEST:
        body.leave_out(_TOO_DEEP)
        return []
    pieces: list[Piece] = []
    sought = b"\n--" + mark
    begun, at = -1, start - 1  # the line end before the body
    while (at := data.find(sought, at, end)) >= 0:
        body.parts += 1
        rest = data[at + len(sought) : min(end, at + len(sought) + 80)].split(b"\n", 1)[0].strip()
        if rest and rest != b"--" and body.parts <= MOST_PARTS:  # another boundary that begins with this one
            at += len(sought)
            continue
        if begun >= 0:
            pieces.append(_piece(data, begun, at))
        if body.parts > MOST_PARTS:
            body.leave_out(_TOO_MANY)
        line_end = data.find(b"\n", at + len(sought), end)
        if rest or line_end < 0 or body.parts > MOST_PARTS:
            return pieces
        begun, at = line_end + 1, line_end
    return [*pieces, _piece(data, begun, end)] if begun >= 0 else None


def _piece(data: bytes, start: int, end: int) -> Piece:
    headers, at = read_headers(data, start, end)
    return headers, (at, end)


def _best(found: list[list[Text]]) -> list[Text]:
    """Of alternatives: the plain text, unless it is none, or next to nothing beside an HTML text."""
    plain = next((texts for texts in found if texts and not any(text.html for text in texts) and _length(texts)), [])
    html = next((texts for texts in reversed(found) if any(text.html for text in texts)), [])
    if not plain or not html:
        return plain or html
    if _length(plain) < _STUB and _length(html) >= _RICH:
        shown = sum(len(plain_of_html(text.text)) for text in html if text.html)
        return html if shown > 10 * _length(plain) else plain
    return plain


def _length(texts: list[Text]) -> int:
    return sum(len(text.text.strip()) for text in texts)


def _text(body: Body, data: bytes, headers: Headers, span: tuple[int, int], parameters: dict[str, str]) -> list[Text]:
    start, end = span
    room = MOST_BYTES - body.bytes_read
    if end - start > room:
        body.leave_out(_TOO_LONG)
    raw = data[start : min(end, start + room)]
    body.bytes_read += len(raw)
    text = decoded(_transferred(raw, headers), parameters.get("charset", ""), body.parts < MOST_GUESSES)
    kind = content_type(headers)[0]
    html = kind == "text/html" or text[:200].lstrip().lower().startswith(("<!doctype html", "<html"))
    if not html and parameters.get("format", "").lower() == "flowed":
        text = unflowed(text, parameters.get("delsp", "").lower() == "yes")
    return [Text(text, html)] if text.strip() else []


def _transferred(raw: bytes, headers: Headers) -> bytes:
    encoding = plain_header(headers, "content-transfer-encoding").lower()
    try:
        if "base64" in encoding:
            return base64_bytes(raw)
        return binascii.a2b_qp(raw) if "quoted" in encoding else raw
    except ValueError:
        return raw


def unflowed(text: str, delete_space: bool) -> str:
    """The lines of format=flowed (RFC 3676) as they were before a program broke them."""
    lines: list[tuple[int, list[str]]] = []
    flows = False
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")
        if flows and lines[-1][0] == depth and content != "-- ":
            lines[-1][1].append(content)
        else:
            lines.append((depth, [content]))
        flows = content.endswith(" ") and content != "-- "
        if flows and delete_space:
            lines[-1][1][-1] = content[:-1]
    return "\n".join(f"{'>' * min(depth, 5)}{' ' if depth else ''}{''.join(parts)}" for depth, parts in lines)
