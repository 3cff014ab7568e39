"""`earshot source add`: asks what a new source needs, tries it, and writes it into sources.yaml."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError, SettingsError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.listen.adding import Added
    from pipeline.listen.sources_file import AnySource

HERE = Path("sources.yaml")


def add(
    context: typer.Context,
    platform: Annotated[str, typer.Option(help="As rss; it is asked for if it is not named.")] = "",
    name: Annotated[str, typer.Option(help="Of the source; one of its own.")] = "",
    untried: Annotated[
        bool, typer.Option("--untried", help="Write it without a request, as where its credential is not.")
    ] = False,
) -> None:
    """Add a source to sources.yaml: it asks what the platform needs, tries it, and writes it behind the others.

    Keys of the platform (docs/sources.md) are options, too: --url https://blog.example.com --every 5m; a list is a,b. Where
    --platform is named, nothing is asked. A credential is never written: name its variable (--token_env) or its file
    (--token_file). One that is pasted, where it is asked for, goes into a file that only you may read, in folder secrets
    beside sources.yaml.

    It writes the file of setting sources, or sources.yaml in this folder.

    Exit codes: 0 written, 1 it does not answer (the reason is printed, nothing is written), 2 wrong settings, sources.yaml,
    platform or key, 130 stopped by Ctrl-C.
    """
    settings = load_settings(context)
    from pipeline.listen.adding import added, check_place, write

    path = settings.sources or HERE
    given = _options(context.args) | ({"name": name} if name else {})
    check_place(path)
    try_it = _no_trial if untried else partial(show_trial, settings.model_copy(update={"sources": path}))
    if platform:
        new = added(path, {"name": name, "platform": platform, **given})
        try_it(new.source)
        write(path, new)
    else:
        new = _asked(path, given, try_it)
    typer.echo(f"{path}: {new.source.name} is written. {_who_takes_it(new.source)}")
    if settings.sources is None:
        typer.echo(f"setting sources names no file: make run SOURCES={path}, or EARSHOT_SOURCES={path}")


def settings_here(context: typer.Context) -> Settings:
    """The settings; where they name no file of sources, with the one in this folder. Raises SettingsError."""
    settings = load_settings(context)
    is_here = settings.sources is None and HERE.exists()
    return settings.model_copy(update={"sources": HERE}) if is_here else settings


def _asked(path: Path, given: dict[str, str], try_it: Callable[[AnySource], None]) -> Added:
    """Asks, tries, and asks again until it answers; writes it."""
    from pipeline.cli.source_questions import Questions
    from pipeline.listen.adding import added, write

    questions = Questions(path, given, tried=try_it is not _no_trial)
    try:
        while True:
            questions.ask()
            try:
                new = added(path, questions.values)
                try_it(new.source)
            except EarshotError as error:
                if not sys.stdin.isatty():
                    raise
                typer.echo(f"{error}\nAgain: Enter takes what is in brackets; Ctrl-C ends it, and nothing is written", err=True)
                continue
            write(path, new)
            questions.written()
            return new
    finally:
        questions.forget()


def _no_trial(_: AnySource) -> None:
    """With --untried."""


def _who_takes_it(source: AnySource) -> str:
    if source.token_env:
        return f"A listener that runs needs variable {source.token_env}, and a restart with it; a token_file needs none"
    return "A listener that runs takes it within seconds"


def show_trial(settings: Settings, source: AnySource) -> None:
    """One request of the source, and an event of its answer. Raises EarshotError with the reason why not."""
    import asyncio

    import orjson

    from pipeline.cli.terminal import printable, write
    from pipeline.listen import status
    from pipeline.listen.credentials import place_of
    from pipeline.listen.states import SourceError

    try:
        trial = asyncio.run(status.check(settings, source))
    except SourceError as error:
        raise EarshotError(f"source {source.name}: {error.state}: {error}") from None
    typer.echo(printable(trial.found))
    if source.token_file and _is_open(place_of(source.token_file, settings.sources.parent if settings.sources else Path())):
        typer.echo(f"others on this machine may read it: chmod 600 {source.token_file}", err=True)
    if trial.event is not None:
        write([orjson.dumps(trial.event, None, orjson.OPT_INDENT_2), b"\n"])
        if trial.dropped:
            brands = settings.brands or "the sample: setting brands names no file"
            typer.echo(f"keep: mentions drops this event, as it mentions no brand of {brands}")
    else:
        left_out = f"; {trial.left_out:,} parts of it are not mapped" if trial.left_out else ""
        typer.echo(f"no event: its first answer has none, or none came within {status.PAGE_S:.0f} s{left_out}")


def _is_open(file: Path) -> bool:
    """Whether a file of this user may be read by others."""
    found = file.stat()
    return found.st_uid == os.getuid() and bool(found.st_mode & 0o044)


def _options(arguments: list[str]) -> dict[str, str]:
    """`--key value` and `--key=value`. Raises SettingsError."""
    values, rest = dict[str, str](), list(arguments)
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        if not re.fullmatch(r"--[a-z][a-z_-]*", key):
            raise SettingsError(f"{key!r} belongs to no option: write options as --url https://blog.example.com")
        if not equals and (not rest or rest[0].startswith("--")):
            raise SettingsError(f"{key}: it has no value: write it as {key} VALUE")
        values[key.removeprefix("--").replace("-", "_")] = value if equals else rest.pop(0)
    return values
