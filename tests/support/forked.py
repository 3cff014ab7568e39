"""A stack whose broker can be reached by two ways, each behind a link that a test can cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.config.settings import EmbeddedSettings
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.errors import StackError

NAMES = ("first", "second")


class Forked(Stack):
    """A stack whose broker has a listener for each of NAMES, behind a link that can be cut."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        super().__init__(settings, print)
        self.behind = {name: free_port() for name in NAMES}
        self.links = {name: free_port() for name in NAMES}

    def _broker_command(self) -> list[str]:
        command = super()._broker_command()
        if self.broker_kind == "kafka":
            with (self.data_dir / "kafka" / "server.properties").open("a") as file:
                file.write(self._listeners(Path(file.name).read_text()))
        return command

    def _listeners(self, properties: str) -> str:
        known = dict(line.split("=", 1) for line in properties.splitlines() if "=" in line and line[0] != "#")
        names = [name.upper() for name in NAMES]
        behind = [f"{name.upper()}://127.0.0.1:{self.behind[name]}" for name in NAMES]
        before = [f"{name.upper()}://127.0.0.1:{self.links[name]}" for name in NAMES]
        more = {
            "listeners": ",".join([known["listeners"], *behind]),
            "advertised.listeners": ",".join([known["advertised.listeners"], *before]),
            "listener.security.protocol.map": ",".join(
                [known["listener.security.protocol.map"], *(f"{name}:PLAINTEXT" for name in names)]
            ),
            "inter.broker.listener.name": "PLAINTEXT",
        }
        return "".join(f"{key}={value}\n" for key, value in more.items())


@contextmanager
def forked_stack(folder: Path) -> Iterator[Forked]:
    """Starts it; skips the test where Kafka's jars can't be had."""
    stack = Forked(EmbeddedSettings(data_dir=folder, broker="auto", kafka_port=0, clickhouse_port=0))
    try:
        stack.start()
    except StackError as error:
        pytest.skip(f"no embedded stack: {error}")
    try:
        if stack.broker_kind != "kafka":
            pytest.skip("the light broker is in use (Kafka's jars can't be had): it has one listener")
        yield stack
    finally:
        stack.stop()
