"""Connections to ClickHouse and Kafka, each checked at once, with one clear line when it can't be had."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.pins import pin
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import UnreachableError, reason

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


def _path(path: object) -> str | None:
    return str(path) if path else None
