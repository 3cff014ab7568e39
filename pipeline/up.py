"""`earshot up`: the embedded stack, a worker, control and the sample stream, in one terminal."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, SecretStr
from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.alert_stream import follow
from pipeline.alert_view import line as alert_line
from pipeline.desk_client import url_of
from pipeline.embedded.child import Child, check_port
from pipeline.embedded.hash_key import make_hash_key
from pipeline.embedded.stack import Stack, acquire, lock
from pipeline.embedded.supervisor import Supervisor
from pipeline.embedded.token import actor, make_token
from pipeline.errors import EarshotError
from pipeline.generate.targets import feed_sample
from pipeline.live import LiveLine, scrape
from pipeline.migrate import migrate
from pipeline.processors.alerts.alert import State
from pipeline.settings import ENV_PREFIX, ClickHouseSettings, ControlSettings, KafkaSettings, Settings
from pipeline.show import console as terminal

PLAIN_SECONDS = 5.0
"""How often a line is printed where there is no terminal to keep one line alive."""


def up(settings: Settings, *, sample: bool = True, console: Console | None = None) -> None:
    """Runs all of Earshot on this machine until SIGINT or SIGTERM, then stops it in order; what landed stays.

    Raises StackError when it can't start, MigrationError when the data is newer than this program.
    """
    console = console or terminal()
    with _interrupts(), suppress(KeyboardInterrupt), _stack(settings, console) as (stack, settings):
        for line in migrate(settings):
            console.print(line, markup=False, style="dim")
        worker, control = _worker(stack, settings), _control(stack, settings)
        stop = threading.Event()
        feeder = threading.Thread(target=_feed, args=(settings, stop, console), name="feed")
        watcher = threading.Thread(target=_watch, args=(settings, stop, console), name="alerts")
        supervisor = Supervisor(stack.children.values(), _printer(console))
        try:
            watcher.start()
            worker.start()
            control.start()
            supervisor.start()
            _welcome(stack, settings, sample, console)
            if sample:
                feeder.start()
            _show(settings, console)
        finally:
            console.print("stopping the sample stream, control, the worker, ClickHouse and the broker ...")
            stop.set()
            for thread in (feeder, watcher):
                if thread.ident:
                    thread.join()
            supervisor.stop()


def reset(settings: Settings) -> None:
    """Empties the data folder. Raises StackError while a stack runs in it."""
    folder = settings.embedded.data_dir
    if not folder.is_dir():
        return
    held = lock(folder)
    acquire(held, folder)
    try:
        for path in folder.iterdir():
            if path != Path(held.lock_file):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    finally:
        held.release()


@contextmanager
def _stack(settings: Settings, console: Console) -> Iterator[tuple[Stack, Settings]]:
    """The stack, and the settings that point to it."""
    console.print("starting the broker and ClickHouse ...")
    with Stack(settings.embedded, _printer(console)) as stack:
        check_port(settings.worker.health_port, "the worker's metrics", "worker.health_port (EARSHOT_WORKER__HEALTH_PORT)")
        check_port(settings.control.port, "control", "control.port (EARSHOT_CONTROL__PORT)")
        kafka = settings.kafka
        key = settings.privacy.hash_key.get_secret_value() or make_hash_key(settings.embedded.data_dir)
        yield (
            stack,
            settings.model_copy(
                update={
                    "kafka": KafkaSettings(
                        bootstrap=stack.bootstrap,
                        group=kafka.group,
                        topic_prefix=kafka.topic_prefix,
                        partitions=kafka.partitions,
                        retention_ms=kafka.retention_ms,
                        retention_bytes=kafka.retention_bytes,
                    ),
                    "clickhouse": ClickHouseSettings(url=stack.clickhouse_url),
                    "privacy": settings.privacy.model_copy(update={"hash_key": SecretStr(key)}),
                    "control": _with_token(settings),
                }
            ),
        )


def _worker(stack: Stack, settings: Settings) -> Child:
    ready = _metrics_url(settings).replace("/metrics", "/ready")
    return stack.add(
        "worker", [sys.executable, "-m", "pipeline.cli", "worker"], lambda: scrape(ready) is not None, environment(settings)
    )


def _control(stack: Stack, settings: Settings) -> Child:
    ready = f"{url_of(settings.control)}/ready"
    return stack.add(
        "control", [sys.executable, "-m", "pipeline.cli", "control"], lambda: scrape(ready) is not None, environment(settings)
    )


def _with_token(settings: Settings) -> ControlSettings:
    """With the folder's token for whoever runs this, beside those that the settings give to others."""
    mine = {actor(): SecretStr(make_token(settings.embedded.data_dir))}
    return settings.control.model_copy(update={"tokens": mine | settings.control.tokens})


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables for a child process; secrets go no other way."""

    def variables(prefix: str, model: BaseModel) -> Iterator[tuple[str, str]]:
        for name in type(model).model_fields:
            value = getattr(model, name)
            if isinstance(value, BaseModel):
                yield from variables(f"{prefix}{name.upper()}__", value)
            elif value is not None:
                yield prefix + name.upper(), _variable(value)

    return dict(variables(ENV_PREFIX, settings))


def _variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return json.dumps(value, default=_variable) if isinstance(value, (dict, tuple)) else str(value)


def _feed(settings: Settings, stop: threading.Event, console: Console) -> None:
    try:
        feed_sample(settings, stop)
    except EarshotError as error:
        console.print(f"the sample stream stopped: {error}", markup=False)
        return
    if not stop.is_set():
        console.print("the sample stream is at its end; everything keeps running for your own events")


def _watch(settings: Settings, stop: threading.Event, console: Console) -> None:
    """A line for each alert that begins to fire and is not muted, and one when it is over."""
    told: set[int] = set()
    try:
        for alert in follow(settings.kafka, stop=stop):
            if alert.historical or alert.muted or alert.state not in (State.FIRING, State.RESOLVED):
                continue
            if (alert.state is State.FIRING) != (alert.key in told):
                told ^= {alert.key}
                console.print(alert_line(alert), soft_wrap=True)
    except EarshotError as error:
        console.print(f"alerts are not shown here: {error}", markup=False)


def _welcome(stack: Stack, settings: Settings, sample: bool, console: Console) -> None:
    broker = "Apache Kafka" if stack.broker_kind == "kafka" else "light broker (in memory)"
    places = {
        broker: stack.bootstrap,
        "ClickHouse": stack.clickhouse_url,
        "metrics": _metrics_url(settings),
        "alerts": url_of(settings.control),
        "data": stack.data_dir,
    }
    for name, place in places.items():
        console.print(f"{name:<26}{place}", markup=False)
    if sample:
        console.print("feeding the sample stream; Ctrl-C stops everything, the data stays")
    console.print(
        'try, in another terminal:  earshot send --text "The kettle leaks"   earshot query brands   earshot alerts tail',
        markup=False,
    )


def _show(settings: Settings, console: Console) -> None:
    """The live line, until KeyboardInterrupt."""
    line, worker, control = LiveLine(), _metrics_url(settings), f"{url_of(settings.control)}/metrics"
    if not console.is_terminal:
        while True:
            console.print(line.update(scrape(worker), scrape(control)), markup=False)
            time.sleep(PLAIN_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Text(line.update(scrape(worker), scrape(control)), style="bold"), refresh=True)
            time.sleep(1)


def _metrics_url(settings: Settings) -> str:
    return f"http://{settings.worker.health_host}:{settings.worker.health_port}/metrics"


def _printer(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False)


@contextmanager
def _interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP are taken like Ctrl-C. A second one ends the stopping; the guard then kills what still runs."""
    taken = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, before in taken.items():
            signal.signal(number, before)
