"""The embedded stack: a broker and ClickHouse as child processes, over one folder."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import filelock

from pipeline.config.settings import ClickHouseSettings, EmbeddedSettings
from pipeline.embedded.broker import broker_answers, kafka_command, light_command
from pipeline.embedded.child import Child, check_port, free_port
from pipeline.embedded.folder import claim
from pipeline.embedded.guard import Guard
from pipeline.embedded.jars import JarsUnreachable
from pipeline.embedded.password import make_password, password_of
from pipeline.errors import StackError

LEAST_FREE_BYTES = 256 << 20
LOGS = "logs"


class Stack:
    """Broker and ClickHouse over `settings.data_dir`; a port of 0 is any free one, kept while the stack lives.

    `start` returns when both serve, else raises StackError and leaves nothing behind. The children end with this process, even
    if it is killed. A child that died is restarted by the caller (`Supervisor`).
    """

    def __init__(self, settings: EmbeddedSettings, say: Callable[[str], None] = lambda line: None) -> None:
        self.data_dir = settings.data_dir
        self.broker_kind = ""
        self.kafka_port = settings.kafka_port or free_port()
        self.clickhouse_port = settings.clickhouse_port or free_port()
        self.children: dict[str, Child] = {}
        self._settings = settings
        self._say = say
        self._lock = lock(self.data_dir)
        self._guard: Guard | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.kafka_port}"

    @property
    def clickhouse_url(self) -> str:
        return f"http://127.0.0.1:{self.clickhouse_port}"

    @property
    def clickhouse(self) -> ClickHouseSettings:
        """The connection of user `default`."""
        return ClickHouseSettings(url=self.clickhouse_url, password=password_of(self.data_dir))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        _prepare(self.data_dir)
        acquire(self._lock, self.data_dir)
        try:
            check_port(self.kafka_port, "the broker", "embedded.kafka_port (EARSHOT_EMBEDDED__KAFKA_PORT)")
            check_port(self.clickhouse_port, "ClickHouse", "embedded.clickhouse_port (EARSHOT_EMBEDDED__CLICKHOUSE_PORT)")
            command = self._broker_command()
            self._guard = Guard()
            self._add("kafka", command, broker_answers(self.bootstrap)).start()
            self._add("clickhouse", self._clickhouse_command(), self._clickhouse_answers).start()
            for child in self.children.values():
                child.wait_ready()
        except OSError as error:
            self.stop()
            raise _disk_error(self.data_dir, error) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the children in reverse order, and releases the folder."""
        for child in reversed(self.children.values()):
            child.stop()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._lock.release()

    def add(self, name: str, command: list[str], ready: Callable[[], bool], environment: dict[str, str]) -> Child:
        """Another child, such as the worker, that ends with this process; not started yet, stopped before the others."""
        return self._add(name, command, ready, environment)

    def pid(self, name: str) -> int:
        return self.children[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL; returns when the process is gone."""
        self.children[name].kill()

    def restart(self, name: str) -> None:
        """Restarts the child on the same port and folder; returns when it serves."""
        child = self.children[name]
        child.stop()
        child.start()
        child.wait_ready()

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        self.children[name].pause()
        try:
            yield
        finally:
            self.children[name].resume()

    def _broker_command(self) -> list[str]:
        wanted = self._settings.broker
        if wanted != "light":
            home = self._settings.kafka_home or (Path(os.environ["KAFKA_HOME"]) if os.environ.get("KAFKA_HOME") else None)
            try:
                self.broker_kind = "kafka"
                return kafka_command(self.data_dir / "kafka", self.kafka_port, free_port(), home, self._say)
            except JarsUnreachable as error:
                if wanted == "kafka":
                    raise
                self._say(f"{error}; using the light broker, which forgets its topics when it stops")
        self.broker_kind = "light"
        return light_command(self.kafka_port)

    def _clickhouse_command(self) -> list[str]:
        path, port = str(self.data_dir / "clickhouse"), str(self.clickhouse_port)
        server = [sys.executable, "-m", "pipeline.embedded.clickhouse"]
        passwords = ["--password-file", str(make_password(self.data_dir))]
        passwords += ["--console-password-file", str(make_password(self.data_dir, "console"))]
        return [*server, "--path", path, "--port", port, *passwords]

    def _clickhouse_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.clickhouse_url}/ping", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _add(
        self, name: str, command: list[str], ready: Callable[[], bool], environment: dict[str, str] | None = None
    ) -> Child:
        assert self._guard is not None, "the stack is not started"
        log = self.data_dir / LOGS / f"{name}.log"
        self.children[name] = Child(name, command, log, self._guard, ready, environment)
        return self.children[name]


def lock(data_dir: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(data_dir / "lock", timeout=0, thread_local=False)


def acquire(held: filelock.BaseFileLock, data_dir: Path) -> None:
    """Raises StackError if another process holds the folder."""
    try:
        held.acquire()
    except filelock.Timeout:
        raise StackError(f"{data_dir} is in use by another `earshot up`; stop that, or give another --data-dir") from None
    except OSError as error:
        raise _disk_error(data_dir, error) from None


def _prepare(data_dir: Path) -> None:
    if set("?*{}") & set(str(data_dir)):
        raise StackError(f"{data_dir}: the engine takes ? * {{ }} in a folder's name for a pattern; give another --data-dir")
    try:
        claim(data_dir)
        (data_dir / LOGS).mkdir(exist_ok=True)
    except OSError as error:
        raise _disk_error(data_dir, error) from None
    free = shutil.disk_usage(data_dir).free
    if free < LEAST_FREE_BYTES:
        raise StackError(f"the disk of {data_dir} is full: {free >> 20} MB are free, {LEAST_FREE_BYTES >> 20} MB are needed")


def _disk_error(data_dir: Path, error: OSError) -> StackError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StackError(f"the disk of {data_dir} is full" if full else f"{error.filename or data_dir}: {error.strerror}")
