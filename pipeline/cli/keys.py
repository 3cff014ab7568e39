"""`earshot keys`: the keys that hash and encrypt, and how they are changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.prompts import confirm
from pipeline.errors import ConflictError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config.keys import Keys, Name
    from pipeline.config.settings import Settings
    from pipeline.maintenance.rotation.rotate import Rotated
    from pipeline.maintenance.rotation.work import Work

app = typer.Typer(help="The keys that hash and encrypt: show and change them.", no_args_is_help=True, rich_markup_mode=None)


class Which(StrEnum):
    """A key, as section [privacy] of the settings names it."""

    HASH_KEY = "hash_key"
    DATA_KEY = "data_key"


@app.command(epilog="Example:  earshot keys show")
def show(context: typer.Context) -> None:
    """Show each key's generations, since when each is in force, and how many rows are of older ones. No key is shown.

    Exit codes: 0 shown, 2 wrong settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    from pipeline.cli.terminal import console, moment, table
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.fingerprints import in_force, unlike
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.clickhouse.query import one_line
    from pipeline.maintenance.rotation.rotate import begun, left

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        keys, works = _of(settings, client)
        rows, notes = [], []
        for each in keys:
            with one_line(client):
                stored = in_force(client, each.name)
            for one in stored:
                state = "in force" if one == stored[-1] else "nothing uses it" if one.unused else "older"
                here = "yes" if one.fingerprint in each.fingerprints else "no"
                rows.append((each.name, one.number, one.fingerprint[:8], moment(one.since), state, here))
            notes += [wrong for wrong in [unlike(each, stored)] if wrong]
        older = left(works)
        if begun(client):
            notes.append("a rotation has begun and not ended: nobody is erased until it has. If it was stopped, run it again")
    console().print(table(("key", "generation", "fingerprint", "since", "", "in these settings"), rows))
    console().print(table(("table", "rows of older keys"), sorted(older.items())))
    for note in notes:
        typer.echo(note, err=True)


@app.command(epilog="Example:  earshot keys new data_key")
def new(context: typer.Context, key: Annotated[Which, typer.Argument(metavar="KEY", help="hash_key or data_key.")]) -> None:
    """Make the next key in the data folder of `earshot up`; where settings name the keys, say what to set.

    It is not in force before `earshot keys rotate`. No key is shown.

    Exit codes: 0 made or said, 1 there is one that is not in force yet, 2 wrong settings, 3 ClickHouse unreachable, 4 run
    `earshot migrate` first.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.fingerprints import following
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.embedded.privacy_keys import next_key, of_folder

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        (keys,) = (each for each in _keys(settings) if each.name == key)
        if following(client, keys):
            raise ConflictError(f"there is a {key} that is not in force yet: run `earshot keys rotate`")
    if of_folder(settings, keys.name):
        next_key(settings.embedded.data_dir, keys.name)
        typer.echo(f"the next {key} is in {settings.embedded.data_dir}: `earshot keys rotate` puts it in force")
        return
    upper = f"older_{key}s".upper()
    typer.echo(
        f"the settings name privacy.{key}. For all processes: add the key that it is now to the end of privacy.older_{key}s "
        f'(EARSHOT_PRIVACY__{upper}, as ["..."]), and set privacy.{key} to a new one, as `openssl rand -hex 32` makes. Then '
        "run `earshot keys rotate` with these settings, and restart the processes with them"
    )


@app.command(epilog="Example:  earshot keys rotate --yes")
def rotate(context: typer.Context, yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Put the next keys in force, and hash and encrypt anew what is stored of older ones.

    The settings have the new keys, and those before them (`earshot keys new`). From its start on no process starts with the
    keys of before; those that run go on, and what they write meanwhile is found when it is run again: restart them, and run it
    again. It then says which older data_key can go from the settings. Stopped or killed, run it again, too. Meanwhile nobody is
    erased or readmitted, and nothing is imported, backed up or restored.

    Exit codes: 0 all is of the newest keys, 1 rows of older ones are left, or an erasure or another rotation is under way, or
    it was not confirmed, 2 wrong usage or settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped by
    Ctrl-C.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.fingerprints import following
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.maintenance.rotation import rotate as rotation

    settings = load_settings(context)
    with clickhouse_client(settings.clickhouse, timeout_s=3600) as client:
        check_tables(client)
        keys, works = _of(settings, client)
        new_ones = {each.name: names for each in keys if (names := [name[:8] for name in following(client, each)])}
        for one in keys:
            rotation.check_next(one, len(new_ones.get(one.name, ())))
        rotation.check(client, works)
        older = sum(rotation.left(works).values())
        first = bool(new_ones) or rotation.begun(client)
        sealed = sum(work.left() for work in works if work.key == keys[1].name)
        if not yes and (new_ones or older):
            confirm(_question(new_ones, older))
        rotated = _rotated(settings, client, keys, works)
        gone = [] if first or sealed else rotation.unused(client, keys[1])
    _say(rotated, first)
    if not (first or gone or any((*rotated.rows.values(), *rotated.left.values()))):
        typer.echo("nothing was to be done: no key of these settings is new (`earshot keys new` makes one)")
    for each in gone:
        typer.echo(f"nothing uses data_key {each.fingerprint[:8]} of generation {each.number}: it can go from the settings")
    if any(rotated.left.values()) or rotated.why:
        raise typer.Exit(1)


def _keys(settings: Settings) -> Sequence[Keys]:
    from pipeline.embedded.privacy_keys import data_keys, hash_keys

    return hash_keys(settings), data_keys(settings)


def _of(settings: Settings, client: Client) -> tuple[Sequence[Keys], list[Work]]:
    from pipeline.embedded.privacy_keys import data_keys, hash_keys
    from pipeline.maintenance.rotation.rotate import works_of

    hashing, encrypting = hash_keys(settings), data_keys(settings)
    return (hashing, encrypting), works_of(client, hashing, encrypting)


def _question(new_ones: Mapping[Name, Sequence[str]], older: int) -> str:
    put = [f"{name} {', '.join(each)}" for name, each in new_ones.items()]
    force = f"Put {' and '.join(put)} in force? No process starts with the keys of before any more. " if put else ""
    return f"{force}Change {older:,} rows of older keys?"


def _rotated(settings: Settings, client: Client, keys: Sequence[Keys], works: Sequence[Work]) -> Rotated:
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.rotation.rotate import rotate

    with on_record(settings, "rotate keys") as act, progress("rows") as advance:
        rotated = rotate(client, keys, works, advance)
        act.after = {"rows": sum(rotated.rows.values()), "left": sum(rotated.left.values())}
        act.outcome = "; ".join(rotated.why.values()) or act.outcome
    return rotated


def _say(rotated: Rotated, first: bool) -> None:
    for name, rows in sorted(rotated.rows.items()):
        typer.echo(f"{name}: {rows:,} rows are of the newest keys now, {rotated.left.get(name, 0):,} are of older ones")
    for why in rotated.why.values():
        typer.echo(f"some stay as they are: {why}", err=True)
    if not rotated.why and any(rotated.left.values()):
        typer.echo("a process runs with older keys, and writes with them", err=True)
    if first or any(rotated.left.values()):
        typer.echo(
            "restart with the new settings: workers, control, customers, consoles (or `earshot up`); then run it again: it "
            "finds what they wrote until then, and says which data_key can go"
        )
