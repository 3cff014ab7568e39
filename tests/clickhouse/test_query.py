"""The helpers of queries: conditions from filters, and one line for an error."""

from __future__ import annotations

from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.clickhouse.query import conditions, one_line
from pipeline.errors import EarshotError, MigrationError


class Server:
    uri = "http://here:8123"


CLIENT = cast(Client, cast(Any, Server()))
FAILURE = DatabaseError("Code: 60. DB::Exception: Unknown table\nmore (version 26.4)")


def test_a_filter_becomes_the_conditions_whose_values_are_set() -> None:
    given: dict[str, tuple[str, object]] = {
        "brand": ("brand = {brand:String}", "Acme"),
        "rule": ("rule = {rule:String}", None),
        "first": ("offset >= {first:Int64}", 0),
    }
    assert conditions(given) == ("brand = {brand:String} AND offset >= {first:Int64}", {"brand": "Acme", "first": 0})
    assert conditions({}) == conditions({"rule": given["rule"]}) == ("1", {})


def test_an_error_of_the_server_is_one_line_with_the_advice() -> None:
    with pytest.raises(EarshotError) as raised, one_line(CLIENT, "run it again"):
        raise FAILURE
    assert str(raised.value) == "ClickHouse at http://here:8123: Unknown table; run it again"


def test_the_line_can_name_the_request_and_be_another_error() -> None:
    with pytest.raises(MigrationError) as raised, one_line(CLIENT, error=MigrationError, what="migration 001, statement 2"):
        raise FAILURE
    assert str(raised.value) == "migration 001, statement 2: Unknown table"


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="ours"), one_line(CLIENT):
        raise ValueError("ours")
