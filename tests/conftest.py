"""What all tests share: a home of their own, the real broker and the real engine, started once, and settings for each test."""
# ruff: noqa: E402  # what is imported below reads the environment

from __future__ import annotations

import contextlib
import gc
import logging
import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

from tests.support.isolation import OwnHome

os.environ.setdefault("POLARS_MAX_THREADS", "2")  # before anything imports polars, here and in child processes
HOME = OwnHome()
HOME.enter()

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.console import ConsoleSettings
from pipeline.config.settings import (
    ClickHouseSettings,
    EmbeddedSettings,
    KafkaSettings,
    PrivacySettings,
    SentimentSettings,
    Settings,
    WorkerSettings,
)
from pipeline.embedded import child
from pipeline.embedded.child import free_port
from pipeline.embedded.password import password_of
from pipeline.embedded.stack import Stack
from pipeline.errors import StackError
from tests.support.commands import run, stacked  # noqa: F401  # fixtures
from tests.support.letters import DATA_KEY
from tests.support.tables import own_database

PARTITIONS = 8
LONGEST = (
    "deploy/test_prometheus", "console/test_story", "integration/test_alerts_public", "integration/test_control",
    "faults/test_restarts", "faults/test_control_killed", "faults/test_labels", "faults/", "cli/test_up",
    "console/test_hostile", "integration/test_rollups", "identity/test_graph", "integration/",
    "processors/sentiment/test_accuracy", "generate/test_targets", "sinks/",
)  # fmt: skip
"""The files that take longest, in the order in which they begin."""
FILLED = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND total_rows > 0 AND name != 'schema_migrations'"""


def pytest_configure(config: pytest.Config) -> None:
    if own := getattr(config, "workerinput", None):  # of several processes each has ports of its own
        child.PORTS = child.PORTS[int(own["workerid"].removeprefix("gw")) :: own["workercount"]]


def pytest_unconfigure() -> None:
    HOME.leave()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and thousands of tests are made here and kept to the end: to look among them for garbage, now or between the
    tests, costs a third of the time that it takes to collect them, in each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks `stack` what needs the session's stack. A test that starts servers of its own has the mark by hand."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker("stack")
    if hasattr(config, "workerinput"):  # of several processes none shall have the longest files at the end
        items.sort(key=_rank)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name no test: those of an archive hold the time, and each process would collect another name."""
    return argname if isinstance(val, bytes) else None


def _rank(item: pytest.Item) -> int:
    path = item.nodeid.removeprefix("tests/")
    return next((rank for rank, long in enumerate(LONGEST) if path.startswith(long)), len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests run in an empty folder: an earshot.toml where pytest was started is not theirs."""
    with contextlib.chdir(tmp_path_factory.mktemp("folder")):
        yield


@pytest.fixture(autouse=True)
def no_error_is_swallowed(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in which an error is logged, unless its mark `logs_errors` says that it expects one."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    if errors and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail(f"logged, and not expected: {[record.getMessage() for record in errors]}", pytrace=False)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka when it can be had, else the light broker; and ClickHouse. A test that kills a child restarts it."""
    embedded = EmbeddedSettings(data_dir=tmp_path_factory.mktemp("stack"), broker="auto", kafka_port=0, clickhouse_port=0)
    stack = Stack(embedded, print)
    try:
        stack.start()
    except StackError as error:
        pytest.skip(f"no embedded stack: {error}")
    yield stack
    stack.stop()


@pytest.fixture
def kafka(stack: Stack) -> Stack:
    """The stack, for a test that needs a broker that remembers."""
    if stack.broker_kind != "kafka":
        pytest.skip("the light broker is in use (Kafka's jars can't be had): it forgets")
    return stack


@pytest.fixture
def settings(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    """Settings for the stack with topics, group and database that no other test sees: the tables are there, the topics are not
    yet. There is no model: a test that wants labels says so."""
    with own_database(stack.clickhouse) as database:
        yield from own_settings(stack, tmp_path, database)


@pytest.fixture
def bare(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    """As `settings`, without tables, which cost half a second of a core: for tests of what makes them, or needs none."""
    with own_database(stack.clickhouse, tables=False) as database:
        yield from own_settings(stack, tmp_path, database)


@pytest.fixture(scope="module")
def module_database(stack: Stack) -> Iterator[ClickHouseSettings]:
    """A database with Earshot's tables."""
    with own_database(stack.clickhouse) as database:
        yield database


@pytest.fixture
def emptied(stack: Stack, tmp_path: Path, module_database: ClickHouseSettings) -> Iterator[Settings]:
    """As `settings`, over the tables of the module, which are empty: for tests that change rows and not tables.

    To empty the tables takes less time than to make them.
    """
    yield from own_settings(stack, tmp_path, module_database)
    with clickhouse_client(module_database) as client:
        for (table,) in client.query(FILLED).result_rows:
            client.command(f"TRUNCATE TABLE {table} SYNC")


def own_settings(stack: Stack, folder: Path, database: ClickHouseSettings) -> Iterator[Settings]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield Settings(
        kafka=KafkaSettings(bootstrap=stack.bootstrap, topic_prefix=name, group=name, partitions=PARTITIONS),
        clickhouse=database,
        console=ConsoleSettings(clickhouse_password=password_of(stack.data_dir, "console")),
        worker=WorkerSettings(health_port=free_port()),
        privacy=PrivacySettings(hash_key="the key of the tests", data_key=DATA_KEY),
        embedded=EmbeddedSettings(data_dir=folder / "data"),
        sentiment=SentimentSettings(model="off"),
    )
    _delete_topics(stack.bootstrap, name)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded data: EARSHOT_DATA, default ../shared/data beside the repository."""
    folder = Path(os.environ["EARSHOT_DATA"])
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder} (EARSHOT_DATA)")
    return folder


def _delete_topics(bootstrap: str, prefix: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topics = [name for name in client.list_topics(timeout=10).topics if name.startswith(f"{prefix}.")]
    if topics:
        for future in client.delete_topics(topics).values():
            future.exception(timeout=10)
