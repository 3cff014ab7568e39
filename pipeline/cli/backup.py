"""`earshot backup`, `earshot restore`."""

from __future__ import annotations

from functools import partial
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
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="Leave the other tables out, also where ClickHouse could back them up.")
    ] = False,
) -> None:
    """Write what no replay rebuilds into a folder: who is who, decisions, CRM records, alerts, cases, acts, erasures.

    A file of Parquet a table, for its owner alone, and manifest.json with sums. Processes may go on meanwhile. Interactions and
    other large tables are for ClickHouse's own BACKUP: where the server has a disk named `backups`, it makes one there first;
    else nothing holds them, and the statement is printed. The folder appears when it is whole.

    Exit codes: 0 written, 1 the folder is there, the disk is full or ClickHouse broke off: nothing is left, 2 wrong usage or
    settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped by Ctrl-C.
    """
    from pipeline.cli.terminal import progress
    from pipeline.clickhouse import rotating
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.maintenance.backup import back_up

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        rotating.refuse(client, "back up")
        with on_record(settings, "back up") as act:
            there = partial(_by_the_server, client)
            with progress("bytes, about") as advance:
                manifest = back_up(client, folder, advance, (lambda name: "") if kept_only else there)
            act.after = {"tables": len(manifest.files), "rows": manifest.rows, "server": manifest.server}
    typer.echo(f"{folder}: {manifest.rows:,} rows of {len(manifest.files)} tables, backup {manifest.id}")
    _say_what_lacks(manifest, settings, kept_only)


def _by_the_server(client: Client, name: str) -> str:
    """The name, if the server has the other tables by it; blank: it has no disk for them."""
    from pipeline.cli.terminal import progress
    from pipeline.clickhouse.query import one_line
    from pipeline.maintenance.server_backup import DISK, HAS_DISK, back_up_there

    with one_line(client):
        if not int(str(client.command(HAS_DISK))):
            return ""
        with progress("bytes, by ClickHouse") as advance:
            back_up_there(client.command, client.database or "", name, advance)
    typer.echo(f"ClickHouse has the other tables in {name} on its disk {DISK}")
    return name


def _say_what_lacks(manifest: Manifest, settings: Settings, kept_only: bool) -> None:
    from pipeline.maintenance.server_backup import DISK, backup_statement

    if not manifest.server and not kept_only:
        typer.echo(
            f"interactions and the other large tables are in no backup: this ClickHouse has no disk {DISK!r} "
            f"(docs/sre.md, Backups). Where it has one:\n{backup_statement(manifest.database, f'earshot-{manifest.id}')}"
        )
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
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="Go on without ClickHouse's own RESTORE of the other tables.")
    ] = False,
) -> None:
    """Restore a backup into an empty database. Who was erased since stays erased.

    Before: stop all processes, run `earshot migrate`, then ClickHouse's own RESTORE of the other tables; without it this says
    the statement, and ends. The keys of the settings must be those of the backup, or those that followed them, and the
    migrations the same. Nothing is written before all sums are right. Until it is whole no process starts; stopped or killed,
    run it again.

    Exit codes: 0 restored, 1 the database is not empty, a process runs, a file is damaged, or it broke off, 2 wrong usage or
    settings, or another key, 3 broker or ClickHouse unreachable, 4 other migrations than the backup's, 130 stopped by Ctrl-C.
    """
    from pipeline.clickhouse import rotating
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.maintenance.backup_manifest import read_manifest
    from pipeline.maintenance.restore import check_target
    from pipeline.privacy.noted import Noted, read_notes

    settings = load_settings(context)
    manifest, notes = read_manifest(folder), erasures or settings.privacy.erasures_file
    noted = read_notes(notes) if notes else Noted({}, {}, set(), set())
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client, restores=True)
        rotating.refuse(client, "restore")
        check_target(client, (settings.privacy.hash_keys, settings.privacy.data_keys), manifest)
        _check(settings, client, (folder, manifest), kept_only)
        with on_record(settings, "restore", manifest.id) as act:
            hidden = _restored(settings, client, (folder, manifest), noted)
            act.after = {"tables": len(manifest.files), "rows": manifest.rows, "hidden": hidden}
    _say_restored(manifest, hidden, noted, notes)


def _say_restored(manifest: Manifest, hidden: int, noted: Noted, notes: Path | None) -> None:
    typer.echo(f"{manifest.rows:,} rows of {len(manifest.files)} tables, backup of {manifest.made_at[:19]} UTC")
    typer.echo(f"erased again: {hidden:,} rows and profiles; {len(noted.erasures)} erasures are noted in {notes or 'no file'}")
    if notes is None:
        typer.echo("without setting privacy.erasures_file nobody knows who was erased since the backup", err=True)


def _check(settings: Settings, client: Client, backup: tuple[Path, Manifest], kept_only: bool) -> None:
    """Raises EarshotError unless all processes are stopped, and the files are right."""
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.backup_files import check_files
    from pipeline.maintenance.backup_tables import described
    from pipeline.maintenance.members import check_stopped

    check_stopped(settings.kafka)
    if backup[1].server and not kept_only:
        _check_server_s(client, backup[1])
    columns = {name: list(table.columns) for name, table in described(client).items()}
    with progress("bytes checked") as advance:
        check_files(*backup, columns, advance)


def _check_server_s(client: Client, manifest: Manifest) -> None:
    """Raises ConflictError, with the statement, where ClickHouse's own backup is not restored yet."""
    from pipeline.clickhouse.query import one_line
    from pipeline.errors import ConflictError
    from pipeline.maintenance.server_backup import restore_statement, server_tables

    with one_line(client):
        if any(client.query(f"SELECT 1 FROM {table} LIMIT 1").result_rows for table in server_tables()):
            return
    raise ConflictError(
        "the backup has a part that ClickHouse holds, and its tables are empty: run this in ClickHouse first, or give "
        f"--kept-only: {restore_statement(manifest.database, manifest.server, client.database or '')}"
    )


def _restored(settings: Settings, client: Client, backup: tuple[Path, Manifest], noted: Noted) -> int:
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.restore import Restore
    from pipeline.maintenance.restored_erasures import erase_again, readmit_again
    from pipeline.monitoring.health import Vitals
    from pipeline.privacy.parts import erasing_of
    from pipeline.processors.privacy import Pseudonymise
    from schemas.contacts import DEFAULT

    keys = settings.privacy.hash_keys
    hashes = Pseudonymise(keys, settings.privacy.region, DEFAULT).hashes
    running = Restore(client, backup[1])
    with progress("rows") as advance:
        running.fill(backup[0], advance)
    _renew(settings, client)
    typer.echo("looking for persons who were erased, in all tables", err=True)
    hidden = erase_again(client, erasing_of(settings, client, Vitals()), noted, hashes)
    readmit_again(client, noted)
    running.end()
    return hidden


def _renew(settings: Settings, client: Client) -> None:
    """The keys may have been changed since the backup."""
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.rotation.rotate import left, put_in_force, run, works_of

    keys = (settings.privacy.hash_keys, settings.privacy.data_keys)
    put_in_force(client, keys)
    works = works_of(client, *keys)
    if any(left(works).values()):
        with progress("rows of older keys") as advance:
            rotated = run(works, advance)
        for why in rotated.why.values():
            typer.echo(f"some rows of older keys stay as they are: {why}", err=True)
