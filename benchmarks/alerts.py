"""Alerts: from the call that produces the record that makes one true until a webhook has accepted it, and what control costs.

Latency: the standard stream at a steady rate, 20 brands, 50 rules. Probes are woven into it, each with an alert of its own: an
event with a rule's word (a single-event rule), and an event whose likes lift a brand's sum over the next rule's limit (a
windowed one). Rules that wait for a label are not probed: how long a label takes, sentiment.* says.

Cost: as many brands, all touched each second, by 50 rules each; the CPU time of control, and of ClickHouse with control and
without it, in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import numpy as np
import orjson
import yaml
from confluent_kafka import Producer

from benchmarks import end_to_end, visible
from benchmarks.ground import Ground, Topic, Worker, cpu_seconds, ground
from benchmarks.progress import bar
from benchmarks.report import MS, Figure
from benchmarks.standard import standard_brands, standard_load
from benchmarks.visible import Times
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port

SINGLE, WINDOWED = "single", "windowed"
LATENCY_NAMES = (
    "alerts.single_p50_ms",
    "alerts.single_p99_ms",
    "alerts.windowed_p50_ms",
    "alerts.windowed_p99_ms",
)
COST_NAMES = ("alerts.control_cores", "alerts.clickhouse_cores", "alerts.clickhouse_share")
FULL_NAMES = ("end_to_end.throughput_full", "end_to_end.visible_p99_full_ms")
CORES, SHARE = "cores", "share of ClickHouse's CPU"
WORDS, LADDER, PROBES_A_SECOND = 20, 25, 4
STEP_LIKES = 1_000_000
LIKES = {"type": "threshold", "measure": "likes", "window": "1h", "resolve": "6h"}
MANY_BRANDS = 1_000
BRANDS = [brand["name"] for brand in standard_brands()["brands"]]
TICK_S = 0.01
WARM_UP_S = 20
"""A worker's first batches take longer; the probes begin once it has warmed up, as what visible.py measures does."""
PATIENCE_S = 60.0


def rules_file(folder: Path, hook: int | None, words: int = WORDS) -> Path:
    """50 rules: 20 keyword (`words`), 25 thresholds, 3 spikes, a campaign, one of missing data."""
    rules: list[dict[str, Any]] = [
        {"name": f"word-{n}", "type": "keyword", "words": {"any": [f"zzword{n}"]}, "resolve": "6h"} for n in range(words)
    ]
    rules += [{**LIKES, "name": f"likes-{n}", "above": (n + 0.5) * STEP_LIKES} for n in range(LADDER)]
    rules += [
        {"name": "volume", "type": "spike"},
        {"name": "share", "type": "spike", "measure": "negative_share"},
        {"name": "drop", "type": "spike", "direction": "below"},
        {"name": "copies", "type": "campaign", "accounts": 50},
        {"name": "quiet", "type": "no_data", "after": "1d"},
    ]
    config: dict[str, Any] = {"rules": rules, "group": {"interval": "0s"}}
    if hook is not None:
        config["receivers"] = [{"name": "hook", "type": "webhook", "url": f"http://127.0.0.1:{hook}/", "allow": ["127.0.0.1"]}]
    path = folder / "alerts.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class Hook:
    """A webhook receiver: when each (rule, brand) was accepted first, by the clock."""

    def __init__(self) -> None:
        self.accepted: dict[tuple[str, str], float] = {}
        accepted = self.accepted

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                now = time.monotonic()
                for alert in body["alerts"]:
                    accepted.setdefault((alert["rule"], alert["brand"]), now)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="hook", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Control:
    """A control process, which leads when `ready` returns."""

    def __init__(self, settings: Settings) -> None:
        self.port = free_port()
        given = settings.model_copy(update={"control": settings.control.model_copy(update={"port": self.port})})
        command = [sys.executable, "-m", "pipeline.cli", "control"]
        self.process = subprocess.Popen(command, env=child_environment(given), stderr=subprocess.DEVNULL)

    def __enter__(self) -> Control:
        end = time.monotonic() + PATIENCE_S
        while not self._ready():
            if time.monotonic() > end or self.process.poll() is not None:
                self.process.kill()
                raise RuntimeError("control did not get ready")
            time.sleep(0.1)
        return self

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()


# --- latency ----------------------------------------------------------------------------------------------------------
def latency_figures(rate: int, seconds: int) -> Iterator[Figure]:
    with ground() as stage:
        paths = latencies(stage, stage.topic(1), rate, seconds)
    for path, times in paths.items():
        conditions = (
            f"{len(times)} alerts beside {rate:,} events/s for {seconds} s, {len(BRANDS)} brands, 50 rules, no model; "
            f"from the call of produce until the webhook had it; max {times.max():,.0f} ms"
        )
        for percent in (50, 99):
            yield Figure(f"alerts.{path}_p{percent}_ms", float(np.percentile(times, percent)), MS, conditions)


def latencies(
    stage: Ground,
    topic: Topic,
    rate: int,
    seconds: int,
    beside: Callable[[Settings], AbstractContextManager[object]] = nullcontext,
) -> dict[str, Times]:
    """By path, single and windowed, the milliseconds that each alert took; `beside` runs all the time. Raises RuntimeError when
    one never came."""
    with hooked() as hook, stage.run(topic) as plain:
        settings = plain.model_copy(update={"alerts": rules_file(stage.folder, hook.port)})
        with Worker(settings) as worker, beside(settings), Control(settings):
            worker.wait_until_it_reads()
            sent = stream(settings, rate, WARM_UP_S + seconds, probes(BRANDS))
            end = time.monotonic() + PATIENCE_S
            while len(hook.accepted.keys() & sent.keys()) < len(sent) and time.monotonic() < end:
                time.sleep(0.1)
    if missing := sent.keys() - hook.accepted.keys():
        raise RuntimeError(f"{len(missing)} of {len(sent)} alerts never came, as {min(missing)}")
    took = {key: (hook.accepted[key] - sent[key]) * 1000 for key in sent}
    paths = ((SINGLE, "word"), (WINDOWED, "likes"))
    return {path: np.array([ms for (rule, _), ms in took.items() if rule.startswith(first)]) for path, first in paths}


@contextmanager
def hooked() -> Iterator[Hook]:
    hook = Hook()
    try:
        yield hook
    finally:
        hook.close()


Probe = tuple[tuple[str, str], bytes]


def probes(brands: list[str]) -> Iterator[Probe]:
    """(rule, brand) and an event's body; single-event and windowed ones in turns, each brand in its turn."""
    for n in range(max(WORDS, LADDER)):
        for brand in brands:
            if n < WORDS:
                yield word_probe(n, brand)
            if n < LADDER:
                yield (f"likes-{n}", brand), _event(brand, "much liked", STEP_LIKES)


def word_probe(number: int, brand: str) -> Probe:
    """One that makes the rule of that word true, now."""
    return (f"word-{number}", brand), _event(brand, f"zzword{number}", 0)


def _event(brand: str, text: str, likes: int) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps(
        {
            "id": f"probe-{brand}-{text}-{time.monotonic_ns()}", "platform": "probe", "kind": "post", "created_at": now,
            "text": text, "brands": [brand], "metrics": {"likes": likes},
        }
    )  # fmt: skip


def stream(
    settings: Settings,
    rate: int,
    seconds: int,
    probes: Iterator[Probe],
    going: Callable[[], bool] = lambda: True,
    seed: int = 3,
) -> dict[tuple[str, str], float]:
    """Produces the standard load at a steady rate, and PROBES_A_SECOND, for so long and while it is `going`; returns when each
    probe was handed over. On one topic a `seed` makes new events once."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, sent = settings.kafka.topic("events"), dict[tuple[str, str], float]()
    started, total, each_tick = time.monotonic(), rate * seconds, max(1, int(rate * TICK_S))
    each_probe = max(1, rate // PROBES_A_SECOND)
    load = standard_load(total, seed, datetime.now(UTC), rate=rate)
    for number, record in enumerate(bar.track(load, total, f"{rate:,} events/s")):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
            if not going():
                break
        if number % each_probe == each_probe - 1 and number > WARM_UP_S * rate and (probe := next(probes, None)):
            sent[probe[0]] = time.monotonic()
            producer.produce(topic, probe[1])
        producer.produce(topic, record.value, record.key)
    producer.flush(30)
    return sent


# --- cost -------------------------------------------------------------------------------------------------------------
def cost_figures(rate: int, seconds: int, runs: int) -> Iterator[Figure]:
    control, with_it, without = list[float](), list[float](), list[float]()
    with ground() as stage:
        rules = rules_file(stage.folder, None)
        for number in range(runs):
            for on in (True, False):
                # A topic of its own: a run would first read the events of all runs before it.
                with stage.run(stage.topic(1 + 2 * number + on)) as plain:
                    settings = plain.model_copy(update={"alerts": rules})
                    spent = _spent(stage, settings, rate, seconds, on)
                (with_it if on else without).append(spent["clickhouse"])
                control += [spent["control"]] if on else []
    conditions = f"{rate:,} events/s for {seconds} s, {MANY_BRANDS:,} brands, 50 rules each; median of {runs} in turns"
    more = median(with_it) - median(without)
    yield Figure(COST_NAMES[0], median(control), CORES, conditions)
    yield Figure(COST_NAMES[1], more, CORES, f"ClickHouse with control less without; {conditions}")
    yield Figure(COST_NAMES[2], more / median(with_it), SHARE, f"of its {median(with_it):.2f} cores; {conditions}")


def _spent(stage: Ground, settings: Settings, rate: int, seconds: int, on: bool) -> dict[str, float]:
    """Cores used while the stream runs."""
    with ExitStack() as stack:
        worker = stack.enter_context(Worker(settings))
        worker.wait_until_it_reads()
        pids = {"clickhouse": stage.stack.pid("clickhouse")}
        if on:
            pids["control"] = stack.enter_context(Control(settings)).process.pid
        _many(settings, rate, 10)  # both have warmed up
        before, started = {name: cpu_seconds(pid) for name, pid in pids.items()}, time.monotonic()
        _many(settings, rate, seconds)
        took = time.monotonic() - started
        return {name: (cpu_seconds(pid) - before[name]) / took for name, pid in pids.items()}


def _many(settings: Settings, rate: int, seconds: int) -> None:
    """The standard load, each event about one of MANY_BRANDS."""
    producer = Producer({**settings.kafka.client(), "enable.idempotence": True, "linger.ms": 5, "log_level": 3})
    topic, each_tick, started = settings.kafka.topic("events"), max(1, int(rate * TICK_S)), time.monotonic()
    seed = time.monotonic_ns() % (1 << 31)
    for number, record in enumerate(standard_load(rate * seconds, seed, datetime.now(UTC), rate=rate)):
        if number % each_tick == 0:
            producer.poll(0)
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        brand = b'{"brands":["brand-%d"],' % (crc32(record.key) % MANY_BRANDS)  # a redelivery is about the same brand
        producer.produce(topic, brand + record.value[1:], record.key)
    producer.flush(30)


# --- every step -------------------------------------------------------------------------------------------------------
def full_figures(events: int, runs: int, rate: int, seconds: int) -> Iterator[Figure]:
    """Throughput and visibility with all there is: the model, 50 rules, control beside the worker."""
    with ground("fast") as stage:
        rules = rules_file(stage.folder, None)
        topic, done = stage.topic(events), []
        for _ in range(runs):
            with stage.run(topic) as plain:
                settings = plain.model_copy(update={"alerts": rules})
                with Control(settings):
                    done.append(end_to_end.measure(stage, topic, settings).events_per_second)
        conditions = f"{end_to_end.describe(topic)}; model fast, 50 rules, control beside it; median of {runs} runs"
        yield Figure(FULL_NAMES[0], median(done), "events/s", conditions)

        def control(settings: Settings) -> Control:
            return Control(settings.model_copy(update={"alerts": rules}))

        times = visible.measure(stage, rate, seconds, beside=control)
        conditions = f"{rate:,} events/s for {seconds} s, {len(times):,} rows; model fast, 50 rules, control beside it"
        yield Figure(FULL_NAMES[1], float(np.percentile(times, 99)) * 1000, MS, conditions)
