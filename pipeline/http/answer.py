"""Answer: what a server said, read within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from io import BytesIO

import aiohttp

from pipeline.http.bodies import PIECE, Decoder
from pipeline.http.failures import OutgoingError, TooLarge, within

MOST_IGNORED, REFUSAL_S = 64 << 10, 2.0
"""So much is read of a body that nobody needs, and for so long of a refusal: the server should be able to end it."""


@dataclass(frozen=True)
class Answer:
    """The last answer, after redirects. It shows its status alone: all else may hold a secret."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in upper and lower case are equal."""
    body: bytes = field(repr=False)
    """Decompressed."""
    url: str = field(repr=False)
    """Where it came from."""


class NotAccepted(OutgoingError):
    """A stream or WebSocket was refused: `answer` says with which status, headers and body, which is left out if it is over 64
    KB, broken or slow."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the server answers {answer.status}")
        self.answer = answer


def retry_after_s(headers: Mapping[str, str], now: float, most: float) -> float:
    """The seconds that a Retry-After header asks for, as a number or as a date, `most` at most; 0: there is none, or neither.

    `now`: seconds since 1970.
    """
    value = headers.get("Retry-After", "")
    try:
        seconds = float(int(value)) if value.isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), most)


async def read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to be longer, BadAnswer, and aiohttp's errors."""
    if (response.content_length or 0) > most and response.method != "HEAD" and response.status != 304:
        raise TooLarge(f"the body is over {most:,} bytes")
    # BytesIO gives its bytes away without a copy, which would double the memory of a large body.
    decoder, body, received = Decoder(response.headers.get("Content-Encoding", "")), BytesIO(), 0
    while chunk := await response.content.readany():
        received += len(chunk)
        for piece in decoder.pieces(chunk):
            body.write(piece)
            if body.tell() > most:
                raise TooLarge(f"the body is over {most:,} bytes")
        if received > most + PIECE:  # compressed, it is longer than it may be, or holds nothing
            raise TooLarge(f"the body is over {most:,} bytes")
    decoder.end()
    return body.getvalue()


async def read_ignored(response: aiohttp.ClientResponse) -> None:
    """Reads what may be read of a body that nobody needs."""
    left = MOST_IGNORED
    while left > 0 and (chunk := await response.content.read(left)):
        left -= len(chunk)


async def refusal(response: aiohttp.ClientResponse) -> NotAccepted:
    """The error for a stream that was refused."""
    body = b""
    with suppress(OutgoingError):
        async with within(asyncio.get_running_loop().time() + REFUSAL_S, REFUSAL_S):
            body = await read(response, MOST_IGNORED)
    return NotAccepted(Answer(response.status, response.headers, body, str(response.url)))


async def handshaken(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Middleware of aiohttp. Raises NotAccepted when a WebSocket is refused or redirected, which aiohttp would follow."""
    response = await handler(request)
    if "Sec-WebSocket-Key" in request.headers and response.status != 101:
        try:
            raise await refusal(response)
        finally:
            response.close()
    return response
