"""Kafka with SASL and TLS: each client logs in, and says in one line why it is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from pipeline.config.settings import ClickHouseSettings, KafkaSettings, PrivacySettings, SentimentSettings, Settings
from pipeline.errors import StackError
from pipeline.kafka.batches import last_offset
from pipeline.migrate import migrate
from tests.support.commands import Run
from tests.support.control import Rules, Webhook, controlled, event, on_record, send, start_control
from tests.support.customers_process import start_customers
from tests.support.letters import DATA_KEY
from tests.support.secure_broker import EXPIRED, MUTUAL, PASSWORD, SecureBroker, secure_broker
from tests.support.worker import Worker, wait_for

WRONG = "the password of somebody else"
RULE = {"name": "crisis", "type": "keyword", "words": {"en": ["recalled"]}}
REFUSALS = {
    "password": "SASL authentication error: Authentication failed: Invalid username or password",
    "ca": "the broker's certificate is refused: unable to get local issuer certificate; is its CA in kafka.ssl_ca?",
    "expired": "the broker's certificate is refused: certificate has expired",
    "certificate": "alert certificate required",
}
COMMANDS = {
    "migrate": ("migrate",),
    "send": ("send", "--text", "hello"),
    "tail": ("alerts", "tail"),
    "status": ("status",),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    try:
        with secure_broker(tmp_path_factory.mktemp("secure")) as broker:
            yield broker
    except StackError as error:
        pytest.skip(f"no Kafka: {error}")


@pytest.fixture(scope="module")
def base(
    broker: SecureBroker, module_database: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings for the stack's ClickHouse and the secure broker, with tables, topics and a rule."""
    settings = Settings(
        kafka=named(broker.login()),
        clickhouse=module_database,
        privacy=PrivacySettings(hash_key=SecretStr("the key of the tests"), data_key=SecretStr(DATA_KEY)),
        sentiment=SentimentSettings(model="off"),
    )
    migrate(settings)
    hook = Webhook()
    yield controlled(settings, Rules(tmp_path_factory.mktemp("rules") / "alerts.yaml", hook, [RULE]).path)
    hook.stop()


def named(kafka: KafkaSettings) -> KafkaSettings:
    """With topics and a group that no other test sees."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    return kafka.model_copy(update={"topic_prefix": name, "group": name, "partitions": 2})


def reached(settings: Settings, kafka: KafkaSettings) -> Settings:
    """The same topics and group, by the listener and the credentials of `kafka`."""
    names = {name: getattr(settings.kafka, name) for name in ("topic_prefix", "group", "partitions")}
    return settings.model_copy(update={"kafka": kafka.model_copy(update=names)})


@contextmanager
def environment(settings: Settings) -> Iterator[None]:
    """For commands and processes: these settings of Kafka and ClickHouse."""
    sections = {
        "KAFKA": settings.kafka.model_dump(exclude_defaults=True),
        "CLICKHOUSE": settings.clickhouse.model_dump(exclude_defaults=True),
    }
    with pytest.MonkeyPatch.context() as patch:
        for section, values in sections.items():
            for name, value in values.items():
                plain = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                patch.setenv(f"EARSHOT_{section}__{name.upper()}", plain)
        patch.setenv("EARSHOT_PRIVACY__HASH_KEY", settings.privacy.hash_key.get_secret_value())
        patch.setenv("EARSHOT_PRIVACY__DATA_KEY", settings.privacy.data_key.get_secret_value())
        patch.setenv("EARSHOT_SENTIMENT__MODEL", settings.sentiment.model)
        yield


def refused(broker: SecureBroker, fault: str) -> KafkaSettings:
    """Settings with one fault."""
    files = broker.certificates
    return {
        "password": lambda: broker.login(password=WRONG),
        "ca": lambda: broker.login().model_copy(update={"ssl_ca": files.other_ca}),
        "expired": lambda: broker.login(EXPIRED),
        "certificate": lambda: broker.mutual().model_copy(update={"ssl_certificate": None, "ssl_key": None}),
    }[fault]()


def accepted(broker: SecureBroker) -> dict[str, KafkaSettings]:
    """Settings that are right, by the kind of the credentials."""
    mechanisms = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    return {name: broker.login(mechanism=name) for name in mechanisms} | {"certificate": broker.mutual()}


@pytest.fixture(scope="module")
def refusing(broker: SecureBroker, base: Settings) -> Iterator[list[tuple[str, subprocess.Popen[str]]]]:
    """A worker and a control for each fault; they start while other tests wait for answers."""
    started = []
    with ExitStack() as stack:
        for fault in ("password", "ca", "expired"):
            with environment(reached(base, refused(broker, fault))):
                for name in ("worker", "control"):
                    command = [sys.executable, "-m", "pipeline.cli", name]
                    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    stack.callback(process.communicate)
                    stack.callback(process.kill)
                    started.append((fault, process))
        yield started


# --- refused ----------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize(("fault", "command"), [*product(("password", "ca", "expired"), COMMANDS), ("certificate", "migrate")])
def test_a_command_says_in_one_line_why_kafka_refuses_it(
    broker: SecureBroker, base: Settings, run: Run, fault: str, command: str
) -> None:
    settings = reached(base, refused(broker, fault))
    with environment(settings):
        done = run(*COMMANDS[command])
    lines = [line for line in done.err.splitlines() if "Kafka" in line]
    assert len(lines) == 1 and "Traceback" not in done.err
    assert f"Kafka at {settings.kafka.bootstrap}: " in lines[0] and REFUSALS[fault] in lines[0]
    assert done.code == (1 if command == "status" else 3)
    assert WRONG not in done.err + done.out and PASSWORD not in done.err + done.out


def test_a_process_says_in_one_line_why_it_does_not_start(refusing: list[tuple[str, subprocess.Popen[str]]]) -> None:
    for fault, process in refusing:
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 3, said
        assert said.count("\n") == 1 and REFUSALS[fault] in said
        assert WRONG not in said and PASSWORD not in said


def test_a_file_that_cannot_be_read_is_named(broker: SecureBroker, base: Settings, run: Run) -> None:
    missing = broker.certificates.ca.with_name("missing.pem")
    with environment(reached(base, broker.mutual().model_copy(update={"ssl_key": missing}))):
        done = run("migrate")
    assert done.code == 3
    assert done.err == f"earshot: Kafka at {broker.bootstrap(MUTUAL)}: {missing}: No such file or directory\n"


# --- accepted ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "certificate"])
def test_librdkafka_and_aiokafka_show_the_same_credentials(broker: SecureBroker, base: Settings, run: Run, kind: str) -> None:
    settings = reached(base, accepted(broker)[kind])
    with environment(settings):
        assert run("migrate").out.endswith("Kafka: up to date\n")
        done = run("send", "--text", f"sent with {kind}")
    assert done.code == 0
    topic, _, partition, _, offset = done.out.split()
    last = last_offset(settings.kafka.client(), topic, int(partition), int(offset))
    assert last == int(offset)


class Processes(NamedTuple):
    """A worker and a customers process that log in with a password, and a control that shows a certificate."""

    settings: Settings
    worker: Worker
    control: Worker
    customers: Worker
    logs: Path


@pytest.fixture(scope="module")
def processes(broker: SecureBroker, base: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        with environment(at := reached(base, broker.login())):
            worker = Worker(at, logs / "worker.log", command=("-m", "pipeline.cli", "worker"))
            stack.callback(worker.close)
            customers = start_customers(at, logs / "customers.log")
            stack.callback(customers.close)
        with environment(at := reached(base, broker.mutual())):
            control = start_control(at, logs / "control.log")
        stack.callback(control.close)
        for process in (worker, control, customers):
            process.wait_ready()
        yield Processes(base, worker, control, customers, logs)


def says(process: Worker, why: str) -> bool:
    return why in process.ask("/ready")[1]


def raised(settings: Settings, brand: str) -> bool:
    return bool(on_record(settings, f"rule = 'crisis' AND brand = '{brand}'"))


def test_an_event_becomes_an_alert(
    broker: SecureBroker, processes: Processes, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = reached(processes.settings, broker.login(mechanism="SCRAM-SHA-512"))
    monkeypatch.setenv("EARSHOT_WORKER__HEALTH_PORT", str(processes.worker.port))
    monkeypatch.setenv("EARSHOT_CONTROL__PORT", str(processes.control.port))
    monkeypatch.setenv("EARSHOT_CUSTOMERS__PORT", str(processes.customers.port))
    with environment(settings):
        send(settings, [event("1", "Acme", "it is recalled")])
        command = [sys.executable, "-m", "pipeline.cli", "alerts", "tail", "--since", "1h", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
            assert tail.stdout is not None
            alert = json.loads(tail.stdout.readline())
            tail.send_signal(signal.SIGINT)
        assert (alert["rule"], alert["brand"]) == ("crisis", "Acme")
        assert tail.returncode == 130
        done = run("status")
    assert done.code == 0, done.err
    assert raised(settings, "Acme")


def test_running_processes_say_why_kafka_refuses_them_and_go_on_when_it_does_not(
    broker: SecureBroker, processes: Processes
) -> None:
    broker.password = WRONG
    broker.certificates.server(MUTUAL, expired=True)
    broker.restart()
    wait_for("/ready of the worker says why", partial(says, processes.worker, "Invalid username or password"))
    wait_for("/ready of control says why", partial(says, processes.control, "certificate verify failed"))
    wait_for("/ready of customers says why", partial(says, processes.customers, "Invalid username or password"))

    broker.password = PASSWORD
    broker.certificates.server(MUTUAL)
    broker.restart()
    send(reached(processes.settings, broker.login()), [event("2", "Globex", "it is recalled")])
    wait_for("the alert", lambda: raised(processes.settings, "Globex"))
    for process in (processes.worker, processes.control, processes.customers):
        process.wait_ready()
        assert process.stop() == 0
    for log in processes.logs.iterdir():
        said = log.read_text()
        assert PASSWORD not in said and "Traceback" not in said and said.count("\n") < 40
