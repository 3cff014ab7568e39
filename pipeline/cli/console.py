"""`earshot console`: the pages in a browser, links to log in by, and people with passwords."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.options import load_settings
from pipeline.cli.prompts import password
from pipeline.errors import SettingsError

app = typer.Typer(rich_markup_mode=None)
user = typer.Typer(help="People who log in to the console with a password.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(user, name="user")


@app.callback(invoke_without_command=True, epilog="Example:  earshot --config production.toml console")
def console(context: typer.Context) -> None:
    """Show what happens now and why, in a browser, until Ctrl-C or SIGTERM.

    It serves on console.host and console.port of the settings: on this machine alone, unless it has a certificate, or a proxy
    with TLS.

    Exit codes: 0 stopped, 1 an error that a restart repairs, 2 wrong settings or users.yaml, 3 broker or ClickHouse
    unreachable, 4 run `earshot migrate` first, 5 its port is taken.
    """
    if context.invoked_subcommand is None:
        from pipeline.console.app import run_console

        run_console(load_settings(context))


@app.command(epilog="Example:  earshot console login")
def login(context: typer.Context) -> None:
    """Print a link that logs you in once, within ten minutes, as admin.

    Who may read the settings, and with them write to ClickHouse, may do this.

    Exit codes: 0 done, 2 wrong settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings = load_settings(context)
    if not settings.console.port and not settings.console.public_url:
        raise SettingsError("setting console.port is 0: only the console's log says where it is")
    from pipeline.console.one_time import login_url

    typer.echo(login_url(settings))


@app.command(epilog="Example:  earshot console free ines")
def free(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The name, as the login page says that it is taken.")]
) -> None:
    """Let another account of the login provider have this name.

    A name is of the account that came with it first: after a change of the provider, or where a colleague has the name of
    somebody who left, free it. It is on record; sessions that there are go on.

    Exit codes: 0 done, 1 it is nobody's, 2 wrong settings, 3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings = load_settings(context)
    from pipeline.cli.on_record import on_record
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.migrations import check_tables
    from pipeline.console.oidc.names import free as let_go
    from pipeline.console.session_table import SessionTable

    client = clickhouse_client(settings.clickhouse, timeout_s=10)
    check_tables(client)
    with on_record(settings, "free a name", name) as act:
        freed = let_go(SessionTable(lambda: client), name)
        act.outcome = "done" if freed else "it is nobody's"
    typer.echo(f"{name}: who comes next from the provider with this name has it" if freed else f"{name} is nobody's")
    if not freed:
        raise typer.Exit(1)


@user.command(epilog="Example:  earshot console user add ines --role ops --role analyst")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Letters, digits, . _ @ and -.")],
    role: Annotated[list[str], typer.Option(metavar="ROLE", help="viewer, ops, analyst, steward, sre, admin; several: again.")],
) -> None:
    """Write a person into users.yaml: a name, roles, and the hash of a password that it asks for twice.

    A person who is there gets these roles and this password instead, and is logged out. Where no terminal is, the password is
    the first line of standard input. The file is setting console.users.

    Exit codes: 0 done, 1 stopped at the password, 2 wrong settings, users.yaml, name, role or password.
    """
    settings = load_settings(context)
    path = settings.console.users
    if path is None:
        raise SettingsError('setting console.users names no file, as console.users = "users.yaml" (EARSHOT_CONSOLE__USERS)')
    from pipeline.console.user_file import add_user

    there = add_user(path, name, role, password)
    typer.echo(f"{path}: {name} is {', '.join(role)}" + ("; the old line is replaced" if there else ""))
