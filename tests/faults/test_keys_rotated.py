"""Keys are changed, and `earshot keys rotate` and `earshot customers` are killed meanwhile: each record and letter is read as
before, each look-up by an address finds what it found, who is linked stays linked, and nothing is of an older key. It prints
how long each key took."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import rotating
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support.customers_process import start_customers, stewarded
from tests.support.keyed_world import KeyedWorld, Size, text
from tests.support.worker import wait_for

SHORT = Size(people=2_000, interactions=20_000, letters=300, linked=500, erased=50, kills=2)
LONG = Size(people=1_000_000, interactions=10_000_000, letters=20_000, linked=200_000, erased=20_000, kills=3)
SIZES = [
    pytest.param(SHORT, marks=pytest.mark.faults, id="short"),
    pytest.param(LONG, marks=[pytest.mark.faults, pytest.mark.timeout(7_200)], id="long"),
]
SEEK = 17
"""A person whom the command looks for."""
LEADS = 600.0


class Rotations:
    """Runs of the commands over a world, with kills."""

    def __init__(self, world: KeyedWorld, rng: random.Random, folder: Path) -> None:
        self.world, self.settings, self._rng, self._folder = world, world.settings, rng, folder

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pipeline.cli", *arguments]
        environment = child_environment(self.settings)
        self._last = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return self._last

    def _ended(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        said = process.communicate()[0].decode()
        return process.returncode, said

    def _pause(self) -> None:
        time.sleep(self._rng.uniform(0, 3 if self.world.size is SHORT else 25))

    def _there(self) -> bool:
        return rotating.there(self.world.client) or self._last.poll() is not None

    def rotate(self, *names: str, kills: int = 0) -> tuple[int, str]:
        """With a next generation of these keys. Returns how the run after the kills ended, and what it said."""
        self.settings, begun = self.world.later(*names), time.monotonic()
        for _ in range(kills):
            killed = self._run("keys", "rotate", "--yes")
            wait_for("a rotation has begun", self._there, every=0.1)
            self._pause()
            killed.kill()
            self._ended(killed)
        last = time.monotonic()
        ended = self._ended(self._run("keys", "rotate", "--yes"))
        now = time.monotonic()
        whole, alone = (timedelta(seconds=round(now - since)) for since in (begun, last))
        print(f"rotation of {' and '.join(names)}: {whole} with {kills} kills, the last run {alone}")
        return ended

    def customers(self, kills: int = 0) -> None:
        """Leads once."""
        begun = time.monotonic()
        for number in range(kills + 1):
            process = start_customers(self.settings, self._folder / f"customers{len(list(self._folder.iterdir()))}.log")
            try:
                if number < kills:
                    time.sleep(2)
                    self._pause()
                else:
                    process.wait_ready(timeout=LEADS)
            finally:
                process.close()
        print(f"customers led after {timedelta(seconds=round(time.monotonic() - begun))}, {kills} kills")

    def find(self) -> str:
        """What is found by an address. How its edges name it goes by its hash."""
        code, said = self._ended(self._run("identity", "find", text("email", SEEK)))
        assert code == 0, said
        return re.sub(r"e-mail address [0-9a-f]{4}", "e-mail address", said)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse, timeout_s=3_600) as client:
        yield client


@pytest.mark.parametrize("size", SIZES)
def test_after_kills_everything_is_found_and_read_as_before(
    kafka: Stack, settings: Settings, client: Client, size: Size, rng: random.Random, tmp_path: Path
) -> None:
    world = KeyedWorld(stewarded(settings), client, size)
    rotations, begun = Rotations(world, rng, tmp_path), time.monotonic()
    world.plant()
    print(f"{size}: planted in {timedelta(seconds=round(time.monotonic() - begun))}")
    rotations.customers()
    before, links = rotations.find(), world.links()
    assert world.found("old") == world.planted() and links[0] == 2 * size.linked

    code, said = rotations.rotate("data_key", kills=1)
    assert code == 0, said

    code, said = rotations.rotate("data_key", "hash_key", kills=size.kills)
    assert code == 1 and "`earshot customers` makes their keys anew" in said, said
    assert rotations.find() == before, "edges are by the key of before, rows by the next one"
    assert world.wrong().keys() - {"suppressions"} == {"identity_edges", "raised_hashes"}, said  # a killed one may have ended
    rotations.customers(kills=1)
    code, said = rotations.rotate("data_key", "hash_key")
    assert code == 0 and "of generation 1: it can go from the settings" in said, said
    assert (world.found("new"), world.wrong(), world.links(), rotations.find()) == (world.planted(), {}, links, before)
    assert list(world.unread()) == []
    code, said = rotations.rotate("data_key", "hash_key")
    assert code == 0, said
