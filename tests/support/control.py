"""`earshot control` as the tests see it: a process with its rules, a webhook that it notifies, and the rows of table alerts."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import yaml
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.config.apis import ControlSettings
from pipeline.config.settings import EmbeddedSettings, KafkaSettings, PrivacySettings, SentimentSettings, Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.kafka.event_producer import EventProducer, record_of
from pipeline.migrate import migrate
from tests.support.letters import DATA_KEY
from tests.support.oracle import connect
from tests.support.tables import own_database
from tests.support.topics import end_offsets
from tests.support.worker import Worker, wait_for

COMMAND = ("-m", "pipeline.cli", "control")
EAGER = ("-m", "tests.support.eager_control", "control")
EAGER_SEARCH = ("-m", "tests.support.eager_search", "control")
"""For a test that waits for the rollups."""
TOKEN = "a token of ines, 24 long"
CONSOLE_TOKEN = "the token of the console"
HOOK = "hook"


class Notice(NamedTuple):
    """One alert in one message that the webhook took."""

    message: int
    delivery: str
    alert: Mapping[str, Any]
    at: float
    """By the clock on the wall."""

    @property
    def about(self) -> tuple[str, str]:
        return self.alert["rule"], self.alert["brand"]


class Webhook:
    """A receiver on a port of its own: it takes notifications, answers with `status`, or is away."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 204
        self.refused = 0
        self._notices: list[Notice] = []
        self._messages = 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.start()

    def start(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook._take(self.headers["X-Earshot-Delivery"], json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not to the tests' output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="webhook", daemon=True).start()

    def stop(self) -> None:
        """Nobody answers on the port any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _take(self, delivery: str, message: Mapping[str, Any]) -> int:
        with self._lock:
            if self.status >= 300:
                self.refused += 1
                return self.status
            self._messages += 1
            names = delivery.split(",")
            now = time.time()
            self._notices += [Notice(self._messages, *each, now) for each in zip(names, message["alerts"], strict=True)]
            return self.status

    @property
    def notices(self) -> list[Notice]:
        """All that was taken, in its order."""
        with self._lock:
            return list(self._notices)

    def of(self, rule: str, brand: str, state: str = "firing") -> list[Notice]:
        return [notice for notice in self.notices if notice.about == (rule, brand) and notice.alert["state"] == state]

    def keys(self) -> dict[tuple[str, str], set[str]]:
        """(rule, brand) -> the keys of the alerts that it was notified of as firing."""
        found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for notice in self.notices:
            if notice.alert["state"] == "firing" and not notice.alert["test"]:
                found[notice.about].add(notice.alert["key"])
        return dict(found)


class Rules:
    """alerts.yaml with one receiver. It is written in one move, as a worker and control expect of a good file."""

    def __init__(self, path: Path, hook: Webhook, rules: Iterable[Mapping[str, Any]], interval: str = "0s") -> None:
        url = f"http://127.0.0.1:{hook.port}/hook"
        self.path = path
        self.head = {
            "receivers": [{"name": HOOK, "type": "webhook", "url": url, "allow": ["127.0.0.1"], "timeout": "5s"}],
            "group": {"by": ["brand"], "interval": interval},
        }
        self.rules = list(rules)
        self.write()

    def write(self, *more: Mapping[str, Any]) -> None:
        self.rules += more
        self.replace(yaml.safe_dump({**self.head, "rules": self.rules}))

    def replace(self, text: str) -> None:
        moved = self.path.with_suffix(".new")
        moved.write_text(text)
        moved.rename(self.path)


@contextmanager
def fresh(stack: Stack, folder: Path) -> Iterator[Settings]:
    """As fixture `settings` of the tests, for as long as one wants: tables and topics are made."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with own_database(stack.clickhouse) as database:
        settings = Settings(
            kafka=KafkaSettings(bootstrap=stack.bootstrap, topic_prefix=name, group=name, partitions=4),
            clickhouse=database,
            privacy=PrivacySettings(hash_key="the key of the tests", data_key=DATA_KEY),
            embedded=EmbeddedSettings(data_dir=folder / "data"),
            sentiment=SentimentSettings(model="off"),
        )
        migrate(settings)
        yield settings


def controlled(settings: Settings, rules: Path) -> Settings:
    """The settings of a worker and a control with these rules, and of whoever commands it."""
    tokens = {"tokens": {"ines": TOKEN}, "token": TOKEN, "console_token": CONSOLE_TOKEN}
    control = ControlSettings.model_validate({"port": free_port(), **tokens})
    return settings.model_copy(update={"alerts": rules, "control": control})


def start_control(settings: Settings, log: Path, command: Sequence[str] = COMMAND) -> Worker:
    """`wait_ready` returns when it leads, or stands by."""
    return Worker(settings, log, port=settings.control.port, command=command)


def start_another(settings: Settings, log: Path) -> tuple[Worker, Settings]:
    """Another control beside those that run, on a port of its own; and the settings that reach it."""
    own = settings.model_copy(update={"control": settings.control.model_copy(update={"port": free_port()})})
    return start_control(own, log), own


def leading(controls: Collection[Worker]) -> Worker:
    """The one that leads, as soon as one does."""

    def found() -> list[Worker]:
        return [control for control in controls if control.said("alerts are open")]

    wait_for("a control leads", lambda: bool(found()))
    return found()[0]


# --- events -----------------------------------------------------------------------------------------------------------
def event(identifier: str, brand: str, text: str = "", **more: Any) -> dict[str, Any]:
    """A post about the brand, a moment ago."""
    return {
        "id": identifier, "platform": "x", "kind": "post", "created_at": stamp(), "text": text or f"of {identifier}",
        "language": "en", "brands": [brand], "author": {"id": f"a-{identifier}", "handle": f"h{identifier}"}, **more,
    }  # fmt: skip


def stamp(ago: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def send(settings: Settings, events: Iterable[Mapping[str, Any]]) -> None:
    """Produces them, acknowledged."""
    with EventProducer(settings.kafka) as producer:
        for each in events:
            producer.produce(*record_of(orjson.dumps(each)))


# --- what is on record ------------------------------------------------------------------------------------------------
class Row(NamedTuple):
    key: str
    rule: str
    brand: str
    platform: str
    version: int
    state: str
    muted: str
    historical: bool
    actor: str


def on_record(settings: Settings, where: str = "1") -> list[Row]:
    """The newest change of each alert."""
    with connect(settings) as client:
        rows = client.query(
            "SELECT lower(leftPad(hex(alert_key), 16, '0')), rule, brand, platform, version, state, muted, historical, actor "
            f"FROM alerts FINAL WHERE {where} ORDER BY term DESC, version DESC LIMIT 1 BY alert_key"
        ).result_rows
    return [Row(*row) for row in rows]


def open_twice(settings: Settings) -> list[tuple[Any, ...]]:
    """(rule, brand, platform) with more than one open alert, and its keys."""
    places: defaultdict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in on_record(settings, "test = 0 AND historical = 0"):
        if row.state != "resolved":
            places[row.rule, row.brand, row.platform].add(row.key)
    return [(place, keys) for place, keys in places.items() if len(keys) > 1]


def judged_until(settings: Settings) -> datetime:
    """When control last kept its watermark: all that was committed before is judged."""
    with connect(settings) as client:
        rows = client.query("SELECT max(changed_at) FROM alert_watermarks", query_tz="UTC", tz_mode="aware").result_rows
    at: datetime = rows[0][0]
    return at


def heard_all(settings: Settings) -> bool:
    """Control has committed every signal; False while the broker does not answer."""
    topic, group = settings.kafka.topic("signals"), f"{settings.kafka.group}-control"
    try:
        end = end_offsets(settings.kafka, topic)[0][1]
        config = {**settings.kafka.client(), "group.id": group, "enable.auto.commit": False, "log_level": 0}
        consumer = Consumer(config)
        try:
            return bool(consumer.committed([TopicPartition(topic, 0)], timeout=5)[0].offset >= end)
        finally:
            consumer.close()
    except KafkaException:
        return False
