"""A small server of ClickHouse's HTTP interface over the engine as a library: `python -m pipeline.embedded.clickhouse`.

It serves what clients of one machine need: queries, inserts, parameters, settings, formats, compression, errors with their
codes. Its users: `default` has a password and may do all; `console`, with a password, and `analyst`, without one, read within
limits (embedded/readers.py, embedded/analyst.py). A request that names nobody is the analyst's. A GET only reads. There are no
sessions (a query's SET ends with it), no external tables, no native block compression. An insert counts as done when it is
answered with 200; a client that goes away kills its query, never its insert.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
from aiohttp import web

from pipeline.embedded.engine import Engine
from pipeline.embedded.query import Query, QueryError, QueryResult
from pipeline.embedded.readers import READERS
from pipeline.embedded.request import BODY_LIMIT, CODECS, credentials, query_id, read
from pipeline.embedded.statement import DataInsert, split_insert
from pipeline.http.same_origin import refusal

# Parameters of the URL that are not settings of the engine.
_NO_SETTINGS = {
    "query", "user", "password", "database", "default_format", "query_id", "session_id", "session_timeout", "session_check",
    "close_session", "quota_key", "role", "compress", "decompress", "enable_http_compression", "http_zlib_compression_level",
    "wait_end_of_query", "buffer_size", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
    "client_protocol_version", "stacktrace", "cancel_http_readonly_queries_on_client_close", "readonly",
}  # fmt: skip
_STATUS = {62: 400, 27: 400, 6: 400, 26: 400, 36: 400, 41: 400, 53: 400, 69: 400, 72: 400, 33: 400, 38: 400, 43: 400, 456: 400,
           457: 400, 60: 404, 46: 404, 47: 404, 50: 404, 56: 404, 81: 404, 115: 404, 63: 404, 73: 404, 78: 404,
           48: 501, 159: 408, 307: 413, 194: 401, 516: 403, 497: 403}  # fmt: skip
_CONTENT_TYPES = {"JSON": "application/json", "TabSep": "text/tab-separated-values", "CSV": "text/csv", "Pretty": "text/plain"}


class Server:
    """The HTTP interface of one engine on address `host`, with the passwords of users `default` and `console`."""

    def __init__(self, engine: Engine, passwords: Mapping[str, str], host: str) -> None:
        self._engine = engine
        self._passwords = {**passwords, "analyst": ""}
        self._host = host
        self._inserts = ThreadPoolExecutor(1, "insert")
        self._control = ThreadPoolExecutor(1, "control")
        # An analyst's long queries must not delay the worker's look-ups.
        self._queries = {"default": ThreadPoolExecutor(4, "query")} | {
            user: ThreadPoolExecutor(reader.at_once, user) for user, reader in READERS.items()
        }

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(middlewares=[self._guard], client_max_size=BODY_LIMIT)
        application.router.add_get("/ping", self._ping)
        application.router.add_get("/replicas_status", self._ping)
        application.router.add_route("*", "/", self._handle)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if reason := refusal(self._host, request.headers):
            error = f"Code: 497. DB::Exception: {reason}. (ACCESS_DENIED)\n"
            return web.Response(status=403, headers={"X-ClickHouse-Exception-Code": "497"}, text=error)
        return await handler(request)

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _handle(self, request: web.Request) -> web.Response:
        headers = {
            "X-ClickHouse-Query-Id": query_id(request),
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Server-Display-Name": "earshot",
        }
        try:
            user = self._login(request)
            head, chunks, values = await read(request, limited=user != "default")
            if not head and not chunks:
                return web.Response(text="Ok.\n", headers=headers)
            answer = await self._run(request.method, head, chunks, values, user, request.headers)
        except QueryError as error:
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            version = f" (version {self._engine.version})"
            return web.Response(status=_STATUS.get(error.code, 500), text=f"{error}{version}\n", headers=headers)
        headers["X-ClickHouse-Format"] = answer.format
        headers["X-ClickHouse-Summary"] = _summary(answer)
        kind = next((t for start, t in _CONTENT_TYPES.items() if answer.format.startswith(start)), "application/octet-stream")
        headers["Content-Type"] = f"{kind}; charset=UTF-8"
        return web.Response(body=_compressed(answer.body, request, headers), headers=headers)

    async def _run(
        self, method: str, head: bytes, chunks: list[bytes], values: Mapping[str, str], user: str, headers: Mapping[str, str]
    ) -> QueryResult:
        head, insert = _split(head, chunks) if user == "default" else (_joined(head, chunks), None)
        query = Query(
            statement=head,
            user=user,
            mark=str(uuid.uuid4()),
            database=values.get("database") or headers.get("X-ClickHouse-Database") or "default",
            default_format=values.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
            settings={n: v for n, v in values.items() if n not in _NO_SETTINGS and not n.startswith("param_")},
            params={n.removeprefix("param_"): v for n, v in values.items() if n.startswith("param_")},
            readonly=1 if method in ("GET", "HEAD") else {"": 0, "0": 0, "2": 2}.get(values.get("readonly", "0"), 1),
        )
        if insert is not None:
            return await self._in(self._inserts, lambda: self._engine.insert(query, insert))
        try:
            return await self._in(self._queries[user], lambda: self._engine.query(query))
        except asyncio.CancelledError:  # the client disconnected
            self._control.submit(self._engine.kill, query.mark)
            raise

    async def _in(self, pool: ThreadPoolExecutor, call: Callable[[], QueryResult]) -> QueryResult:
        return await asyncio.get_running_loop().run_in_executor(pool, call)

    def _login(self, request: web.Request) -> str:
        user, password = credentials(request)
        expected = self._passwords.get(user)
        if expected is None or not hmac.compare_digest(expected.encode(), password.encode(errors="surrogateescape")):
            reason = (
                "Authentication failed: password is incorrect, or there is no user with such name; default's is in the file "
                "secrets/clickhouse_password of the folder of `earshot up`, console's in secrets/console_password, "
                "user analyst reads without one"
            )
            raise QueryError(516, f"Code: 516. DB::Exception: {user}: {reason}. (AUTHENTICATION_FAILED)")
        return user


def _split(head: bytes, chunks: list[bytes]) -> tuple[bytes, DataInsert | None]:
    """The statement, and an INSERT's data. If the URL holds the statement, the rows are never joined: a copy costs 0.2 s per
    64 MB."""
    insert = split_insert(head + b"\n") if head and chunks else None
    if insert is not None:
        return head, insert._replace(data=(*insert.data, *chunks))
    head = _joined(head, chunks)
    return head, split_insert(head)


def _joined(head: bytes, chunks: list[bytes]) -> bytes:
    return b"\n".join(part for part in (head, b"".join(chunks)) if part)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _compressed(body: bytes, request: web.Request, headers: dict[str, str]) -> bytes:
    accepted = request.headers.get("Accept-Encoding", "")
    encoding = next((name for name in CODECS if name in accepted), None)
    if encoding is None or len(body) < 1024 or request.query.get("enable_http_compression") != "1":
        return body
    headers["Content-Encoding"] = encoding
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, CODECS[encoding]) as stream:
        stream.write(body)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _summary(answer: QueryResult) -> str:
    names = ("rows_read", "bytes_read", "rows_written", "bytes_written")
    spelled = ("read_rows", "read_bytes", "written_rows", "written_bytes")
    return json.dumps({there: str(getattr(answer, here)) for here, there in zip(names, spelled, strict=True)})


async def serve(engine: Engine, host: str, port: int, passwords: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT; running requests then have 5 s to finish."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Server(engine, passwords, host).application(),
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=5.0,
        read_bufsize=1 << 20,
    )
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    print(f"ClickHouse {engine.version} on http://{host}:{port}", flush=True)
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded.clickhouse", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="the folder of the data")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--password-file", type=Path, required=True, help="it holds the password of user default")
    parser.add_argument("--console-password-file", type=Path, required=True, help="... of user console")
    options = parser.parse_args()
    files = {"default": options.password_file, "console": options.console_password_file}
    passwords = {user: file.read_text().strip() for user, file in files.items()}
    for user, password in passwords.items():
        if not password:
            sys.exit(f"{files[user]}: there is no password in it")
    engine = Engine(options.path)
    try:
        asyncio.run(serve(engine, options.host, options.port, passwords))
    except OSError as error:
        sys.exit(f"http://{options.host}:{options.port}: {error.strerror}")
    finally:
        engine.close()


if __name__ == "__main__":
    main()
