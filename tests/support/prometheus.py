"""A real Prometheus for a test: the rules of deploy/prometheus, sixty times as fast."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from pipeline.embedded.child import free_port
from tests.support.deploy import DEPLOY, program
from tests.support.worker import wait_for

SCRAPE = "500ms"
BUSY = {"EarshotLatencyHigh", "EarshotLag", "EarshotStalled"}
"""True where other tests take the processors: a worker is half a minute behind, or lands nothing for the seven seconds that
stand for minutes. tests/deploy/test_rules.py has them."""


def quick(rules: str) -> str:
    """The rules with seconds in place of minutes: in `for:`, and in windows. Of the thresholds EarshotLag's alone is another:
    it is how long an outage lasts."""
    rules = rules.replace("lag_seconds:max > 30\n", "lag_seconds:max > 8\n")
    return re.sub(r"(?<=for: )(\d+)m\b|(?<=\[)(\d+)m(?=\])", lambda found: f"{found[1] or found[2]}s", rules)


class Prometheus:
    """Scrapes twice a second, between `with` and its end, one target of each job: `targets` by the job's name."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        for name in ("recording.yml", "alerts.yml"):
            (folder / name).write_text(quick((DEPLOY / "prometheus" / name).read_text()))
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
        jobs = config["scrape_configs"]
        assert {job["job_name"] for job in jobs} == targets.keys()
        for job in jobs:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Prometheus:
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
            "--log.level=warn",
        ]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(command, stderr=log)
        try:
            wait_for("Prometheus serves", self._ready, 30)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()

    def _ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2):
                return True
        except OSError:
            return False

    def _ask(self, path: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an instant query, without those that are no number."""
        found = [float(sample["value"][1]) for sample in self._ask("query", query=expression)["result"]]
        return [value for value in found if not math.isnan(value)]

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Those that fire."""
        return [alert for alert in self._ask("alerts")["alerts"] if alert["state"] == "firing"]

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.alerts()}

    def watch(self, wanted: set[str], timeout: float, allowed: set[str]) -> None:
        """Returns when exactly `wanted` fire; meanwhile nothing may fire that is neither wanted nor `allowed`, nor BUSY."""
        deadline = time.monotonic() + timeout
        while (firing := self.firing() - (BUSY - wanted)) != wanted:
            assert firing <= wanted | allowed, f"fires without a cause: {self.alerts()}"
            assert time.monotonic() < deadline, f"{firing} fire and not {wanted} after {timeout:.0f} s"
            time.sleep(0.25)
