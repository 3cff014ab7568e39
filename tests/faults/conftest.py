"""The stack and the sizes of the fault tests: `[short]` runs by default, `[long]` with `-m faults` (make faults)."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from pydantic import SecretStr

from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from pipeline.settings import ClickHouseSettings, EmbeddedSettings, KafkaSettings, PrivacySettings, Settings, WorkerSettings
from tests.faults.harness import BATCH_ROWS, SIZES, Run, Size
from tests.faults.load import Generator
from tests.faults.oracle import stop_merges


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an expression of marks the long forms stay out."""
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("faults")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(params=["short", pytest.param("long", marks=[pytest.mark.faults, pytest.mark.timeout(1800)])])
def size(request: pytest.FixtureRequest) -> Size:
    return SIZES[request.param]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Seeded by the test's name: the same choices in each run of it."""
    return random.Random(request.node.name)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of the fault tests' own, with the broker that remembers: its children get killed, and restarted by the test."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(EmbeddedSettings(data_dir=folder, broker="kafka", kafka_port=0, clickhouse_port=0)) as running:
        yield running


@pytest.fixture
def run(stack: Stack, size: Size, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """A scenario on topics, a group, a database and a seed of its own, with merges off."""
    number = zlib.crc32(request.node.name.encode())
    name = f"faults_{number:08x}"
    settings = Settings(
        kafka=KafkaSettings(bootstrap=stack.bootstrap, group=name, topic_prefix=name, partitions=8),
        clickhouse=ClickHouseSettings(url=stack.clickhouse_url, database=name),
        worker=WorkerSettings(batch_rows=BATCH_ROWS),
        privacy=PrivacySettings(hash_key=SecretStr("faults")),
    )
    with clickhouse_connect.get_client(dsn=stack.clickhouse_url, autogenerate_session_id=False) as client:
        client.command(f"CREATE DATABASE {name}")
    migrate(settings)
    stop_merges(settings)
    load = Generator(number, int(time.time() * 1000) - 3_600_000, size.events)
    scenario = Run(settings, load, tmp_path)
    try:
        yield scenario
    finally:
        scenario.close()
