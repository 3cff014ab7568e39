"""An analyst's desk: statements to the embedded ClickHouse over HTTP, as `analyst`, and the client of `default` beside it."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from clickhouse_connect.driver.client import Client


class Desk(NamedTuple):
    """An analyst's: the client of `default` beside it, and a file with a secret in it."""

    client: Client
    url: str
    database: str
    file: Path

    def ask(self, statement: str, **values: str) -> tuple[int, str]:
        """The error's code, 0 without one, and the answer."""
        statement = statement.replace("{db}", self.database).replace("{file}", str(self.file))
        url = f"{self.url}/?{urlencode({'database': self.database, **values})}"
        try:
            with urllib.request.urlopen(url, statement.encode(), timeout=30) as answer:
                return 0, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return int(error.headers["X-ClickHouse-Exception-Code"]), error.read().decode()
