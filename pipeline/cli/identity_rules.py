"""`earshot identity dry-run` and `apply`: rules of identity.yaml, tried and put in force."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.identity_read import hashes_of, query_of
from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError, SettingsError

File = Annotated[Path, typer.Argument(help="identity.yaml.")]
TIMEOUT_S = 300.0
"""New rules change all customers at once: 1,000,000 edges take some seconds."""


def dry_run(
    context: typer.Context,
    file: File,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Merges and splits that are shown.")] = 20,
) -> None:
    """Show what rules would merge and split, the largest first. Nothing is changed.

    Exit codes: 0 shown, 1 ClickHouse refused, 2 wrong usage, settings or file, 3 ClickHouse unreachable, 4 run `earshot
    migrate` first.
    """
    from pipeline.cli import identity_view
    from pipeline.cli.terminal import console
    from pipeline.identity.rules_file import load_rules
    from pipeline.queries.identity import dry_run as trial

    rules, settings = load_rules(file), load_settings(context)
    shown, screen = trial.dry_run(query_of(settings), rules, hashes_of(settings), limit), console()
    for line in identity_view.dry_run(shown):
        screen.print(line, soft_wrap=True, markup=False)


def apply(context: typer.Context, file: File) -> None:
    """Put rules in force, on record. Hashes leave this machine, no address or number.

    Exit codes: 0 in force, 1 refused, 2 wrong usage, settings or file (recorded as refused), or the token is refused (setting
    customers.token), 3 customers unreachable.
    """
    from pipeline.api.client import ask
    from pipeline.identity.rules_file import load_rules, without_values

    settings = load_settings(context)
    try:
        rules = load_rules(file)
    except SettingsError as error:
        with suppress(EarshotError):  # it is refused and on record, or can't be recorded: the problem is the same
            ask(settings, "customers", "POST", "/rules", {"broken": without_values(str(error))})
        raise
    body = {"rules": rules.kept(hashes_of(settings)).model_dump(mode="json", exclude_defaults=True)}
    done = ask(settings, "customers", "POST", "/rules", body, TIMEOUT_S)
    if done["same"]:
        typer.echo(f"nothing changes: these rules say what version {done['version']}, which is in force, says")
    else:
        typer.echo(f"version {done['version']} is in force: {done['moved']:,} profiles have another customer")
