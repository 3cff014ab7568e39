"""`earshot identity review`, `find` and `show`: who is who, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError, SettingsError

if TYPE_CHECKING:
    import polars as pl

    from pipeline.clickhouse.query import Query
    from pipeline.config.settings import Settings
    from pipeline.identity.rules_file import Hashes
    from pipeline.processors.privacy import Pseudonymise
    from pipeline.queries.identity.between import About

MOST = 20
"""Customers that one search shows."""


def review(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Only what links nobody for this reason; else what a steward can decide.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Entries at most.")] = 20,
) -> None:
    """List edges that link nobody, the most useful first, with the commands that decide them.

    Edges of one value come together: two profiles that share a phone number are linked when both edges are accepted.

    Exit codes: 0 listed, 1 ClickHouse refused, 2 wrong usage or settings, 3 ClickHouse unreachable, 4 run `earshot migrate`
    first.
    """
    from pipeline.cli import identity_view
    from pipeline.cli.terminal import console
    from pipeline.config.document import hint
    from pipeline.queries.identity import review as queue
    from schemas.identity import REASONS

    if reason and reason not in REASONS:
        raise SettingsError(f"--reason {reason}: it is one of {', '.join(REASONS)}{hint(reason, REASONS)}")
    query, screen = query_of(load_settings(context)), console()
    for line in identity_view.entries(queue.review(query, reason, limit), queue.counts(query)):
        screen.print(line, soft_wrap=True, markup=False)


def find(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="An address, a phone number, a page, a handle, an account, a CRM id, or a key of 16 digits.")
    ],
) -> None:
    """Find a customer, with its profiles, since when and by which evidence each belongs.

    Addresses and numbers are looked for by their hashes. Times are UTC.

    Exit codes: 0 found, 1 nobody is known by it, 2 wrong usage or settings, 3 ClickHouse unreachable, 4 run `earshot migrate`
    first.
    """
    from pipeline.cli import identity_view
    from pipeline.cli.terminal import console
    from pipeline.queries.identity import customers
    from pipeline.queries.identity.find import find as meant

    settings = load_settings(context)
    query, screen = query_of(settings), console()
    found = meant(query, what, lambda column, value: privacy_of(settings).each(column, value))
    for customer in customers.customers(query, found[:MOST]):
        for line in identity_view.customer(customer):
            screen.print(line, soft_wrap=True, markup=False)
    if len(found) > MOST:
        typer.echo(f"the first {MOST} of {len(found):,} customers", err=True)


def show(
    context: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="A profile: platform:id, platform:@handle, crm:ID, or its key.")],
    b: Annotated[
        str, typer.Argument(metavar="B", help="Another one: what speaks for and against that they are one person's.")
    ] = "",
) -> None:
    """Show what is known of a profile, or what links two and what keeps them apart.

    Exit codes: 0 shown, 1 nobody is known by the name, a handle is of several profiles, or ClickHouse refused, 2 wrong usage or
    settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    from pipeline.cli import identity_view
    from pipeline.cli.terminal import console
    from pipeline.queries.identity import between
    from pipeline.queries.identity.names import parse_name, profile_key

    for name in filter(None, (a, b)):
        parse_name(name)  # before ClickHouse is asked
    query, screen = query_of(load_settings(context)), console()
    one = profile_key(query, a)
    if b:
        both = between.between(query, one, profile_key(query, b))
        _known((a, both.one), (b, both.other))
        lines = identity_view.between(both)
    else:
        shown = between.about(query, one)
        _known((a, shown))
        lines = identity_view.about(shown)
    for line in lines:
        screen.print(line, soft_wrap=True, markup=False)


def _known(*named: tuple[str, About]) -> None:
    """Raises EarshotError for the name of a profile of which nothing is known."""
    from pipeline.queries.identity.names import slip

    for name, shown in named:
        if not (shown.profile.platform or shown.edges or shown.commands):
            raise EarshotError(f"{name} is unknown: no event, no evidence and no record of a CRM names it{slip(name)}")


# --- shared with the other commands about identity --------------------------------------------------------------------
def query_of(settings: Settings) -> Query:
    """Reads ClickHouse, by the settings. Raises EarshotError with the server's reason."""
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.query import asker, settings_for

    client = clickhouse_client(settings.clickhouse)
    ask, read = asker(client), settings_for(client)
    return lambda sql: ask(sql, read)


def no_query(sql: str) -> pl.DataFrame:
    """For names that need no look-up."""
    raise AssertionError(sql)


def hashes_of(settings: Settings) -> Hashes:
    """The keyed hashes that rows have. Raises as `privacy_of`."""
    return privacy_of(settings).hashes


def privacy_of(settings: Settings) -> Pseudonymise:
    """The step. Raises SettingsError without a key, or with another one than the stored rows'."""
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.fingerprints import check
    from pipeline.embedded.privacy_keys import hash_keys
    from pipeline.processors.privacy import Pseudonymise
    from schemas.contacts import DEFAULT

    keys = hash_keys(settings)
    privacy = Pseudonymise(keys, settings.privacy.region, DEFAULT)
    with clickhouse_client(settings.clickhouse) as client:
        check(client, keys, stores=False)
    return privacy
