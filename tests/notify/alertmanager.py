"""A real Alertmanager for a test, which passes its alerts on to a webhook."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from pipeline.embedded.child import free_port
from tests.support.deploy import program


class Alertmanager:
    """It can be stopped, and started again on the same port; it forgets its alerts then."""

    def __init__(self, folder: Path, hook: str) -> None:
        self._program = program("prometheus-alertmanager")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        config = {
            "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "50ms", "group_interval": "300ms"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": hook, "send_resolved": True}]}],
        }
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [
            self._program,
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(command, stderr=log)
        for _ in range(300):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                await self._get("/-/ready")
                return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
        raise AssertionError("Alertmanager does not start")

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    async def alerts(self) -> list[dict[str, Any]]:
        """What it holds for open."""
        found = await self._get("/api/v2/alerts")
        assert isinstance(found, list)
        return found

    async def _get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else await answer.text()
