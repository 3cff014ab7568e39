"""The client of ClickHouse: it connects at once, and raises one clear line if it can't."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.pins import pin
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import UnreachableError, reason


def clickhouse_client(clickhouse: ClickHouseSettings, timeout_s: int = 300) -> Client:
    """A client of ClickHouse's HTTP interface, after a first answer; threads may share it (it has no session).

    All clients are made here, so that every request carries the settings that Earshot needs (clickhouse/pins.py).

    Raises UnreachableError with the URL if nothing answers, the login is refused, or the server is not ClickHouse.
    """
    for driver in ("clickhouse_connect", "urllib3"):  # they log each failed request, which we raise as well
        logging.getLogger(driver).setLevel(logging.ERROR)
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
    except Exception as error:  # another server's answer may break anything in the driver
        known = isinstance(error, (ClickHouseError, OSError))
        why = reason(error) if known else f"its answer is not ClickHouse's ({type(error).__name__})"
        raise UnreachableError(f"ClickHouse at {clickhouse.url}, user {clickhouse.user}: {why}") from None


def _path(path: object) -> str | None:
    return str(path) if path else None
