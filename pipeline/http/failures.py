"""What an outgoing request fails with: few kinds, and texts without the URL, which often is a secret or holds one."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp


class OutgoingError(Exception):
    """A request to a source or receiver failed. The text is a few words and never holds a URL or a header."""


class AddressRefused(OutgoingError):
    """The request must not go there. The text names the address, never the URL."""


class NotPublic(AddressRefused):
    """The address is none of the public internet, and no `allow` names it."""


class NoAnswer(OutgoingError):
    """No connection, or it broke off before the end of the answer: another try may succeed."""


class TimedOut(NoAnswer):
    """The time of the request is over, or a stream gave no sign for as long as it may."""


class TooLarge(OutgoingError):
    """A body, line or message is longer than its limit."""


class BadAnswer(OutgoingError):
    """The answer is no HTTP, its compression is broken, or it redirects to where this request must not follow."""


def named(error: BaseException) -> OutgoingError:
    """One of the errors above for an error of aiohttp or the system, whose own texts hold the URL."""
    if isinstance(error, OutgoingError):
        return error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return NoAnswer(f"the proxy answers {error.status}")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return NoAnswer(f"proxy: {_why(error)}")
    if isinstance(error, aiohttp.ServerTimeoutError):
        return TimedOut("no answer in time")
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return BadAnswer("the server speaks no WebSocket")
    if isinstance(error, aiohttp.ClientResponseError):
        return BadAnswer("the answer is no HTTP, or its headers are too long")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return NoAnswer("the server closed the connection")
    if isinstance(error, aiohttp.ClientPayloadError):
        return NoAnswer("the answer breaks off")
    return NoAnswer(_why(error))


@asynccontextmanager
async def within(deadline: float, seconds: float) -> AsyncIterator[None]:
    """Inside it, errors are OutgoingErrors. Raises TimedOut at `deadline`, by the loop's clock; `seconds` is for its text."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise TimedOut(f"no answer within {seconds:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise named(error) from None


def _why(error: BaseException) -> str:
    """A few words of the system, without the URL."""
    cause = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason}"
    if isinstance(cause, socket.gaierror):
        return f"the host's name: {cause.strerror}"
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno)
    return type(error).__name__
