"""`earshot person`: what there is of a person, shown and taken along. What is erased: person_erasing.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import person_erasing
from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.person_erasing import Account, Customer, Only, Shared, hashed_by
from pipeline.errors import EarshotError, UnreachableError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config.settings import Settings
    from pipeline.privacy.held import Held
    from pipeline.privacy.opened import Opened
    from pipeline.privacy.person import Person
    from pipeline.privacy.place import Sets

app = typer.Typer(
    help="What there is of a person: show it, take it along, erase it.", no_args_is_help=True, rich_markup_mode=None
)
app.command(epilog="Example:  earshot person erase --customer twitter:@ines --why 'letter of 2026-11-30'")(person_erasing.erase)
app.command(epilog="Example:  earshot person readmit --account twitter:@ines")(person_erasing.readmit)
app.command(epilog="Example:  earshot person receipts")(person_erasing.receipts)


@app.command(epilog="Example:  earshot person show --customer twitter:@ines")
def show(
    context: typer.Context, customer: Customer = None, account: Account = None, only: Only = False, shared: Shared = False
) -> None:
    """Show what is stored of a person: per table how many rows, from when to when, how long, and how they go.

    It says until when topics may hold it, what of others names the person, and which addresses and handles are others', too.
    Nothing of what the person said is shown. Of one who is erased, and of whom keys stay, it names the receipt. Times are UTC.

    Exit codes: 0 shown, 1 nobody is known by the name, or several are, 2 wrong usage or settings, 3 ClickHouse unreachable, 4
    run `earshot migrate` first.
    """
    from pipeline.cli.terminal import console, moment, table
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.privacy.register import HOW, how_long

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        person, _, places, _ = _found(settings, client, customer, account, only, shared)
        about = list(_about(settings, client, person, places))
    rows = [
        (each.place.name, each.rows, moment(each.first), moment(each.last), how_long(each.place), HOW[each.place.erase])
        for each in places
        if each.rows
    ]
    typer.echo("\n".join(about))
    console().print(table(("table", "rows", "first", "last", "how long", "how it goes"), rows))


@app.command(epilog="Example:  earshot person export ines --customer twitter:@ines")
def export(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    customer: Customer = None,
    account: Account = None,
    only: Only = False,
    shared: Shared = False,
) -> None:
    """Write all that is stored of a person into a folder: a file of JSON a table, and a page of text.

    It holds the person's rows alone. What a CRM knows, and dead letters, are in clear, by setting privacy.data_key. Colleagues'
    names are left out, and what they said of several persons; so are topics. The folder appears when it is whole. The export
    is on record, by the customer's key.

    Exit codes: 0 written, 1 nobody is known by the name, or several are, or the disk is full, 2 wrong usage or settings, 3
    ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped by Ctrl-C.
    """
    from pipeline.cli.terminal import progress
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.privacy import export as files
    from pipeline.privacy import page
    from pipeline.privacy.held import total
    from schemas.times import utc_now

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        person, sets, places, opened = _found(settings, client, customer, account, only, shared)
        head = page.head(utc_now(), list(_about(settings, client, person, places)), places)
        done, problem, rows = 0, None, total(places)
        with on_record(settings, "export person", f"{person.customer:016x}") as act, progress("rows") as advance:
            try:
                done = files.export(client, sets, places, head, folder, opened, lambda number: advance(number, rows))
                act.after = {"rows": done}
            except EarshotError as error:  # a folder may be named after the person: the record names nobody
                problem, act.outcome = error, "nothing was exported"
    if problem:
        raise problem
    if not opened.has_key and any(each.place.encrypted for each in places):
        typer.echo("setting privacy.data_key is missing: what is encrypted is left out", err=True)
    typer.echo(f"{folder}: {done:,} rows of {len([each for each in places if each.rows])} tables")


def _found(
    settings: Settings, client: Client, customer: str | None, account: str | None, only: bool, shared: bool
) -> tuple[Person, Sets, list[Held], Opened]:
    from pipeline.cli.identity_read import hashes_of
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.embedded.privacy_keys import data_keys, hash_keys
    from pipeline.privacy.held import held
    from pipeline.privacy.letters import letters_of
    from pipeline.privacy.opened import Opened
    from pipeline.privacy.subject import events_of, find, reader, sets_of
    from schemas.erasures import Keys

    check_tables(client)  # also: no restore is under way, which brings back who was erased since
    person = find(client, customer=customer, account=account, only=only, shared=shared, hashes=hashed_by(settings))
    sets, deciphering = sets_of(client, person), data_keys(settings)
    keys = Keys(person.keys, person.hashes, events_of(reader(client), person), person.handles)
    hashes = hashes_of(settings) if hash_keys(settings) else None
    opened = Opened(deciphering, lambda: letters_of(client, keys, hashes, deciphering))
    return person, sets, opened.counted(held(client, sets)), opened


def _about(settings: Settings, client: Client, person: Person, places: list[Held]) -> Iterator[str]:
    """The lines that both commands say."""
    from pipeline.privacy import page
    from pipeline.privacy.already import erased_already
    from pipeline.privacy.topic_times import held_until

    yield from page.accounts(person)
    if erased := erased_already(client, person):
        yield page.erased(erased[-1])
    if line := page.others(places):
        yield line
    try:
        yield page.until(held_until(settings.kafka))
    except UnreachableError as error:
        yield f"until when topics may hold records of the person is not known: {error}"
