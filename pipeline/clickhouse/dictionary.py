"""The dictionary customer_of: profile -> customer, from table assignments, in ClickHouse's memory.

The server reads its rows as a user: as its own user `default` where that one needs no password, as in the embedded engine; else
as the user of the settings, whose password it then keeps (and shows nobody). Nothing loads the rows anew by itself.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.row_versions import quoted
from pipeline.clock import Clock
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import MigrationError, reason

RELOAD = "SYSTEM RELOAD DICTIONARY customer_of"
_MAKES = "CREATE OR REPLACE DICTIONARY customer_of "


def makes_dictionary(statement: str) -> bool:
    """Whether this statement of a migration makes the dictionary: it has a place for credentials."""
    return statement.startswith(_MAKES)


def make_dictionary(client: Client, statement: str, login: ClickHouseSettings) -> None:
    """Makes it, again if it is there, and loads it.

    Raises MigrationError with the server's reason, without the password.
    """
    secret, text = login.password.get_secret_value(), ""
    statement = statement.replace("{database}", _database(client))
    for credentials in ("", f"USER {quoted(login.user)} PASSWORD {quoted(secret)} "):
        try:
            client.command(statement.replace("{credentials}", credentials))
            client.command(RELOAD)
            return
        except ClickHouseError as error:
            text = reason(error)
    for shown in filter(None, (quoted(secret)[1:-1], secret)):
        text = text.replace(shown, "***")
    raise MigrationError(f"dictionary customer_of, whose rows user {login.user} reads: {text}")


def renew_dictionary(client: Client, statement: str, login: ClickHouseSettings) -> list[str]:
    """Loads it; makes it again if that fails, since the password has changed. Raises as `make_dictionary`."""
    try:
        client.command(RELOAD)
        return []
    except ClickHouseError:
        make_dictionary(client, statement, login)
        return ["ClickHouse: made dictionary customer_of again"]


def _database(client: Client) -> str:
    """The database's name as it stands inside a quoted statement."""
    name = str(client.database).replace("\\", "\\\\").replace("`", "\\`")
    return quoted(f"`{name}`")[1:-1]


class Reloads:
    """Loads the dictionary after changes: for a fifth of the time at most. Not thread-safe."""

    SHARE = 0.2

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._changed, self._next_at = False, 0.0

    def changed(self) -> None:
        """Table assignments has changed."""
        self._changed = True

    def due(self) -> bool:
        """Whether `reload` would load it now."""
        return self._changed and self._clock() >= self._next_at

    def reload(self) -> bool:
        """Loads it if that is due; whether it did. Raises ClickHouseError or OSError, and tries again after the same pause."""
        if not self.due():
            return False
        started = self._clock()
        self._changed = False
        try:
            self._client.command(RELOAD)
        except (ClickHouseError, OSError):
            self._changed = True
            raise
        finally:
            ended = self._clock()
            self._next_at = ended + (ended - started) * (1 / self.SHARE - 1)
        return True
