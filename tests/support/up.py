"""`earshot up` as a person runs it: its lines, and commands in another terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from pipeline.embedded.child import free_port
from pipeline.monitoring.scrape import scrape

WAIT_S = 240.0
"""Where the tests run beside others, seven processes take minutes to start."""


class Up:
    """A running `earshot up` over `data_dir`, started in the folder above, on ports of its own; `said` holds its lines."""

    def __init__(self, data_dir: Path, *options: str, **variables: str) -> None:
        self._ports = {
            "EARSHOT_EMBEDDED__KAFKA_PORT": free_port(),
            "EARSHOT_EMBEDDED__CLICKHOUSE_PORT": free_port(),
            "EARSHOT_WORKER__HEALTH_PORT": free_port(),
            "EARSHOT_CONTROL__PORT": free_port(),
            "EARSHOT_CUSTOMERS__PORT": free_port(),
            "EARSHOT_CONSOLE__PORT": free_port(),
        }
        self.console_port = self._ports["EARSHOT_CONSOLE__PORT"]
        self.said: list[str] = []
        self.clickhouse_url = f"http://127.0.0.1:{self._ports['EARSHOT_EMBEDDED__CLICKHOUSE_PORT']}"
        self.folder = data_dir.parent
        self.environment = os.environ | {name: str(port) for name, port in self._ports.items()} | variables
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "up", "--data-dir", str(data_dir), *options],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    def text(self) -> str:
        return "".join(self.said)

    def earshot(self, *arguments: str) -> str:
        """In another terminal, which does what `up` says and is set up as the first one; what the command prints."""
        said = re.search("in another terminal, first:  (.+)", self.text())
        assert said is not None, self.text()
        command = f'{said[1]} && exec "$@"'
        shell = ["sh", "-c", command, "sh", sys.executable, "-m", "pipeline.cli", *arguments]
        done = subprocess.run(shell, capture_output=True, text=True, env=self.environment, cwd=self.folder, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def landed(self) -> int:
        found = re.findall(r"landed ([\d,]+)", self.text())
        return int(found[-1].replace(",", "")) if found else 0

    def metric(self, name: str) -> float:
        """Of the worker, without labels."""
        samples = scrape(f"http://127.0.0.1:{self._ports['EARSHOT_WORKER__HEALTH_PORT']}/metrics")
        assert samples is not None, self.text()
        return samples[name, ""]

    def control_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['EARSHOT_CONTROL__PORT']}/ready", timeout=5):
                return True
        except OSError:
            return False

    def wait_for(self, met: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not met():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
