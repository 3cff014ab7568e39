"""`earshot ARGUMENTS`, run inside the tests' own process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.cli import main
from pipeline.config.environment import variables
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Run:
    """Runs `earshot ARGUMENTS` in an empty folder, with nothing that answers at the default addresses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EARSHOT_KAFKA__BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("EARSHOT_WORKER__HEALTH_PORT", str(free_port()))
    monkeypatch.setenv("EARSHOT_CONTROL__PORT", str(free_port()))
    monkeypatch.setenv("EARSHOT_CUSTOMERS__PORT", str(free_port()))

    def invoke(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["earshot", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfdbinary.readouterr()
        try:
            main.main()
            code = 0
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        captured = capfdbinary.readouterr()
        return Done(code, captured.out.decode(), captured.err.decode())

    return invoke


@pytest.fixture
def stacked(emptied: Settings, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, against the stack, with tables and topics."""
    set_variables(monkeypatch, emptied)
    assert run("migrate").code == 0
    return run


def set_variables(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """For commands that `run` is given from now on."""
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
