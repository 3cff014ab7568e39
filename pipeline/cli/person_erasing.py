"""`earshot person erase`, `readmit`, `receipts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.person_topics import Topics, delete_records, said_after, said_before
from pipeline.cli.prompts import confirm
from pipeline.errors import EarshotError, UnknownName
from schemas.erasures import Erasure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clickhouse_connect.driver.client import Client

    from pipeline.config.settings import Settings
    from pipeline.identity.rules_file import Hashes
    from pipeline.privacy.person import Person

FORMS = "platform:id, platform:@handle, crm:ID or a key of 16 digits"
Customer = Annotated[
    str | None,
    typer.Option(
        help=f"The customer, with all its accounts, by one of them: {FORMS}; or by an e-mail address or phone number."
    ),
]
Account = Annotated[str | None, typer.Option(help="One account alone, named the same way.")]
Only = Annotated[bool, typer.Option("--only", help="With --account: leave the customer's other accounts out.")]
Shared = Annotated[
    bool, typer.Option("--shared", help="Also rows without an author by addresses and numbers that others have, too.")
]
Why = Annotated[str, typer.Option(help="A reason; it is recorded, so it names nobody.")]


def erase(
    context: typer.Context,
    customer: Customer = None,
    account: Account = None,
    only: Only = False,
    shared: Shared = False,
    why: Why = "",
    topics: Annotated[
        Topics | None, typer.Option(help="delete: of topics, delete all records that have been read, of everybody.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Erase a person: nothing of them lands any more, and no query finds what did.

    Accounts, addresses and numbers are suppressed, also when the person comes back, until `earshot person readmit`. What is
    stored is hidden within seconds; control removes it from the files within a day or so. What others wrote stays, and topics
    hold records until their time is over, or, with --topics delete, until the command ends: it says before how many records of
    everybody go. The receipt says all of it, and names nobody.

    Stopped or killed, it is ended by control, but for --topics: run it again. A second time it erases what has come since.

    Exit codes: 0 erased, 1 nobody is known by the name, or several are, or nothing has come since an erase, or it was not
    confirmed, or a part of it waits (control goes on with it), 2 wrong usage or settings, 3 broker or ClickHouse unreachable:
    nothing was begun, 4 run `earshot migrate` first.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        whom = _whom(settings, client, customer, account, only, shared)
        if isinstance(whom, Erasure):
            erasure, failed = _again(settings, whom, customer or account or "", topics, yes), list[str]()
        else:
            erasure, failed = _erase(settings, client, whom, why, topics, yes)
        if topics is not None:
            typer.echo("\n".join(said_after(delete_records(settings, client, erasure))))
    if failed:
        raise EarshotError(f"erasure {erasure.id:016x} is not whole; control goes on with it: {'; '.join(failed)}")


def readmit(
    context: typer.Context,
    account: Annotated[str, typer.Option(help=f"An account of the person: {FORMS}; or their address or number.")],
    why: Why = "",
) -> None:
    """Let events of a person who was erased land again: of all accounts, addresses and numbers that were erased together.

    What was erased stays erased, also when a topic is replayed, and so does what came meanwhile.

    Exit codes: 0 readmitted, 1 nobody was erased by the name, or it names several, 2 wrong usage or settings, 3 ClickHouse
    unreachable, 4 run `earshot migrate` first.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.inserter import Inserter
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.fence import OpenFence
    from pipeline.monitoring.health import Vitals
    from pipeline.privacy.erase import readmit as lift
    from pipeline.privacy.noted import Notes

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        erasures = _erasures(settings, client, account)
        if not erasures:
            raise UnknownName(f"{account}: nothing of it is suppressed")
        with on_record(settings, "readmit person", ", ".join(f"{each:016x}" for each in erasures)) as act:
            act.comment = why
            Notes(settings.privacy.erasures_file).readmission(erasures)
            lifted = lift(client, Inserter(client, OpenFence(), Vitals(), "readmit"), erasures)
            act.after = {"accounts": len(lifted.accounts), "addresses": len(lifted.values)}
    typer.echo(
        f"{_counted(len(lifted.accounts), len(lifted.values))} are not suppressed any more: what comes from now on lands"
    )


def receipts(
    context: typer.Context, erasure: Annotated[str, typer.Argument(metavar="[ID]", help="One of them, in full.")] = ""
) -> None:
    """List the erasures: who asked for each, when and why, how much it hid, and what is still to be done. Times are UTC.

    With an id: also how many rows of each table, and until when topics may hold records.

    Exit codes: 0 listed, 1 there is none of this id, 2 wrong settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    from pipeline.cli.terminal import console, moment, table
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.clickhouse.query import one_line
    from pipeline.sinks.erasures import receipts as kept

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        with one_line(client):
            found = [each for each in kept(client) if erasure in ("", f"{each.id:016x}")]
            if erasure and not found:
                raise UnknownName(f"{erasure}: there is no such erasure")
            rows = [
                (
                    f"{each.id:016x}", moment(each.asked_at), each.by, each.why, each.events, sum(each.rows.values()),
                    moment(each.hidden_at) or f"waits: {', '.join(each.waits)}", moment(each.purged_at),
                )
                for each in found
            ]  # fmt: skip
    columns = ("erasure", "asked", "by", "why", "events", "rows", "hidden", "off the disk")
    console().print(table(columns, rows))
    if erasure:
        _say(found[0])


def _erase(
    settings: Settings, client: Client, person: Person, why: str, topics: Topics | None, yes: bool
) -> tuple[Erasure, list[str]]:
    """The receipt, and why parts of it wait; what is on record names nobody either."""
    from pipeline.monitoring.health import Vitals
    from pipeline.privacy import page
    from pipeline.privacy.parts import erasing_of
    from schemas.erasures import Keys

    erasing = erasing_of(settings, client, Vitals())
    about = [*page.accounts(person), *(said_before(settings) if topics else ())]
    _confirmed(about, "Erase this person, and delete these records?" if topics else "Erase this person?", yes)
    with on_record(settings, "erase person") as act:
        act.comment = why
        erasure = erasing.begin(Keys(person.keys, person.hashes, handles=person.handles), act.actor, why)
        act.subject = f"{erasure.id:016x}"
        failed = erasing.finish(erasure)
        act.after = {"events": erasure.events, "rows": sum(erasure.rows.values()), "waits": list(erasure.waits)}
        act.outcome = "; ".join(failed) or act.outcome
    _say(erasure, topics is None)
    return erasure, failed


def _confirmed(about: Iterable[str], question: str, yes: bool) -> None:
    typer.echo("\n".join(about))
    if not yes:
        confirm(f"{question} It can't be undone.")


def _whom(
    settings: Settings, client: Client, customer: str | None, account: str | None, only: bool, shared: bool
) -> Person | Erasure:
    """The person, or the newest receipt of one who is erased already, of whom nothing has come since. Raises as `find`."""
    from pipeline.privacy.already import erased_already, receipts_of
    from pipeline.privacy.subject import find

    try:
        person = find(client, customer=customer, account=account, only=only, shared=shared, hashes=hashed_by(settings))
    except UnknownName:
        if erased := receipts_of(client, _erasures(settings, client, customer or account or "")):
            return erased[-1]
        raise
    erased = erased_already(client, person)
    return erased[-1] if erased else person


def _again(settings: Settings, erasure: Erasure, name: str, topics: Topics | None, yes: bool) -> Erasure:
    """Nothing but topics is left. Raises UnknownName unless they are asked for."""
    from pipeline.privacy import page

    line = f"{name} is erased already, and nothing has come since: {page.named(erasure)}"
    if topics is None:
        raise UnknownName(line)
    _confirmed([line, *said_before(settings)], "Delete these records?", yes)
    return erasure


def hashed_by(settings: Settings) -> Hashes:
    """Looked up when it is needed: most names are no address."""
    from pipeline.cli.identity_read import hashes_of

    return lambda column, values: hashes_of(settings)(column, values)


def _erasures(settings: Settings, client: Client, name: str) -> list[int]:
    from pipeline.privacy.contact import contact
    from pipeline.privacy.erase import erasures_of
    from pipeline.privacy.subject import reader
    from pipeline.queries.identity.names import profile_key

    if its := contact(reader(client), name, hashed_by(settings)):
        return erasures_of(client, (), its.hashes)
    return erasures_of(client, [profile_key(reader(client), name)])


def _say(erasure: Erasure, topics: bool = True) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.privacy import page

    counted = _counted(erasure.accounts, erasure.addresses)
    typer.echo(f"erasure {erasure.id:016x}: {counted} are suppressed, {erasure.events:,} events are erased")
    console().print(table(("table", "rows hidden"), sorted(erasure.rows.items())))
    if erasure.topics and topics:
        typer.echo(page.until(erasure.topics))
    typer.echo("what others wrote stays, and backups hold what they held")


def _counted(accounts: int, addresses: int) -> str:
    return f"{accounts} keys of accounts, {addresses} addresses and numbers"
