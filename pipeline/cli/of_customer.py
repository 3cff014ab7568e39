"""`earshot query customer` and `timeline`: the queries that are about one customer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import typer

from pipeline.cli.options import Format, load_settings, time_of
from pipeline.errors import SettingsError, UnknownName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SHOWN_EVENTS = 200


def answer(context: typer.Context, name: str, form: Format, whom: str | None, as_of: str | None, limit: int | None) -> None:
    """Answers the query of this name about whom the option names. Raises SettingsError, UnknownName, EarshotError."""
    if whom is None:
        raise SettingsError(f"{name} needs --customer: a key, platform:id or platform:@handle")
    moment, settings = time_of("--as-of", as_of), load_settings(context)
    from pipeline.cli.identity_read import query_of
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.queries.identity.names import profile_key, slip

    ask = _customer if name == "customer" else _timeline
    profile = profile_key(query_of(settings), whom)
    try:
        ask(clickhouse_client(settings.clickhouse), form, profile, moment, limit)
    except UnknownName as error:
        raise UnknownName(f"{whom}: {error}{slip(whom)}") from None


def _customer(client: Client, form: Format, profile: int, as_of: datetime | None, limit: int | None) -> None:
    from pipeline.cli import customer as screen
    from pipeline.queries.customer import SHOWN_THREADS, customer

    shown = {Format.table: screen.show, Format.json: screen.write_json}
    if form not in shown:
        raise SettingsError(f"query customer has no --format {form}: json has all of it")
    shown[form](customer(client, profile, limit or SHOWN_THREADS, as_of))


def _timeline(client: Client, form: Format, profile: int, as_of: datetime | None, limit: int | None) -> None:
    from pipeline.cli import timeline as screen
    from pipeline.queries.timeline import timeline

    shown = {Format.table: screen.show, Format.json: screen.write_json, Format.csv: screen.write_csv}
    if form not in shown:
        raise SettingsError(f"query timeline has no --format {form}")
    shown[form](timeline(client, profile, limit or SHOWN_EVENTS, as_of))
