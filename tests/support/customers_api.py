"""The customers API of a leader, in the tests' own process: its state and tables are the real ones, the evidence is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import polars as pl
from pydantic import SecretStr

from pipeline.api.callers import Callers
from pipeline.api.server import Door
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.apis import CustomersSettings
from pipeline.config.settings import Settings
from pipeline.customers.api import CustomersApi
from pipeline.customers.commands import IdentityCommands
from pipeline.customers.state import State
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.acts import record
from pipeline.sinks.customers import CustomerTables
from schemas.contacts import DEFAULT
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import CRM, account_key, edge_keys, value_key

INES, LARS, CONSOLE = "a token of ines, 24 long", "the token that lars has", "the token of the console"
T = TypeVar("T")


@dataclass(frozen=True)
class Stewarded:
    """A leader's customers, and the settings of somebody who commands it."""

    settings: Settings
    state: State
    hashes: Callable[..., list[str]]
    on_thread: Callable[[Callable[[], Any]], Any]

    def know(self, *edges: dict[str, Any]) -> None:
        """The leader takes this evidence."""
        frame = pl.DataFrame([{"edge": 0, **edge} for edge in edges], schema=EVIDENCE_COLUMNS)
        frame = frame.with_columns(edge_keys(frame).alias("edge"))
        self.on_thread(lambda: self.state.take(frame, imported=True))

    def shares(self, type_: str, value: str, *names: str, **given: Any) -> list[dict[str, Any]]:
        """That these profiles (platform:id) have an address or number."""
        key = value_key(type_, self.hashes(f"author_{type_}", [value])[0])
        return [edge("value", type_, name, key, **given) for name in names]


def edge(kind: str, type_: str, a: str, b: str | int, **given: Any) -> dict[str, Any]:
    """An edge; profiles as platform:id or platform:@handle."""
    row = {
        "kind": kind, "type": type_, "a": key_of(a), "b": key_of(b) if isinstance(b, str) else b, "a_platform": a.split(":")[0],
        "b_platform": b.split(":")[0] if isinstance(b, str) and kind == "profile" else "", "rule": type_, "rule_version": 0,
        "basis": "given", "at": 1_790_000_000_000, "event": 7, "held": 0, "claimed": "",
    }  # fmt: skip
    return row | given


def key_of(name: str) -> int:
    """The key of a profile's name."""
    platform, _, rest = name.partition(":")
    return account_key(platform, None, rest) if rest.startswith("@") else account_key(platform, rest)


@contextmanager
def stewarded(settings: Settings) -> Iterator[Stewarded]:
    """A leader that serves on a free port. The tables are there, and nobody else leads."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="customers API")
    thread.start()

    def wait(work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, loop)
        return done.result(60)

    client, vitals = clickhouse_client(settings.clickhouse), Vitals()
    leader = Leader("customers", "", client, vitals)
    leader.lease.assigned(True)
    leader.lease.confirmed(leader.lease.now(), 600)
    leader.inserter.begin("customers", 1)
    privacy = Pseudonymise(settings.privacy.hash_key.get_secret_value().encode(), settings.privacy.region, DEFAULT)
    state = State(CustomerTables(leader.inserter), privacy.hashes)
    ask = asker(clickhouse_client(settings.clickhouse))
    commands = IdentityCommands(leader, state, lambda sql: ask(sql, {}), privacy.hashes)
    callers = Callers("customers", {"ines": INES, "lars": LARS}, CONSOLE)
    api = CustomersApi(commands, vitals, Door("127.0.0.1", 0, callers, partial(record, client)))
    try:
        wait(leader.on_thread(lambda: state.start(1, leader.lease.generation)))
        with leader.serving(leader.lease.generation):
            wait(api.start())
            asked = CustomersSettings(port=api.port, token=SecretStr(INES), console_token=SecretStr(CONSOLE))
            there = settings.model_copy(update={"customers": asked})
            yield Stewarded(there, state, privacy.hashes, lambda work: wait(leader.on_thread(work)))
            wait(api.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        client.close()


def insert_events(settings: Settings, *names: str, at: datetime = datetime(2026, 11, 1, 10, tzinfo=UTC), **more: Any) -> None:
    """A post of each author, named `platform:id`, `platform:@handle` or `platform:id:@handle`."""
    rows = []
    for number, name in enumerate(names):
        platform, first, *rest = name.split(":")
        handle = rest[0] if rest else first if first.startswith("@") else ""
        author_id = "" if first.startswith("@") else first
        key = hash((name, number, at)) & (1 << 63) - 1
        rows.append((key, 1, 1, 0, str(key), platform, at, author_id, handle.removeprefix("@"), f"a post of {name}"))
    columns = [
        "event_key",
        "revision",
        "version",
        "is_deleted",
        "id",
        "platform",
        "created_at",
        "author_id",
        "author_handle",
        "text",
    ]
    with clickhouse_client(settings.clickhouse) as client:
        client.insert("interactions", rows, column_names=columns)


def insert_records(settings: Settings, ids: Iterable[str]) -> None:
    """Records of the CRM."""
    now = datetime.now(UTC)
    with clickhouse_client(settings.clickhouse) as client:
        rows = [(account_key(CRM, each), each, now) for each in ids]
        client.insert("customers", rows, column_names=["profile", "id", "imported_at"])
