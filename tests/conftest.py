"""What all tests share: the real broker and the real engine, started once, and settings of its own for each test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "2")  # before anything imports polars, here and in child processes

import pytest
from confluent_kafka.admin import AdminClient

from pipeline.connections import clickhouse_client
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.errors import StackError
from pipeline.settings import (
    EmbeddedSettings,
    KafkaSettings,
    PrivacySettings,
    SentimentSettings,
    Settings,
    WorkerSettings,
)
from tests.commands import run, stacked  # noqa: F401  # fixtures

ROOT = Path(__file__).parent.parent
PARTITIONS = 8


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
    """Settings for the stack with topics, group and database that no other test sees; nothing is migrated yet, and there is no
    model: a test that wants labels says so."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    settings = Settings(
        kafka=KafkaSettings(bootstrap=stack.bootstrap, topic_prefix=name, group=name, partitions=PARTITIONS),
        clickhouse=stack.clickhouse.model_copy(update={"database": name}),
        worker=WorkerSettings(health_port=free_port()),
        privacy=PrivacySettings(hash_key="the key of the tests"),
        embedded=EmbeddedSettings(data_dir=tmp_path / "data"),
        sentiment=SentimentSettings(model="off"),
    )
    admin = settings.clickhouse.model_copy(update={"database": "default"})
    with clickhouse_client(admin) as client:
        client.command(f"CREATE DATABASE {name}")
    yield settings
    with clickhouse_client(admin) as client:
        client.command(f"DROP DATABASE {name}")
    _delete_topics(stack.bootstrap, name)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded data: EARSHOT_DATA, default ../shared/data beside the repository."""
    folder = Path(os.environ.get("EARSHOT_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder} (EARSHOT_DATA)")
    return folder


def _delete_topics(bootstrap: str, prefix: str) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    topics = [name for name in client.list_topics(timeout=10).topics if name.startswith(f"{prefix}.")]
    if topics:
        for future in client.delete_topics(topics).values():
            future.exception(timeout=10)
