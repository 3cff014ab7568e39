"""`earshot person erase`, `readmit`, `receipts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.prompts import confirm
from pipeline.errors import EarshotError, UnknownName

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.privacy.erase import Erasing
    from pipeline.privacy.person import Person
    from schemas.acts import Act
    from schemas.erasures import Erasure

FORMS = "platform:id, platform:@handle, crm:ID or a key of 16 digits"
Customer = Annotated[str | None, typer.Option(help=f"The customer, with all its accounts, by one of them: {FORMS}.")]
Account = Annotated[str | None, typer.Option(help="One account alone, named the same way.")]
Only = Annotated[bool, typer.Option("--only", help="With --account: leave the customer's other accounts out.")]
Why = Annotated[str, typer.Option(help="A reason; it is recorded, so it names nobody.")]


def erase(
    context: typer.Context,
    customer: Customer = None,
    account: Account = None,
    only: Only = False,
    why: Why = "",
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Erase a person: nothing of them lands any more, and no query finds what did.

    Accounts, addresses and numbers are suppressed, also when the person comes back, until `earshot person readmit`. What is
    stored is hidden within seconds; control removes it from the files within a day or so. What others wrote stays, and topics
    hold records until their time is over. The receipt says all of it, and names nobody.

    Stopped or killed, it is ended by control. A second time it erases what has come since.

    Exit codes: 0 erased, 1 nobody is known by the name, or several are, or it was not confirmed, or a part of it waits (control
    goes on with it), 2 wrong usage or settings, 3 broker or ClickHouse unreachable: nothing was begun, 4 run `earshot migrate`
    first.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.monitoring.health import Vitals
    from pipeline.privacy import page
    from pipeline.privacy.parts import erasing_of

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        person = _find(client, customer, account, only)
        erasing = erasing_of(settings, client, Vitals())
        typer.echo("\n".join(page.accounts(person)))
        if not yes:
            confirm("Erase this person? It can't be undone.")
        with on_record(settings, "erase person") as act:
            erasure, failed = _erased(erasing, person, why, act)
    _say(erasure)
    if failed:
        raise EarshotError(f"erasure {erasure.id:016x} is not whole; control goes on with it: {'; '.join(failed)}")


def readmit(
    context: typer.Context,
    account: Annotated[str, typer.Option(help=f"An account of the person: {FORMS}.")],
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
        erasures = _erasures(client, account)
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


def receipts(context: typer.Context) -> None:
    """List the erasures: who asked for each, when and why, how much it hid, and what is still to be done. Times are UTC.

    Exit codes: 0 listed, 2 wrong settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
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
            rows = [
                (
                    f"{each.id:016x}", moment(each.asked_at), each.by, each.why, each.events, sum(each.rows.values()),
                    moment(each.hidden_at) or f"waits: {', '.join(each.waits)}", moment(each.purged_at),
                )
                for each in kept(client)
            ]  # fmt: skip
    columns = ("erasure", "asked", "by", "why", "events", "rows", "hidden", "off the disk")
    console().print(table(columns, rows))


def _erased(erasing: Erasing, person: Person, why: str, act: Act) -> tuple[Erasure, list[str]]:
    """The receipt, and why parts of it wait; the act names nobody either."""
    from schemas.erasures import Keys

    act.comment = why
    erasure = erasing.begin(Keys(person.keys, person.hashes, handles=person.handles), act.actor, why)
    act.subject = f"{erasure.id:016x}"
    failed = erasing.finish(erasure)
    act.after = {"events": erasure.events, "rows": sum(erasure.rows.values()), "waits": list(erasure.waits)}
    act.outcome = "; ".join(failed) or act.outcome
    return erasure, failed


def _find(client: Client, customer: str | None, account: str | None, only: bool) -> Person:
    """Raises as `find`; the line of one of whom nothing is known says whether the name was erased before."""
    from pipeline.privacy.subject import find

    try:
        return find(client, customer=customer, account=account, only=only)
    except UnknownName as error:
        if erased := _erasures(client, customer or account or ""):
            listed = ", ".join(f"{each:016x}" for each in erased)
            raise UnknownName(f"{customer or account} was erased ({listed}), and nothing has come since") from None
        raise error


def _erasures(client: Client, name: str) -> list[int]:
    from pipeline.privacy.erase import erasures_of
    from pipeline.privacy.subject import reader
    from pipeline.queries.identity.names import profile_key

    return erasures_of(client, [profile_key(reader(client), name)])


def _say(erasure: Erasure) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.privacy import page

    counted = _counted(erasure.accounts, erasure.addresses)
    typer.echo(f"erasure {erasure.id:016x}: {counted} are suppressed, {erasure.events:,} events are erased")
    console().print(table(("table", "rows hidden"), sorted(erasure.rows.items())))
    if erasure.topics:
        typer.echo(page.until(erasure.topics))
    typer.echo("what others wrote stays, and backups hold what they held")


def _counted(accounts: int, addresses: int) -> str:
    return f"{accounts} keys of accounts, {addresses} addresses and numbers"
