"""The dictionary customer_of: as whom the server reads it, when the password changes, how often it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.dictionary import Reloads, make_dictionary
from pipeline.clickhouse.migrations import check_tables, migrate_tables, read_migrations
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.errors import MigrationError, UnreachableError

STATEMENT = next(text for migration in read_migrations() for text in migration.statements if "DICTIONARY customer_of" in text)
CUSTOMER = "SELECT dictGet('customer_of', 'customer_key', toUInt64(7))"
NEEDS_A_LOGIN = STATEMENT.replace("{credentials}", "{credentials}USER 'nobody' ")
"""Refused unless the credentials are given: the first USER counts."""


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command("INSERT INTO assignments VALUES (7, 8, 1, 0), (7, 9, 2, 0), (6, 9, 1, 0), (6, 6, 3, 1)")
        yield client


def login(user: str, password: str) -> ClickHouseSettings:
    return ClickHouseSettings(user=user, password=SecretStr(password))


def test_it_has_the_newest_customers_once_it_is_loaded(client: Client) -> None:
    client.command("SYSTEM RELOAD DICTIONARY customer_of")
    assert client.command(CUSTOMER) == 9
    assert client.command("SELECT count() FROM dictionary('customer_of')") == 1


def test_the_settings_user_reads_it_where_the_servers_own_may_not(client: Client) -> None:
    make_dictionary(client, NEEDS_A_LOGIN, login("default", ""))
    assert client.command(CUSTOMER) == 9


@pytest.mark.parametrize("password", ["s3cret", "s3cr'et\\", "s3cret\n' QUERY 'SELECT 1"])
def test_a_refused_login_is_said_without_its_password(client: Client, password: str) -> None:
    with pytest.raises(MigrationError, match=r"^dictionary customer_of, whose rows user o'hara reads: .*failed") as error:
        make_dictionary(client, NEEDS_A_LOGIN, login("o'hara", password))
    assert "s3cr" not in str(error.value)
    shown = client.command("SHOW CREATE DICTIONARY customer_of")
    assert "o\\\\\\'hara" in str(shown) and "s3cr" not in str(shown)


def test_a_password_that_changed_makes_it_again(client: Client, settings: Settings) -> None:
    assert migrate_tables(client)[0].startswith("ClickHouse: up to date")
    old = STATEMENT.replace("{credentials}", "USER 'default' PASSWORD 'of yesterday' ")
    client.command(old.replace("{database}", str(client.database)))
    with pytest.raises(ClickHouseError, match="Authentication failed"):
        client.command(CUSTOMER)
    assert migrate_tables(client, login=settings.clickhouse) == ["ClickHouse: made dictionary customer_of again"]
    assert client.command(CUSTOMER) == 9
    client.command("DROP DICTIONARY customer_of", settings={"check_table_dependencies": 0})
    with pytest.raises(UnreachableError, match="table customer_of is missing"):
        check_tables(client)


def test_it_is_loaded_after_changes_and_a_fifth_of_the_time_at_most(client: Client) -> None:
    now = [0.0]
    took = [2.0]

    class Slow:
        """The client, by whose clock a load takes a while."""

        def command(self, statement: str) -> object:
            now[0] += took[0]
            return client.command(statement)

    reloads = Reloads(Slow(), lambda: now[0])  # type: ignore[arg-type]
    assert not reloads.reload()
    reloads.changed()
    assert reloads.reload() and client.command(CUSTOMER) == 9
    client.command("INSERT INTO assignments VALUES (7, 5, 4, 0)")
    reloads.changed()
    now[0] += 7.9
    assert not reloads.reload() and client.command(CUSTOMER) == 9
    now[0] += 0.1
    assert reloads.reload() and client.command(CUSTOMER) == 5
    assert not reloads.reload()

    client.command("DROP DICTIONARY customer_of", settings={"check_table_dependencies": 0})
    reloads.changed()
    now[0] += 20
    with pytest.raises(ClickHouseError):
        reloads.reload()
    assert not reloads.reload()
    now[0] += 8
    with pytest.raises(ClickHouseError):
        reloads.reload()


def test_what_was_not_loaded_is_loaded_later_whatever_broke() -> None:
    class Broken:
        """A client whose connection breaks."""

        def command(self, statement: str) -> object:
            raise ConnectionResetError(statement)

    reloads = Reloads(Broken(), lambda: 0.0)  # type: ignore[arg-type]
    reloads.changed()
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            reloads.reload()
