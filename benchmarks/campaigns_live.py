"""Campaigns, live: from the call that produces the twelfth post until topic alerts has the record, and what the search costs
control and ClickHouse together.

The standard stream at a steady rate, 200 brands, one rule (10 accounts, 10 minutes); the windows are full before it begins.
Among it 20 campaigns, each about another brand: 12 accounts post the same 100 characters, with five edits each, at random
moments of ten minutes (of the stream, where that is shorter). The cost is the share of the time in which a search runs: then
control or ClickHouse works, on one core. Beside it: the difference to the same without the rule, which has the noise of both.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.request import urlopen

import orjson
import yaml
from confluent_kafka import Consumer, Producer

from benchmarks.alerts import CORES, TICK_S, Control
from benchmarks.ground import Ground, Worker, cpu_seconds, ground, producing
from benchmarks.load import many_brands
from benchmarks.progress import bar
from benchmarks.report import Figure
from benchmarks.standard import WORDS, standard_load
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings

NAMES = ("alerts.campaign_found", "alerts.campaign_p50_s", "alerts.campaign_s", "alerts.campaign_cores")
CAMPAIGNS, ACCOUNTS, EDITS, LENGTH = 20, 12, 5, 100
RULE = {"name": "copies", "type": "campaign", "accounts": 10, "window": "10m"}
QUIET = {"name": "many", "type": "threshold", "measure": "count", "above": 1e9}
WINDOW_S = 600
SEARCHED = "earshot_campaign_search_seconds_sum"
STAGGER = 0.1
"""The campaigns begin within this share of the stream."""
PATIENCE_S = 400.0


class Post(NamedTuple):
    """A post of a campaign: when it is due, in seconds since the stream's beginning."""

    due_s: float
    brand: str
    number: int
    """Within its campaign, from 1."""
    text: str


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    """The figures; `seconds` of a stream with the rule, and half as many without it."""
    with ground() as stage:
        with_it, searching, found = _measure(stage, rate, seconds, RULE)
        without, _, _ = _measure(stage, rate, max(seconds // 2, 10), QUIET)
    conditions = (
        f"{CAMPAIGNS} campaigns of {ACCOUNTS} accounts beside {rate:,} events/s for {seconds} s, {len(_names())} brands, "
        f"10 accounts within 10 minutes; control and ClickHouse take {with_it:.3f} cores, without the rule {without:.3f} (with "
        "the noise of all that they do besides)"
    )
    yield Figure(NAMES[0], len(found), "campaigns", conditions)
    if found:
        yield Figure(NAMES[1], median(found), "s", conditions)
        yield Figure(NAMES[2], max(found), "s", conditions)
    yield Figure(NAMES[3], searching, CORES, conditions)


def _names() -> list[str]:
    return [brand.name for brand in many_brands().brands]


def _measure(stage: Ground, rate: int, seconds: int, rule: dict[str, Any]) -> tuple[float, float, list[float]]:
    """The cores that control and ClickHouse took, the share of the time in which a search ran, and how long each campaign that
    was found waited for its record."""
    brands, rules = stage.folder / "many.yaml", stage.folder / "campaigns.yaml"
    brands.write_text(yaml.safe_dump(many_brands().model_dump(mode="json", exclude_defaults=True)))
    rules.write_text(yaml.safe_dump({"rules": [rule]}))
    with ExitStack() as stack:
        # A topic of its own: the second run would first read the events of the first.
        plain = stack.enter_context(stage.run(stage.topic(1 + (rule is RULE))))
        settings = plain.model_copy(update={"alerts": rules, "brands": brands})
        worker = stack.enter_context(Worker(settings))
        worker.wait_until_it_reads()
        _fill(settings, rate)
        control = stack.enter_context(Control(settings))
        watched = stack.enter_context(Watched(settings))
        pids = control.process.pid, stage.stack.pid("clickhouse")
        _stream(settings, rate, 20 if seconds > 60 else 2, [])
        while rule is RULE and not _searched(control):  # the first search reads whole windows, and is no part of the cost
            _stream(settings, rate, 2, [])
        before, searched, started = sum(map(cpu_seconds, pids)), _searched(control), time.monotonic()
        last = _stream(settings, rate, seconds, _posts(seconds) if rule is RULE else [])
        took = time.monotonic() - started
        cores, searching = (sum(map(cpu_seconds, pids)) - before) / took, (_searched(control) - searched) / took
        end = time.monotonic() + PATIENCE_S
        while last.keys() - watched.seen.keys() and time.monotonic() < end:
            time.sleep(0.1)
        if others := watched.seen.keys() - last.keys():
            raise RuntimeError(f"{len(others)} brands without a campaign have an alert, as {min(others)}")
        return cores, searching, [max(0.0, watched.seen[brand] - at) for brand, at in last.items() if brand in watched.seen]


def _searched(control: Control) -> float:
    """Seconds of searches so far."""
    with urlopen(f"http://127.0.0.1:{control.port}/metrics", timeout=10) as answer:
        return next(float(line.split()[1]) for line in answer.read().decode().splitlines() if line.startswith(SEARCHED))


def _posts(seconds: int) -> list[Post]:
    random, posts = Random(7), list[Post]()
    for brand in random.sample(_names(), CAMPAIGNS):
        text = " ".join(random.choices(WORDS, k=30))[:LENGTH]
        begin, lasts = random.random() * STAGGER * seconds, min(WINDOW_S, seconds * (1 - STAGGER))
        moments = sorted(begin + random.random() * lasts for _ in range(ACCOUNTS))
        posts += [Post(at, brand, number, _edited(random, text)) for number, at in enumerate(moments, 1)]
    return sorted(posts)


def _edited(random: Random, text: str) -> str:
    letters = list(text)
    for place in random.choices(range(len(text) - EDITS), k=EDITS):
        letters[place : place + random.randrange(2)] = random.choice(("", random.choice("etaoinshr")))
    return "".join(letters)


def _fill(settings: Settings, rate: int) -> None:
    """A window of the standard load, as if it had come at `rate` until now. On return it has landed."""
    start, total = datetime.now(UTC) - timedelta(seconds=WINDOW_S), rate * WINDOW_S
    with producing(settings) as produce:
        for record in bar.track(standard_load(total, 11, start, rate=rate), total, "filling a window"):
            produce(record)
    with clickhouse_client(settings.clickhouse) as client:
        rows, before = 0, -1
        while rows != before or not rows:
            time.sleep(3)
            before, rows = rows, int(str(client.command("SELECT count() FROM interactions")))


def _stream(settings: Settings, rate: int, seconds: int, posts: list[Post]) -> dict[str, float]:
    """Produces the standard load at a steady rate, and the posts; returns when each brand's last post was handed over."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, last, waiting = settings.kafka.topic("events"), dict[str, float](), posts[::-1]
    started, total, each_tick = time.monotonic(), rate * seconds, max(1, int(rate * TICK_S))
    load = standard_load(total, time.monotonic_ns() % (1 << 31), datetime.now(UTC), rate=rate)
    for number, record in enumerate(bar.track(load, total, f"{rate:,} events/s")):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        while waiting and waiting[-1].due_s <= number / rate:
            post = waiting.pop()
            last[post.brand] = time.monotonic()
            producer.produce(topic, _event(post))
        producer.produce(topic, record.value, record.key)
    producer.flush(30)
    return last


def _event(post: Post) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps(
        {
            "id": f"{post.brand}-{post.number}-{time.monotonic_ns()}", "platform": "probe", "kind": "post", "created_at": now,
            "text": post.text, "brands": [post.brand], "author": {"id": f"{post.brand}-{post.number}"},
        }
    )  # fmt: skip


class Watched:
    """Follows topic alerts: `seen` has when the first record of each brand came, by the clock."""

    def __init__(self, settings: Settings) -> None:
        self.seen: dict[str, float] = {}
        config = {**settings.kafka.client(), "group.id": f"{settings.kafka.group}-watch", "auto.offset.reset": "latest"}
        self._consumer, self._stop = Consumer(config), Event()
        assigned = Event()
        self._consumer.subscribe([settings.kafka.topic("alerts")], on_assign=lambda *_: assigned.set())
        self._thread = Thread(target=self._follow, name="watched")
        self._thread.start()
        if not assigned.wait(60):
            raise RuntimeError("topic alerts could not be read")

    def _follow(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and not message.error():
                self.seen.setdefault(orjson.loads(message.value() or b"{}")["brand"], time.monotonic())
        self._consumer.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
