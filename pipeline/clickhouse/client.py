"""Connections to ClickHouse and Kafka, each checked at once, with one clear line when it can't be had."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.clickhouse.pins import pin
from pipeline.config.settings import ClickHouseSettings, KafkaSettings
from pipeline.errors import UnreachableError

# Each failed request is raised as well, and said in one line by whoever asked.
logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)


def clickhouse_client(clickhouse: ClickHouseSettings, timeout_s: int = 300) -> Client:
    """A client of ClickHouse's HTTP interface, after a first answer; threads may share it (it has no session).

    It is the only one there is: what it asks carries the settings that Earshot needs (pipeline/clickhouse/pins.py).

    Raises UnreachableError with the URL when there is no answer, the login is refused, or it is no ClickHouse.
    """
    url = urlsplit(clickhouse.url)
    secure = url.scheme == "https"
    try:
        client = clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or (443 if secure else 80),
            interface=url.scheme,
            proxy_path=url.path.rstrip("/"),
            username=clickhouse.user,
            password=clickhouse.password.get_secret_value(),
            database=clickhouse.database,
            ca_cert=_path(clickhouse.ca),
            client_cert=_path(clickhouse.certificate),
            client_cert_key=_path(clickhouse.key),
            autogenerate_session_id=False,
            query_retries=0,
            connect_timeout=5,
            send_receive_timeout=timeout_s,
            client_name="earshot",
        )
        pin(client)
        return client
    except Exception as error:  # whatever a stranger's answer breaks in the driver
        known = isinstance(error, (ClickHouseError, OSError))
        why = reason(error) if known else f"its answer is not ClickHouse's ({type(error).__name__})"
        raise UnreachableError(f"ClickHouse at {clickhouse.url}, user {clickhouse.user}: {why}") from None


def reason(error: BaseException) -> str:
    """The one line of a driver's error that a person needs: the system's word for it, else the server's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        if isinstance(cause, TimeoutError):
            return "no answer in time"
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    text = str(error).split(" (for url ")[0].split("DB::Exception: ")[-1].split(" (version ")[0]
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def _path(path: object) -> str | None:
    return str(path) if path else None


def kafka_admin(kafka: KafkaSettings, errors: list[KafkaError] | None = None) -> AdminClient:
    """An admin client that writes nothing to stderr; what goes wrong in the background is appended to `errors`.

    Raises UnreachableError when librdkafka refuses the settings, as for a certificate that can't be read.
    """
    errors = [] if errors is None else errors
    try:
        config: dict[str, Any] = {**kafka.client(), "log_level": 0, "error_cb": errors.append}
        return AdminClient(config)
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {kafka_reason(error)}") from None


def check_kafka(kafka: KafkaSettings, timeout: float = 5.0) -> dict[str, int]:
    """The cluster's topics, each with its number of partitions.

    Raises UnreachableError with the address when there is no answer within `timeout` seconds or the login is refused; after one
    second already when each broker refuses.
    """
    errors: list[KafkaError] = []
    admin = kafka_admin(kafka, errors)
    for patience in (1.0, timeout - 1.0):
        try:
            topics = admin.list_topics(timeout=patience).topics
            return {name: len(topic.partitions) for name, topic in topics.items()}
        except KafkaException as error:
            admin.poll(0)  # delivers what the background threads noticed
            why = kafka_reason(error)
            if any(e.code() == KafkaError._ALL_BROKERS_DOWN for e in errors):
                break
    told = [e.str() for e in errors if e.code() != KafkaError._ALL_BROKERS_DOWN]
    raise UnreachableError(f"Kafka at {kafka.bootstrap}: {(told or [why])[-1].split(' (after ')[0]}") from None


def kafka_reason(error: KafkaException) -> str:
    """The text of a Kafka error, on one line."""
    first = error.args[0] if error.args else error
    return " ".join((first.str() if isinstance(first, KafkaError) else str(first)).split())
