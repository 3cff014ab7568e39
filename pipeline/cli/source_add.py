"""`earshot source add`: asks what a new source needs, tries it, and writes it into sources.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError, SettingsError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.listen.sources_file import AnySource

HERE = Path("sources.yaml")
FREE = ("rss", "bluesky")
"""Platforms that ask for no credential."""


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
    (--token_file).

    It writes the file of setting sources, or sources.yaml in this folder.

    Exit codes: 0 written, 1 it does not answer (the
    reason is printed, nothing is written), 2 wrong settings, sources.yaml, platform or key.
    """
    settings = load_settings(context)
    from pipeline.listen.adding import added, write

    path = settings.sources or HERE
    given = _options(context.args)
    values = {"name": name, "platform": platform, **given} if platform else _asked(name, given)
    new = added(path, {key: value for key, value in values.items() if value})
    if not untried:
        show_trial(settings.model_copy(update={"sources": path}), new.source)
    write(path, new)
    typer.echo(f"{path}: {new.source.name} is written. A listener that runs takes it within seconds")
    if settings.sources is None:
        typer.echo(f"setting sources names no file: make run SOURCES={path}, or EARSHOT_SOURCES={path}")


def show_trial(settings: Settings, source: AnySource) -> None:
    """One request of the source, and an event of its answer. Raises EarshotError with the reason why not."""
    import asyncio

    import orjson

    from pipeline.cli.terminal import printable, write
    from pipeline.listen import status
    from pipeline.listen.states import SourceError

    try:
        trial = asyncio.run(status.check(settings, source))
    except SourceError as error:
        raise EarshotError(f"source {source.name}: {error.state}: {error}") from None
    typer.echo(printable(trial.found))
    if trial.event is not None:
        write([orjson.dumps(trial.event, None, orjson.OPT_INDENT_2), b"\n"])
        if trial.dropped:
            brands = settings.brands or "the sample: setting brands names no file"
            typer.echo(f"keep: mentions drops this event, as it mentions no brand of {brands}")
    else:
        left_out = f"; {trial.left_out:,} parts of it are not mapped" if trial.left_out else ""
        typer.echo(f"no event: its first answer has none, or none came within {status.PAGE_S:.0f} s{left_out}")


def _options(arguments: list[str]) -> dict[str, str]:
    """`--key value` and `--key=value`. Raises SettingsError."""
    values, rest = dict[str, str](), list(arguments)
    while rest:
        key, equals, value = rest.pop(0).partition("=")
        if not key.startswith("--") or (not equals and not rest):
            raise SettingsError(f"{key if key.startswith('--') else 'options'}: write them as --url https://blog.example.com")
        values[key.removeprefix("--").replace("-", "_")] = value if equals else rest.pop(0)
    return values


def _asked(name: str, given: dict[str, str]) -> dict[str, str]:
    """What is missing, from who sits there."""
    from pipeline.config.document import hint
    from pipeline.listen.known_sources import MODELS, required

    platform = ""
    while platform not in MODELS:
        if platform:
            typer.echo(f"there is no {platform}{hint(platform, MODELS)}", err=True)
        platform = _ask(f"Platform ({', '.join(MODELS)})").lower()
    values = {"name": name or _ask("Name, as our-blog"), "platform": platform}
    for key, said in required(platform).items():
        values[key] = given.get(key) or _ask(f"{key}{f' ({said})' if said else ''}")
    if platform not in FREE and not given.keys() & {"token_env", "token_file"}:
        where = _ask("The credential's variable, as X_TOKEN, or its file, as secrets/x (blank: none)", "")
        values["token_file" if "/" in where or Path(where).is_file() else "token_env"] = where
    return {**values, **given}


def _ask(question: str, default: str | None = None) -> str:
    answer: str = typer.prompt(question, default, show_default=False)
    return answer.strip()
