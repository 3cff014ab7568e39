"""Reads an HTTP request for the embedded ClickHouse: user and password, the statement, the body, the query's id."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import uuid
from collections.abc import Mapping

import pyarrow as pa
from aiohttp import web

from pipeline.embedded.query import QueryError

CODECS = {"lz4": "lz4", "zstd": "zstd", "gzip": "gzip", "br": "brotli"}
BODY_LIMIT = 1 << 30
"""The most bytes of a body, compressed and unpacked."""
_LIMITED_BYTES = 128 << 10
"""The most bytes of the statement of a user who only reads: the engine takes seconds to parse some longer ones."""
_PIECE = 1 << 20


def query_id(request: web.Request) -> str:
    """The client's id if it is valid in a header, else a new one."""
    given = request.query.get("query_id", "")
    return given if re.fullmatch(r"[\w-]{1,64}", given, re.ASCII) else str(uuid.uuid4())


def credentials(request: web.Request) -> tuple[str, str]:
    """User and password; without a user name it is the analyst."""
    if "X-ClickHouse-User" in request.headers:
        return request.headers["X-ClickHouse-User"], request.headers.get("X-ClickHouse-Key", "")
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise QueryError(
                516, "Code: 516. DB::Exception: Invalid HTTP Authorization header. (AUTHENTICATION_FAILED)"
            ) from None
        return user or "analyst", password
    return request.query.get("user") or "analyst", request.query.get("password", "")


async def read(request: web.Request, *, limited: bool) -> tuple[bytes, list[bytes], dict[str, str]]:
    """The statement's beginning (or all of it) from the URL, the body, and the other values of the URL or of a form.

    A limited user has no data to send: its body is short and plain.
    """
    limit = _LIMITED_BYTES if limited else BODY_LIMIT
    encoding = request.headers.get("Content-Encoding", "identity")
    if limited and encoding != "identity":
        raise _unsupported(f"Content-Encoding {encoding} of a user who only reads")
    values = dict(request.query)
    chunks: list[bytes] = []
    if request.content_type == "multipart/form-data":
        for name, field in (await _form(request, limit)).items():
            if not isinstance(field, str):
                raise _unsupported("external tables")
            values[name] = field
    else:
        chunks = await _body(request, limit)
        if encoding != "identity":
            chunks = await asyncio.to_thread(_decompressed, b"".join(chunks), encoding)
    if "1" in (values.get("compress"), values.get("decompress")):
        raise _unsupported("native compression (compress=1); use enable_http_compression=1")
    return values.get("query", "").encode(), chunks, values


async def _form(request: web.Request, limit: int) -> Mapping[str, object]:
    try:
        return await request.clone(client_max_size=limit).post()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None


async def _body(request: web.Request, limit: int) -> list[bytes]:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
    return chunks


def _unsupported(what: str) -> QueryError:
    return QueryError(48, f"Code: 48. DB::Exception: the embedded ClickHouse does not serve {what}. (NOT_IMPLEMENTED)")


def _too_large(limit: int) -> QueryError:
    return QueryError(307, f"Code: 307. DB::Exception: the body is larger than {limit >> 10} kB. (TOO_MANY_BYTES)")


def _decompressed(body: bytes, encoding: str) -> list[bytes]:
    """Unpacks piece by piece, since a small body may unpack to more than the memory."""
    if encoding not in CODECS:
        raise _unsupported(f"Content-Encoding {encoding}")
    pieces: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), CODECS[encoding]) as stream:
            while piece := stream.read(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > BODY_LIMIT:
                    raise _too_large(BODY_LIMIT)
    except OSError as error:
        raise QueryError(354, f"Code: 354. DB::Exception: Cannot decompress the body: {error}. (ZLIB_INFLATE_FAILED)") from None
    return pieces
