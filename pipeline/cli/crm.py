"""`earshot crm`: what a CRM knows of customers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError

if TYPE_CHECKING:
    from pipeline.sources.crm.importer import Imported

app = typer.Typer(help="Records of a CRM: import them.", no_args_is_help=True, rich_markup_mode=None)
SHOWN = 20


@app.callback()
def _group() -> None:
    """Records of a CRM: import them."""


@app.command(
    "import", epilog="Example:  earshot crm import contacts.csv --map id=ContactId --map email=Email --basis given --dry-run"
)
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or JSON, packed or not.")],
    fields: Annotated[list[str], typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds what; once a field.")],
    basis: Annotated[
        Literal["consent", "given", "public", "unknown"],
        typer.Option(help="What the data rests on: it decides what may link."),
    ],
    left_out: Annotated[Path | None, typer.Option(help="Write all rows that are left out to this file, with reasons.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the file, and write nothing.")] = False,
) -> None:
    """Import customers from a file of a CRM, as evidence of who is who.

    Fields: id (needed), name, email, phone, since (a time), accounts (platform:id, platform:@handle or links to profiles,
    several in a cell), and the name of a platform for its handles, as twitter=COLUMN. Name, address and number are stored
    encrypted, with hashes beside them.

    A row that is broken is left out with its line and reason, and the others go on. A second import changes nothing, or
    completes one that was stopped; of a record that changed the newest import counts.

    Exit codes: 0 all rows are imported, 1 rows are left out, or the file breaks off or has no record, 2 wrong usage, columns or
    settings, or another key than before, 3 broker or ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped by
    Ctrl-C.
    """
    from pipeline.cli.terminal import one_line, progress
    from pipeline.sources.crm.fields import parse_fields
    from pipeline.sources.crm.importer import Import
    from schemas.acts import DONE, STOPPED

    settings = load_settings(context)
    work = Import(settings, file, parse_fields(fields), basis, dry_run)
    with on_record(settings, "import customers", file.name, dry_run) as act, progress("customers") as advance:
        done = work.run(advance)
        act.after = {"customers": done.records, "left out": len(done.left_out), "basis": basis}
        act.outcome = STOPPED if done.interrupted else DONE
    for note in done.notes:
        typer.echo(one_line(f"{file}: {note}"), err=True)
    _report(done, left_out, dry_run)
    complete = done.records and not len(done.left_out)
    raise typer.Exit(130 if done.interrupted else 0 if complete else 1)


def _report(done: Imported, file: Path | None, dry_run: bool) -> None:
    from pipeline.cli.terminal import one_line

    for row in done.left_out.first(SHOWN):
        typer.echo(f"left out {one_line(str(row))}", err=True)
    if len(done.left_out) > SHOWN and file is None:
        typer.echo(f"and {len(done.left_out) - SHOWN:,} more (--left-out FILE has them all)", err=True)
    if file is not None:
        try:
            with file.open("w", encoding="utf-8", errors="backslashreplace") as out:
                out.writelines(f"{one_line(str(row))}\n" for row in done.left_out)
        except OSError as error:
            raise EarshotError(f"{file}: {error.strerror}") from None
    typer.echo("  ".join(f"{name} {count:,}" for name, count in done.filled.items() if count))
    if sum(done.blocked.values()):
        typer.echo("  ".join(f"{name} that names nobody {count:,}" for name, count in done.blocked.items() if count))
    typer.echo(
        f"rows {done.rows:,}  repeated {done.repeated:,}  left out {len(done.left_out):,}  "
        f"customers {done.records:,}{' would be imported' if dry_run else f' imported  evidence {done.edges:,}'}"
    )
