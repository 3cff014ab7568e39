"""Many open pages, told of each change of an alert as it comes: what that takes, and whether all of them get all of it.

STREAMS people, each with a session, have page Now open; RATE changes a second are written to topic alerts, as control writes
them, before that KEPT at once. Then the same again beside two that do not read: each asks for KEPT that it missed, more than
its connection holds, and comes back when it has been cut off.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import numpy as np
from confluent_kafka import Producer

from benchmarks.alerts import CORES
from benchmarks.console_process import HOST, Console
from benchmarks.ground import cpu_seconds, ground, resident_mb
from benchmarks.identity_tables import database
from benchmarks.progress import bar
from benchmarks.query_tables import BRANDS, brand
from benchmarks.report import MB, Figure
from benchmarks.visible import Times
from pipeline.config.settings import Settings
from schemas.alerts import Alert, Scope, State, alert_key, dump
from schemas.times import to_ms, whole_ms

NAMES = ("console.streams_cores", "console.streams_mb")
STREAMS, PERSONS, RATE, DEAF = 200, 20, 10, 2
ALERTS, KEPT = 300, 1_900
"""Alerts that change in turns; somewhat fewer changes than the console keeps for those who come back."""
PATIENCE_S, HELD_S = 60.0, 45.0
"""A client that does not read is cut off within HELD_S."""
SMALL = 4096
_TOLD, _STATE = b"event: alert\n", b"event: state\n"
_KEY, _AT = re.compile(rb'id="alert-([0-9a-f]{16})"'), re.compile(rb'data-at="(\d+)"')
_ID = re.compile(rb"id: ([^\n]+)\n")


Sent = dict[tuple[str, int], float]
"""Of each change, by its alert and when it was made in ms, the time."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What it took, and the milliseconds from the call of produce until each stream had each change."""

    cores: float
    mb: float
    """The most that was resident."""
    ms: Times

    @property
    def p99(self) -> float:
        return float(np.percentile(self.ms, 99))


def figures(seconds: int) -> Iterator[Figure]:
    """`seconds` of each of the two."""
    with ground() as stage, database(stage, "console") as settings, Console(stage, settings) as console:
        cookies = [console.log_in(f"person {n % PERSONS}") for n in bar.track(range(STREAMS), STREAMS, "people log in")]
        console.ask("/", cookies[0])
        before = resident_mb(console.pid)
        alone, beside = asyncio.run(_measure(console, settings, cookies, seconds))
    told = len(alone.ms) + len(beside.ms)
    conditions = (
        f"{STREAMS} streams of as many sessions, {RATE} changes a second for {2 * seconds} s, {told:,} told, none missed; "
        f"{DEAF} more that do not read in the second half. Without them {alone.cores:.3f} cores and p99 {alone.p99:,.0f} ms "
        f"from the call of produce, with them {beside.cores:.3f} and {beside.p99:,.0f} ms (max {beside.ms.max():,.0f})"
    )
    yield Figure(NAMES[0], max(alone.cores, beside.cores), CORES, conditions)
    most = max(alone.mb, beside.mb)
    yield Figure(NAMES[1], most - before, MB, f"{before:,.0f} MB before, {most:,.0f} at most; {conditions}")


async def _measure(console: Console, settings: Settings, cookies: list[str], seconds: int) -> tuple[Phase, Phase]:
    changes, streams = Changes(settings), Streams(len(cookies))
    async with _listening(console, cookies, streams):
        await changes.write(KEPT, 0)
        await streams.wait(changes.sent)
        alone = await _phase(console, changes, streams, seconds)
        async with _deaf(console.port, streams, cookies[:DEAF]):
            return alone, await _phase(console, changes, streams, seconds)


async def _phase(console: Console, changes: Changes, streams: Streams, seconds: int) -> Phase:
    already, used, started = len(changes.sent), cpu_seconds(console.pid), time.monotonic()
    watch = asyncio.create_task(_most(console.pid))
    await changes.write(RATE * seconds, RATE)
    cores = (cpu_seconds(console.pid) - used) / (time.monotonic() - started)
    sent = dict(list(changes.sent.items())[already:])
    await streams.wait(sent)
    watch.cancel()
    return Phase(cores, await watch, streams.took(sent))


async def _most(pid: int) -> float:
    """The most that is resident until it is cancelled."""
    most = resident_mb(pid)
    try:
        while True:
            await asyncio.sleep(0.5)
            most = max(most, resident_mb(pid))
    except asyncio.CancelledError:
        return most


# --- changes ----------------------------------------------------------------------------------------------------------
class Changes:
    """Writes changes of ALERTS alerts to topic alerts; `sent` has when each was handed over."""

    def __init__(self, settings: Settings) -> None:
        self.sent: Sent = {}
        self._topic = settings.kafka.topic("alerts")
        self._producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 0, "log_level": 3})
        self._alerts = [_alert(number) for number in range(ALERTS)]

    async def write(self, count: int, rate: int) -> None:
        """So many, at a steady rate; 0: at once. Raises RuntimeError when not all were acknowledged."""
        started = time.monotonic()
        for number in range(count):
            if rate:
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            alert = self._alerts[number % ALERTS] = _changed(self._alerts[number % ALERTS])
            self.sent[alert.hex, to_ms(alert.changed_at)] = time.monotonic()
            self._producer.produce(self._topic, dump(alert), alert.hex.encode())
            self._producer.poll(0)
        if await asyncio.to_thread(self._producer.flush, 30):
            raise RuntimeError("not all changes were acknowledged")


def _alert(number: int) -> Alert:
    scope, at = Scope(brand(1 + number % BRANDS)), whole_ms(datetime.now(UTC)) - timedelta(minutes=number)
    rule = f"likes-{number % 25}"
    return Alert(
        key=alert_key(rule, scope, number), version=1, rule=rule, type="threshold", scope=scope, state=State.FIRING,
        severity=3 + number % 7, since=at, last_at=at, changed_at=at, raised_at=at, measure="likes", observed=2.5e6,
        expected=1.5e6, summary=f"{scope.brand}: posts of the last hour have 2,500,000 likes, more than 1,500,000",
        terms=("storm", "water", "paper", "station", "summer"), samples=(number, number + 1, number + 2),
        negative=40, neutral=12, positive=5, query=f"SELECT text FROM interactions FINAL WHERE has(brands, '{scope.brand}')",
    )  # fmt: skip


def _changed(alert: Alert) -> Alert:
    """Now acknowledged, or firing again."""
    taken = alert.state is State.FIRING
    changed = alert.change(
        whole_ms(datetime.now(UTC)),
        state=State.ACKNOWLEDGED if taken else State.FIRING,
        actor="ann" if taken else "",
        comment="looking into it" if taken else "",
    )
    return replace(changed, last_at=changed.changed_at)


# --- streams ----------------------------------------------------------------------------------------------------------
class Streams:
    """When each stream got each change."""

    def __init__(self, many: int) -> None:
        self._got: list[Sent] = [{} for _ in range(many)]
        self.places: deque[bytes] = deque(maxlen=KEPT)
        """Behind the last changes."""

    def heard(self, stream: int, event: bytes) -> None:
        """An event, whole."""
        if _TOLD in event and (key := _KEY.search(event)) and (at := _AT.search(event)):
            self._got[stream].setdefault((key[1].decode(), int(at[1])), time.monotonic())
            if not stream:
                self.places += _ID.findall(event)

    async def wait(self, sent: Sent) -> None:
        """Until all have all of these. Raises RuntimeError when they never do."""
        end = time.monotonic() + PATIENCE_S
        while missed := sum(len(sent.keys() - got.keys()) for got in self._got):
            if time.monotonic() > end:
                raise RuntimeError(f"{missed:,} of {len(sent) * len(self._got):,} changes were missed")
            await asyncio.sleep(0.1)

    def took(self, sent: Sent) -> Times:
        """Milliseconds of each change in each stream."""
        return np.array([(got[each] - at) * 1000 for got in self._got for each, at in sent.items()])


@asynccontextmanager
async def _listening(console: Console, cookies: list[str], streams: Streams) -> AsyncIterator[None]:
    """All streams are open, and read until the end of the block. Raises RuntimeError when one is refused."""
    opened = [asyncio.Event() for _ in cookies]
    tasks = [asyncio.create_task(_listen(console.port, cookie, n, streams, opened[n])) for n, cookie in enumerate(cookies)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(each.wait() for each in opened))
        yield
        if over := sum(task.done() for task in tasks):
            raise RuntimeError(f"{over} streams were ended")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(port: int, cookie: str, stream: int, streams: Streams, opened: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(_request("/now/stream", cookie))
        rest = b""
        while block := await reader.read(1 << 16):
            *events, rest = (rest + block).split(b"\n\n")
            for event in events:
                if _STATE in event:
                    opened.set()
                streams.heard(stream, event)
    finally:
        writer.close()


@asynccontextmanager
async def _deaf(port: int, streams: Streams, cookies: list[str]) -> AsyncIterator[None]:
    """Clients that ask for KEPT changes and read none of them; they come back again and again."""
    tasks = [asyncio.create_task(_ask_and_not_read(port, streams, cookie)) for cookie in cookies]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask_and_not_read(port: int, streams: Streams, cookie: str) -> None:
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            await loop.sock_connect(sock, (HOST, port))
            await loop.sock_sendall(sock, _request(f"/now/stream?after={quote(streams.places[0])}", cookie))
            await asyncio.sleep(HELD_S)


def _request(path: str, cookie: str) -> bytes:
    headers = {"Host": HOST, "Cookie": cookie, "Accept": "text/event-stream", "Accept-Encoding": "gzip, deflate"}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
