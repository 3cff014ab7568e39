"""The stack and the sizes of the fault tests: `[short]` runs by default, `[long]` with `-m faults` (make faults)."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.settings import Settings, WorkerSettings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support.harness import FORMS, SIZES, Run, Size
from tests.support.load import Generator
from tests.support.oracle import stop_merges


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without an expression of marks the long forms stay out."""
    if config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("faults")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """short or long; by it a test knows how large it is."""
    return str(request.param)


@pytest.fixture
def size(form: str) -> Size:
    return SIZES[form]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Seeded by the test's name: the same choices in each run of it."""
    return random.Random(request.node.name)


@pytest.fixture
def batch_rows() -> int:
    """Rows of a micro-batch at most: what a worker does by default."""
    return WorkerSettings().batch_rows


@pytest.fixture
def run(
    kafka: Stack, settings: Settings, size: Size, batch_rows: int, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Run]:
    """A scenario of its own, with merges off and a load that is seeded by the test's name; it kills real brokers only."""
    settings = settings.model_copy(update={"worker": settings.worker.model_copy(update={"batch_rows": batch_rows})})
    migrate(settings)
    stop_merges(settings)
    load = Generator(zlib.crc32(request.node.name.encode()), int(time.time() * 1000) - 3_600_000, size.events)
    scenario = Run(settings, load, tmp_path)
    try:
        yield scenario
    finally:
        scenario.close()
