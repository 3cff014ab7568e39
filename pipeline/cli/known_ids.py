"""What `earshot replay` says before it sends: events of the file that are stored under another created_at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.config.settings import Settings
from pipeline.errors import UnreachableError
from schemas.times import rfc3339

if TYPE_CHECKING:
    from pipeline.sources.recorded.open_files import How


def show_known(settings: Settings, files: Sequence[Path], mapping: How, *, as_now: bool, listed: bool) -> None:
    """Prints how many; `listed`: and which, with their times. Says so where they can't be compared: without ClickHouse, and of
    a pipe, which can be read once only."""
    from pipeline.cli.terminal import printable, progress_bars
    from pipeline.sources.recorded.known_ids import known_ids

    if not all(file.is_file() for file in files):
        return
    try:
        with progress_bars(look=True) as bars:
            found = known_ids(settings.clickhouse, files, mapping, as_now, bars)
    except UnreachableError as error:
        typer.echo(f"not compared with stored events: {printable(error)}", err=True)
        return
    among = f"of the first {found.creates:,} creates" if found.cut else f"of {found.creates:,} creates"
    if found.other or listed:
        typer.echo(f"{found.other:,} {among} are stored under another created_at, which stays")
    if not listed:
        return
    for each in found.listed:
        at = "now" if each.created_at is None else rfc3339(each.created_at, short=True)
        typer.echo(f"{printable(each.key)}: {at}, stored: {rfc3339(each.stored, short=True)}")
    if found.other > len(found.listed):
        typer.echo(f"and {found.other - len(found.listed):,} more")
