"""`earshot up`: the embedded stack, a worker, control, customers, the console and the sample stream, in one terminal."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.api.client import url_of
from pipeline.cli.alert_view import line as alert_line
from pipeline.cli.live_line import NO_LISTENER, LiveLine
from pipeline.cli.source_add import HERE
from pipeline.cli.terminal import console as terminal
from pipeline.cli.terminal import printable
from pipeline.config.settings import Settings
from pipeline.console.one_time import login_url
from pipeline.embedded.child import Child, check_port
from pipeline.embedded.live import live as follow_words
from pipeline.embedded.live import unreachable, words_of
from pipeline.embedded.own_settings import ignored, own_settings, pointer, write_settings
from pipeline.embedded.stack import Stack
from pipeline.embedded.supervisor import Supervisor
from pipeline.errors import EarshotError, StackError
from pipeline.generate.targets import feed_sample
from pipeline.migrate import migrate
from pipeline.monitoring.scrape import scrape
from pipeline.queries.alert_tail import follow
from schemas.alerts import State

CONSOLE_S = 30.0
"""The link is printed when it leads somewhere, or after so long."""
PLAIN_SECONDS = 5.0
"""How often a line is printed without a terminal."""


def up(given: Settings, *, sample: bool = True, live: str = "", console: Console | None = None) -> None:
    """Runs all of Earshot on this machine until SIGINT or SIGTERM, then stops it in order; the data stays. `live`: words to
    follow on Bluesky; where that can't be reached the sample plays.

    Raises StackError if it can't start, MigrationError if the data is newer than this program.
    """
    console = console or terminal()
    words = _words(live, console) if live else []
    sample = sample and not words
    with _interrupts(), suppress(KeyboardInterrupt), _stack(given, bool(words), console) as (stack, settings):
        for line in migrate(settings):
            console.print(line, markup=False, style="dim")
        if words:
            settings = follow_words(settings, words, stack.data_dir)
        config = write_settings(settings, stack.data_dir)
        children = _children(stack, settings, config)
        stop = threading.Event()
        feeder = threading.Thread(target=_feed, args=(settings, stop, console), name="feed")
        watcher = threading.Thread(target=_watch, args=(settings, stop, console), name="alerts")
        supervisor = Supervisor(stack.children.values(), _printer(console))
        try:
            watcher.start()
            for child in children:
                child.start()
            supervisor.start()
            with suppress(StackError):  # the supervisor starts it again, and says why
                stack.children["console"].wait_ready(CONSOLE_S)
            _welcome(stack, settings, sample, console)
            _hints(pointer(given, config), console)
            if sample:
                feeder.start()
            _show(settings, console)
        finally:
            console.print("stopping the sample stream, the console, customers, control, worker, ClickHouse and broker ...")
            stop.set()
            for thread in (feeder, watcher):
                if thread.ident:
                    thread.join()
            supervisor.stop()


@contextmanager
def _stack(given: Settings, live: bool, console: Console) -> Iterator[tuple[Stack, Settings]]:
    """The stack, and the settings that point to it."""
    console.print("starting the broker and ClickHouse ...")
    with Stack(given.embedded, _printer(console)) as stack:
        check_port(given.worker.health_port, "the worker's metrics", "worker.health_port (EARSHOT_WORKER__HEALTH_PORT)")
        if given.sources or live:
            check_port(given.listen.port, "the listener's metrics", "listen.port (EARSHOT_LISTEN__PORT)")
        check_port(given.control.port, "control", "control.port (EARSHOT_CONTROL__PORT)")
        check_port(given.customers.port, "customers", "customers.port (EARSHOT_CUSTOMERS__PORT)")
        check_port(given.console.port, "the console", "console.port (EARSHOT_CONSOLE__PORT)")
        settings = own_settings(given, stack)
        if unused := ignored(given, settings):
            console.print(f"ignored, because everything runs on this machine: {', '.join(unused)}", markup=False)
        yield stack, settings


def _words(live: str, console: Console) -> list[str]:
    """The words to follow on Bluesky; none where it can't be reached."""
    words = words_of(live)
    if why := unreachable():
        console.print(f"{why}; the sample stream plays", markup=False)
        return []
    return words


def _children(stack: Stack, settings: Settings, config: Path) -> list[Child]:
    """A worker, control, customers, the console, and where there are sources a listener."""
    listen = settings.listen
    urls = {
        "worker": _metrics_url(settings),
        "control": f"{url_of(settings.control)}/metrics",
        "customers": f"{url_of(settings.customers)}/metrics",
        "console": f"http://{settings.console.host}:{settings.console.port}/metrics",
        "listen": f"http://{listen.host}:{listen.port}/metrics" if settings.sources else "",
    }
    return [_child(stack, name, url, config) for name, url in urls.items() if url]


def _child(stack: Stack, name: str, url: str, config: Path) -> Child:
    """`earshot NAME`, which serves when it has metrics at `url`."""
    command = [sys.executable, "-m", "pipeline.cli", name]
    return stack.add(name, command, lambda: scrape(url) is not None, {"EARSHOT_CONFIG": str(config)})


def _feed(settings: Settings, stop: threading.Event, console: Console) -> None:
    try:
        feed_sample(settings, stop)
    except EarshotError as error:
        _printer(console)(f"the sample stream stopped: {error}")
        return
    if not stop.is_set():
        console.print("the sample stream has ended; everything keeps running for your own events")


def _watch(settings: Settings, stop: threading.Event, console: Console) -> None:
    """Prints a line for each alert that starts to fire and is not muted, and a line when it resolves."""
    shown: set[int] = set()
    try:
        for alert in follow(settings.kafka, stop=stop):
            if alert.historical or alert.muted or alert.state not in (State.FIRING, State.RESOLVED):
                continue
            if (alert.state is State.FIRING) != (alert.key in shown):
                shown ^= {alert.key}
                console.print(alert_line(alert), soft_wrap=True)
    except EarshotError as error:
        _printer(console)(f"alerts are not shown here: {error}")


def _welcome(stack: Stack, settings: Settings, sample: bool, console: Console) -> None:
    broker = "Apache Kafka" if stack.broker_kind == "kafka" else "light broker (in memory)"
    addresses = {
        broker: stack.bootstrap,
        "ClickHouse": stack.clickhouse_url,
        "metrics": _metrics_url(settings),
        "alerts": url_of(settings.control),
        "customers": url_of(settings.customers),
        "console": login_url(settings),
        "": "(open it within ten minutes: it logs you in, once; later: earshot console login)",
        **({"sources": heard} if (heard := sources_line(settings)) else {}),
        "data": stack.data_dir,
    }
    for name, address in addresses.items():
        console.print(f"{name:<26}{address}", markup=False, soft_wrap=True)
    if sample:
        console.print("feeding the sample stream; Ctrl-C stops everything, the data stays")


def sources_line(settings: Settings) -> str:
    """What is listened to, or what is not though it is here; blank: there is nothing."""
    if settings.sources:
        return f"{settings.sources}, state: earshot source list"
    return f"{HERE} is here, and nobody listens to it: make run SOURCES={HERE}" if HERE.exists() else ""


def _hints(command: str, console: Console) -> None:
    """Prints commands for another terminal; `command` makes it use this stack."""
    if command:
        console.print(f"in another terminal, first:  {command}", markup=False, soft_wrap=True)
    console.print(
        'try, in another terminal:  earshot send --text "The kettle leaks"   earshot query brands   earshot alerts tail',
        markup=False,
    )


def _show(settings: Settings, console: Console) -> None:
    """Prints the live line until KeyboardInterrupt."""
    line, worker = LiveLine(), _metrics_url(settings)
    control, customers = (f"{url_of(section)}/metrics" for section in (settings.control, settings.customers))
    listen = f"http://{settings.listen.host}:{settings.listen.port}/metrics"

    def shown() -> str:
        listener = scrape(listen) if settings.sources else NO_LISTENER
        return line.update(scrape(worker), scrape(control), listener, scrape(customers))

    if not console.is_terminal:
        while True:
            console.print(shown(), markup=False)
            time.sleep(PLAIN_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Text(shown(), style="bold"), refresh=True)
            time.sleep(1)


def _metrics_url(settings: Settings) -> str:
    return f"http://{settings.worker.health_host}:{settings.worker.health_port}/metrics"


def _printer(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(printable(line), markup=False)


@contextmanager
def _interrupts() -> Iterator[None]:
    """Handles SIGTERM and SIGHUP like Ctrl-C. A second signal interrupts the stop; the guard then kills the children left."""
    previous = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
