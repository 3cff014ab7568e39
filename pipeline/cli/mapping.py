"""`earshot mapping`: mapping files for recorded data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import EarshotError, SettingsError

app = typer.Typer(help="Mapping files for recorded data: make one.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """A group, although it has one command so far."""


@app.command(epilog="Example:  earshot mapping new survey_may.csv")
def new(
    file: Annotated[Path, typer.Argument(help="A CSV, TSV, JSON or JSONL file, also in gzip or zip.")],
    output: Annotated[Path | None, typer.Option(help="The mapping file; - writes to stdout. Default: beside the file.")] = None,
    member: Annotated[str | None, typer.Option(help="The file inside a zip archive of several, or a glob for it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a mapping file that is there.")] = False,
) -> None:
    """Make a mapping for a file, from its first 1,000 rows.

    It recognises encoding, delimiter, header, times, ids and likely fields. Comments hold three examples of a field; a guess
    has CHECK. Read it, then try it with `earshot replay --dry-run`.

    Exit codes: 0 written, 1 the file can't be read, 2 no column holds a text, or a mapping is there already.
    """
    from pipeline.cli.terminal import one_line, write
    from pipeline.sources.recorded.mapping import mapping_beside
    from pipeline.sources.recorded.suggest.write import suggest

    target = output or mapping_beside(file)
    if str(target) != "-" and target.exists() and not force:
        raise SettingsError(f"{target} is there already: --force replaces it, --output names another")
    suggestion = suggest(file, member)
    if str(target) == "-":
        write([suggestion.text.encode()])
        return
    try:
        target.write_text(suggestion.text, encoding="utf-8")
    except OSError as error:
        raise EarshotError(f"{target}: {error.strerror}") from None
    typer.echo(f"{one_line(str(target))} is written; try it:  earshot replay --dry-run {one_line(str(file))}")
    for doubt in suggestion.doubts:
        typer.echo(f"check {one_line(doubt)}")
