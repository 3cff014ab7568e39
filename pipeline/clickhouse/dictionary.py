"""Dictionaries, which are tables in ClickHouse's memory; above all customer_of: profile -> customer, from table assignments.

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

_MAKES = "CREATE OR REPLACE DICTIONARY "


def makes_dictionary(statement: str) -> bool:
    """Whether this statement of a migration makes a dictionary: it has a place for credentials."""
    return statement.startswith(_MAKES)


def reload_sql(name: str) -> str:
    """The statement that loads the dictionary of this name anew."""
    return f"SYSTEM RELOAD DICTIONARY {name}"


def make_dictionary(client: Client, statement: str, login: ClickHouseSettings) -> None:
    """Makes it, again if it is there, and loads it.

    Raises MigrationError with the server's reason, without the password.
    """
    secret, text, name = login.password.get_secret_value(), "", _name(statement)
    statement = statement.replace("{database}", _database(client))
    for credentials in ("", f"USER {quoted(login.user)} PASSWORD {quoted(secret)} "):
        try:
            client.command(statement.replace("{credentials}", credentials))
            client.command(reload_sql(name))
            return
        except ClickHouseError as error:
            text = reason(error)
    for shown in filter(None, (quoted(secret)[1:-1], secret)):
        text = text.replace(shown, "***")
    raise MigrationError(f"dictionary {name}, whose rows user {login.user} reads: {text}")


def renew_dictionary(client: Client, statement: str, login: ClickHouseSettings) -> list[str]:
    """Loads it; makes it again if that fails, since the password has changed. Raises as `make_dictionary`."""
    try:
        client.command(reload_sql(_name(statement)))
        return []
    except ClickHouseError:
        make_dictionary(client, statement, login)
        return [f"ClickHouse: made dictionary {_name(statement)} again"]


def _name(statement: str) -> str:
    return statement.removeprefix(_MAKES).split(None, 1)[0]


def _database(client: Client) -> str:
    """The database's name as it stands inside a quoted statement."""
    name = str(client.database).replace("\\", "\\\\").replace("`", "\\`")
    return quoted(f"`{name}`")[1:-1]


class Reloads:
    """Loads dictionary customer_of after changes: for a fifth of the time at most. Not thread-safe."""

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
            self._client.command(reload_sql("customer_of"))
        except (ClickHouseError, OSError):
            self._changed = True
            raise
        finally:
            ended = self._clock()
            self._next_at = ended + (ended - started) * (1 / self.SHARE - 1)
        return True
