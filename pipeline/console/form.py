"""The form that a POST carries, and tokens against forged ones."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers
from starlette.types import Receive

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 1 << 20
MOST_BYTES_OUTSIDE = 32 << 10
"""Of somebody who is not logged in: the longest comment in any script, and no more, as the answer shows it again."""
MOST_FIELDS = 500
CSRF, CSRF_HEADER = "csrf", "x-csrf-token"


class BadForm(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def read_form(headers: Headers, receive: Receive, most: int) -> dict[str, str]:
    """The fields; of a name that comes several times the last one. Raises BadForm for a body that is none, or too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadForm(400, "The form did not come whole: send it again.")
        body += message.get("body", b"")
        if len(body) > most:
            raise BadForm(413, f"The form is too large: {most >> 10:,} kB at most.")
        if not message.get("more_body", False):
            break
    if not body:
        return {}
    if headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise BadForm(415, f"The console takes forms alone ({FORM}).")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadForm(400, "The form can't be read.") from None
    return dict(pairs)


def csrf_of(token: str) -> str:
    """The CSRF token of a session, written otherwise for each answer: what compresses the page can't tell it."""
    pad, secret = secrets.token_bytes(32), _secret(token)
    return urlsafe_b64encode(pad + _xor(pad, secret)).decode()


def csrf_is(given: str, token: str) -> bool:
    """Whether the CSRF token is one of this session."""
    try:
        raw = urlsafe_b64decode(given.encode())
    except ValueError:
        return False
    return len(raw) == 64 and hmac.compare_digest(_xor(raw[:32], raw[32:]), _secret(token))


def _secret(token: str) -> bytes:
    return hashlib.sha256(f"csrf of {token}".encode()).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def local(path: str) -> str:
    """The path to go on to, if it is one of this console's own; else the first page."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) < 2_000
    ours = path.startswith("/") and not path.startswith("//") and not parts.scheme and not parts.netloc
    return path if plain and ours and not path.startswith("/login") else "/"
