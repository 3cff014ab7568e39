"""The embedded stack's processes: what they keep, what they refuse, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import MAX_MESSAGE_BYTES, EmbeddedSettings
from pipeline.embedded import broker
from pipeline.embedded import stack as stack_module
from pipeline.embedded.broker import broker_answers
from pipeline.embedded.stack import Stack
from pipeline.embedded.supervisor import Supervisor
from pipeline.errors import StackError

pytestmark = pytest.mark.stack


def light(folder: Path, kafka_port: int = 0) -> EmbeddedSettings:
    return EmbeddedSettings(data_dir=folder, broker="light", kafka_port=kafka_port, clickhouse_port=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own with the light broker, for tests that need no more."""
    with Stack(light(tmp_path_factory.mktemp("small"))) as stack:
        yield stack


def wait_until(met: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline, "not met in time"
        time.sleep(0.05)


def test_what_kafka_acknowledged_outlives_sigkill(kafka: Stack) -> None:
    topic = f"kill.{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    acknowledged: list[bytes] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        acknowledged.append(message.value() or b"")

    settings: dict[str, str | int | float] = {"bootstrap.servers": kafka.bootstrap, "log_level": 0}
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "log_level": 0,
            "enable.idempotence": True,
            "message.max.bytes": MAX_MESSAGE_BYTES,
        }
    )
    values = [b"%d" % n for n in range(2000)] + [bytes(11 << 20)]
    for value in values:
        producer.produce(topic, value, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert acknowledged == values
    kafka.kill("kafka")
    kafka.restart("kafka")
    consumer = Consumer(settings | {"group.id": topic, "fetch.message.max.bytes": MAX_MESSAGE_BYTES})
    consumer.assign([TopicPartition(topic, 0, 0)])
    read: list[bytes] = []

    def read_all() -> bool:
        read.extend(message.value() or b"" for message in consumer.consume(500, 1) if not message.error())
        return len(read) >= len(values)

    wait_until(read_all)
    consumer.close()
    assert read == values
    admin.delete_topics([topic])[topic].result(30)


def test_a_paused_broker_comes_back(small: Stack) -> None:
    answers = broker_answers(small.bootstrap)
    with small.paused("kafka"):
        assert not answers()
    wait_until(answers)


def test_a_child_keeps_its_port(small: Stack) -> None:
    before, url = small.pid("clickhouse"), small.clickhouse_url
    small.restart("clickhouse")
    assert small.clickhouse_url == url
    assert small.pid("clickhouse") != before


def test_a_second_start_on_a_folder_is_refused(small: Stack) -> None:
    with pytest.raises(StackError, match=r"^.*small.* is in use by another `earshot up`") as caught:
        Stack(light(small.data_dir)).start()
    assert "\n" not in str(caught.value)
    assert small.children["kafka"].alive


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"^port {port} is taken: the broker can't listen there.*embedded\.kafka_port"):
            Stack(light(tmp_path / "data", kafka_port=port)).start()
    with Stack(light(tmp_path / "data", kafka_port=port)) as stack:  # the refused start left no lock
        assert stack.kafka_port == port


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(StackError, match=rf"^the disk of {tmp_path} is full: \d+ MB are free"):
        Stack(light(tmp_path)).start()


@pytest.mark.parametrize("name", ["with space & = % ü", "what?"])
def test_odd_names_of_folders_work_or_are_refused(tmp_path: Path, name: str) -> None:
    stack = Stack(light(tmp_path / name))
    if "?" in name:
        with pytest.raises(StackError, match="takes .* for a pattern"):
            stack.start()
        return
    with stack, clickhouse_client(stack.clickhouse) as client:
        client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
        stack.restart("clickhouse")
        assert client.command("SELECT count() FROM t") == 0


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        from pipeline.embedded.stack import Stack
        from pipeline.config.settings import EmbeddedSettings
        stack = Stack(EmbeddedSettings(data_dir=Path({str(tmp_path)!r}), broker="light", kafka_port=0, clickhouse_port=0))
        stack.start()
        print(*(child.pid for child in stack.children.values()), flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2 and all(map(psutil.pid_exists, pids))
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: not any(map(_runs, pids)))
    with Stack(light(tmp_path)):
        pass  # and the folder is free again


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_supervisor_starts_a_dead_child_again(small: Stack) -> None:
    said: list[str] = []
    supervisor = Supervisor([small.children["clickhouse"]], said.append)
    supervisor.start()
    try:
        before = small.pid("clickhouse")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: small.pid("clickhouse") != before)
        small.children["clickhouse"].wait_ready()
    finally:
        supervisor.stop()
    assert len(said) == 1
    assert said[0].startswith("clickhouse died (signal SIGKILL; ")
    assert said[0].endswith("starting it again in 1 s")


def test_jars_that_are_not_the_locked_ones_are_refused(kafka: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME is in use, no jars")
    first, *others = broker.LOCK.read_text().splitlines()
    wrong = tmp_path / "jars.lock"
    wrong.write_text("\n".join([f"{'0' * 64}  {first.split()[1]}", *others]))
    monkeypatch.setattr(broker, "LOCK", wrong)
    with pytest.raises(StackError, match=r"its SHA-256 is not the one in jars\.lock"):
        Stack(EmbeddedSettings(data_dir=tmp_path / "data", broker="auto", kafka_port=0, clickhouse_port=0)).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is moved by XDG_CACHE_HOME")
def test_without_maven_central_auto_takes_the_light_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"XDG_CACHE_HOME": tmp_path / "cache", "M2_REPO": tmp_path / "m2"}.items():
        monkeypatch.setenv(name, str(value))
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said: list[str] = []
    with Stack(
        EmbeddedSettings(data_dir=tmp_path / "data", broker="auto", kafka_port=0, clickhouse_port=0), said.append
    ) as stack:
        assert stack.broker_kind == "light"
    assert any("can't be fetched from Maven Central" in line and "using the light broker" in line for line in said)
    with pytest.raises(StackError, match="can't be fetched from Maven Central"):
        Stack(EmbeddedSettings(data_dir=tmp_path / "data", broker="kafka", kafka_port=0, clickhouse_port=0)).start()


def test_a_stack_started_from_a_thread_outlives_it(tmp_path: Path) -> None:
    stack = Stack(light(tmp_path))
    thread = threading.Thread(target=stack.start)
    thread.start()
    thread.join()
    try:
        assert all(child.alive for child in stack.children.values())
    finally:
        stack.stop()
