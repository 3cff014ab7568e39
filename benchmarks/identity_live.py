"""`earshot customers` over many links: how soon it is ready, and how soon a link shows its effect.

A steward links two accounts that share nothing. Three clients look meanwhile, each until it sees what follows from it: a
timeline of the one account with posts of the other, a group-by of their posts that has one customer, the move in the topic.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from benchmarks.ground import DATA_KEY, ground, peak_mb
from benchmarks.identity_tables import Size, database, fill
from benchmarks.progress import bar
from benchmarks.report import MB, MS, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import CustomersSettings
from pipeline.config.environment import child_environment
from pipeline.config.settings import PrivacySettings, Settings
from pipeline.customers.publisher import last_sequence
from pipeline.embedded.child import free_port
from pipeline.queries.timeline import timeline

READY_NAMES = ("identity.ready_s", "identity.ready_mb")
RELINK_NAMES = ("identity.relink_s", "identity.relink_group_by_s", "identity.relink_stream_s", "identity.timeline_ms")
NAMES = (*READY_NAMES, *RELINK_NAMES)
TOKEN = "a token of the benchmarks"
LINKS, SHOWN = 20, 200
PATIENCE_S = 300.0
SETTLED_S = 20.0
"""In that time the last links are loaded."""
SECONDS = "s"
_GROUP_BY = "SELECT customer_now, count() FROM interactions_now WHERE account_key IN ({one}, {other}) GROUP BY customer_now"


def figures(size: Size) -> Iterator[Figure]:
    """All on one database: the first start computes the customers, the second one finds them."""
    with ground() as stage, database(stage, "identity") as plain, clickhouse_client(plain.clickhouse) as client:
        settings = stewarded(plain)
        fill(client, size)
        with Customers(settings) as first:
            pass
        linked = client.command("SELECT count() FROM assignments FINAL")
        if linked != size.linked:
            raise RuntimeError(f"{linked} of {size.linked} profiles share a customer")
        with Customers(settings) as customers:
            conditions = (
                f"{size.linked:,} edges; {first.ready_s:.1f} s when it had to write all customers, and {first.peak:.0f} MB"
            )
            yield Figure(READY_NAMES[0], customers.ready_s, SECONDS, f"from the start of the process to /ready; {conditions}")
            yield Figure(READY_NAMES[1], peak_mb(customers.process.pid), MB, f"the most that was resident; {conditions}")
            _all_told(client, settings)
            conditions = f"{size.posts:,} interactions, {size.linked:,} linked accounts; the worst of {LINKS} links"
            times = [_relinked(settings, customers, size.strangers(n)) for n in bar.track(range(LINKS), LINKS, "links")]
            for name, found in zip(RELINK_NAMES, zip(*times, strict=True), strict=False):
                yield Figure(name, max(found), SECONDS, f"median {median(found):.2f} s; {conditions}")
            yield _timelines(client, customers, size)


def stewarded(settings: Settings) -> Settings:
    customers = CustomersSettings(port=free_port(), tokens={"bench": SecretStr(TOKEN)})
    return settings.model_copy(
        update={
            "customers": customers,
            "privacy": PrivacySettings(hash_key=SecretStr("benchmark"), data_key=SecretStr(DATA_KEY)),
        }
    )


class Customers:
    """A process of `earshot customers`; it leads when the block begins."""

    def __init__(self, settings: Settings) -> None:
        self._port = settings.customers.port
        self.ready_s = self.peak = 0.0
        command = [sys.executable, "-m", "pipeline.cli", "customers"]
        self._started = time.monotonic()
        self.process = subprocess.Popen(command, env=child_environment(settings), stderr=subprocess.DEVNULL)

    def __enter__(self) -> Customers:
        while not self._ready():
            if time.monotonic() > self._started + PATIENCE_S or self.process.poll() is not None:
                self.process.kill()
                raise RuntimeError("customers did not get ready")
            time.sleep(0.05)
        self.ready_s = time.monotonic() - self._started
        return self

    def _ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def link(self, one: int, other: int) -> None:
        """Raises RuntimeError with the reason when it is refused."""
        body = {"action": "link", "a": f"{one:016x}", "b": f"{other:016x}", "why": "benchmark"}
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        try:
            urlopen(Request(f"http://127.0.0.1:{self._port}/commands", orjson.dumps(body), headers), timeout=30).close()
        except HTTPError as error:
            raise RuntimeError(f"the link was refused: {error.read().decode()}") from None

    def __exit__(self, *_: object) -> None:
        self.peak = peak_mb(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()


# --- a link -----------------------------------------------------------------------------------------------------------
def _relinked(settings: Settings, customers: Customers, pair: tuple[int, int]) -> tuple[float, float, float]:
    """Seconds from the call that links until the timeline, the group-by and the stream have it."""
    one, other = pair
    with ExitStack() as stack:
        clients = [stack.enter_context(clickhouse_client(settings.clickhouse)) for _ in range(2)]
        told = stack.enter_context(Told(settings))
        looks: list[Callable[[], bool]] = [
            lambda: _has_posts(clients[0], one, other),
            lambda: len(clients[1].query(_GROUP_BY.format(one=one, other=other)).result_rows) == 1,
            lambda: told.moved({f"{one:016x}", f"{other:016x}"}),
        ]
        if any(look() for look in looks):
            raise RuntimeError("the accounts are linked already")
        pool = stack.enter_context(ThreadPoolExecutor(len(looks)))
        started = time.monotonic()
        seen = [pool.submit(_seen, look) for look in looks]
        customers.link(one, other)
        timeline_s, group_by_s, stream_s = (each.result() - started for each in seen)
        return timeline_s, group_by_s, stream_s


def _seen(look: Callable[[], bool]) -> float:
    """When it is true first."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > end:
            raise RuntimeError("a link had no effect")
        time.sleep(0.01)
    return time.monotonic()


def _has_posts(client: Client, one: int, other: int) -> bool:
    return bool((timeline(client, one, SHOWN).events.get_column("account_key") == other).any())


def _all_told(client: Client, settings: Settings) -> None:
    """Waits until the topic has the moves of the first start."""
    newest, end = client.command("SELECT max(sequence) FROM assignment_changes"), time.monotonic() + PATIENCE_S
    while last_sequence(settings.kafka, settings.kafka.topic("customers")) != newest:
        if time.monotonic() > end:
            raise RuntimeError("the moves of the first start are not told")
        time.sleep(1)


class Told:
    """Follows topic customers from its end on."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer({**settings.kafka.client(), "group.id": "told", "enable.auto.commit": False, "log_level": 3})
        place = TopicPartition(settings.kafka.topic("customers"), 0)
        place.offset = self._consumer.get_watermark_offsets(place, timeout=30)[1]
        self._consumer.assign([place])

    def moved(self, profiles: set[str]) -> bool:
        """Whether one of these moves, in what has come since the last call."""
        records = self._consumer.consume(1_000, 0.01)
        return any(orjson.loads(record.value() or b"{}").get("profile") in profiles for record in records)

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


# --- timelines --------------------------------------------------------------------------------------------------------
def _timelines(client: Client, customers: Customers, size: Size) -> Figure:
    """Of customers with three accounts, each asked for once: nothing of it is in a cache. They are linked before: a link costs
    more than a timeline, as all customers are loaded for group-bys."""
    for number in bar.track(range(size.trios), size.trios, "links of three"):
        first, *others = size.trio(number)
        for other in others:
            customers.link(first, other)
    time.sleep(SETTLED_S)
    milliseconds = []
    for number in bar.track(range(size.trios), size.trios, "timelines"):
        first, *_ = size.trio(number)
        started = time.perf_counter()
        rows = len(timeline(client, first, SHOWN).events)
        milliseconds.append((time.perf_counter() - started) * 1000)
        if rows != SHOWN:
            raise RuntimeError(f"a timeline has {rows} rows")
    conditions = f"3 accounts, {SHOWN} rows; {size.posts:,} interactions; median of {size.trios} customers"
    return Figure("identity.timeline_ms", median(milliseconds), MS, conditions)
