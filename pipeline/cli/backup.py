"""`earshot backup`, `earshot restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config.settings import Settings
    from pipeline.maintenance.backup_manifest import Manifest
    from pipeline.privacy.noted import Noted


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
) -> None:
    """Write what no replay rebuilds into a folder: who is who, decisions, CRM records, alerts, cases, acts, erasures.

    A file of Parquet a table, for its owner alone, and manifest.json with sums. Processes may go on meanwhile. Interactions and
    other large tables are for ClickHouse's own BACKUP, whose statement is printed. The folder appears when it is whole.

    Exit codes: 0 written, 1 the folder is there, the disk is full or ClickHouse broke off: nothing is left, 2 wrong usage or
    settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped by Ctrl-C.
    """
    from pipeline.cli.terminal import progress
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.maintenance.backup import back_up, statement

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        with on_record(settings, "back up") as act, progress("tables") as advance:
            manifest = back_up(client, folder, advance)
            act.after = {"tables": len(manifest.files), "rows": manifest.rows}
    typer.echo(f"{folder}: {manifest.rows:,} rows of {len(manifest.files)} tables, backup {manifest.id}")
    typer.echo(f"the other tables, by ClickHouse itself:\n{statement(manifest.database)}")
    if settings.privacy.erasures_file is None:
        typer.echo(
            "setting privacy.erasures_file is missing: who is erased from now on comes back with a restore of this backup",
            err=True,
        )


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `earshot backup` wrote.")],
    erasures: Annotated[
        Path | None, typer.Option(help="Notes of erasures since the backup. Default: setting privacy.erasures_file.")
    ] = None,
) -> None:
    """Restore a backup into an empty database. Who was erased since stays erased.

    Before: stop all processes, run `earshot migrate`, then ClickHouse's own RESTORE of the other tables. The keys of the
    settings must be those of the backup, and the migrations the same. Nothing is written before all sums are right. Until it is
    whole no process starts; stopped or killed, run it again.

    Exit codes: 0 restored, 1 the database is not empty, a file is damaged, or it broke off, 2 wrong usage or settings, or
    another key, 3 broker or ClickHouse unreachable, 4 other migrations than the backup's, 130 stopped by Ctrl-C.
    """
    from pipeline.cli.terminal import progress
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.maintenance.backup_manifest import check_files, read_manifest
    from pipeline.maintenance.restore import check_target
    from pipeline.privacy.noted import Noted, read_notes

    settings = load_settings(context)
    manifest, notes = read_manifest(folder), erasures or settings.privacy.erasures_file
    noted = read_notes(notes) if notes else Noted({}, {}, set(), set())
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client, restores=True)
        check_target(client, (settings.privacy.hash_keys, settings.privacy.data_keys), manifest)
        with progress("bytes checked") as advance:
            check_files(folder, manifest, advance)
        with on_record(settings, "restore", manifest.id) as act:
            hidden = _restored(settings, client, (folder, manifest), noted)
            act.after = {"tables": len(manifest.files), "rows": manifest.rows, "hidden": hidden}
    typer.echo(f"{manifest.rows:,} rows of {len(manifest.files)} tables, backup of {manifest.made_at[:19]} UTC")
    typer.echo(f"erased again: {hidden:,} rows and profiles; {len(noted.erasures)} erasures are noted in {notes or 'no file'}")
    if notes is None:
        typer.echo("without setting privacy.erasures_file nobody knows who was erased since the backup", err=True)


def _restored(settings: Settings, client: Client, backup: tuple[Path, Manifest], noted: Noted) -> int:
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.restore import end, fill
    from pipeline.maintenance.restored_erasures import erase_again, readmit_again
    from pipeline.monitoring.health import Vitals
    from pipeline.privacy.parts import erasing_of
    from pipeline.processors.privacy import Pseudonymise
    from schemas.contacts import DEFAULT

    keys = settings.privacy.hash_keys
    hashes = Pseudonymise(keys, settings.privacy.region, DEFAULT).hashes
    with progress("rows") as advance:
        fill(client, *backup, advance)
    hidden = erase_again(client, erasing_of(settings, client, Vitals()), noted, hashes)
    end(client)
    readmit_again(client, noted)
    return hidden
