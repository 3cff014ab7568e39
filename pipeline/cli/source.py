"""`earshot source`: how sources are, one tried, paused, resumed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings
from schemas.times import utc_now

if TYPE_CHECKING:
    from schemas.untyped import JsonObject

app = typer.Typer(help="Sources: list, show, check, pause, resume.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="Its name in sources.yaml.")]


@app.command("list", epilog="Example:  earshot source list")
def list_(context: typer.Context) -> None:
    """List the sources of sources.yaml, each with its state.

    A source that no listener has run yet, or whose listener has written nothing for a minute, has no state.

    Exit codes: 0 all run or are paused, 1 a source does not, 2 wrong settings or sources.yaml, 3 ClickHouse unreachable, 4 run
    `earshot migrate` first.
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, table
    from pipeline.listen import status

    sources, known = status.sources_of(settings).sources, status.healths(settings)
    rows = [(each.name, each.platform, *_shown(known.get(each.name))) for each in sources]
    console().print(table(("source", "platform", "state", "events", "last contact", "last event", "reason"), rows))
    raise typer.Exit(any(row[2] not in ("running", "paused") for row in rows))


@app.command(epilog="Example:  earshot source show our-blog")
def show(context: typer.Context, name: Name) -> None:
    """Show one source: its state, what is not mapped, and its gaps.

    Exit codes: 0 shown, 1 no such source, 2 wrong settings or sources.yaml, 3 ClickHouse unreachable, 4 run `earshot migrate`
    first.
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, table
    from pipeline.listen import status

    status.source_named(settings, name)
    screen = console()
    for key, value in (status.healths(settings).get(name) or {"state": "no listener has run it yet"}).items():
        screen.print(f"{key:<14}{value}", markup=False)
    if found := status.gaps(settings, name):
        screen.print(table(("since", "until", "what is missing", "found at"), found))


@app.command(epilog="Example:  earshot source check our-blog")
def check(context: typer.Context, name: Name) -> None:
    """Try one request of a source, and show an event of its answer. Nothing is sent to Kafka.

    Exit codes: 0 it answers, 1 it does not (the reason is printed), or no such source, 2 wrong settings or sources.yaml.
    """
    settings = load_settings(context)
    import asyncio

    import orjson

    from pipeline.cli.terminal import printable
    from pipeline.errors import EarshotError
    from pipeline.listen import status
    from pipeline.listen.states import SourceError

    source = status.source_named(settings, name)
    try:
        trial = asyncio.run(status.check(settings, source))
    except SourceError as error:
        raise EarshotError(f"source {name}: {error.state}: {error}") from None
    typer.echo(printable(trial.found))
    if trial.event is not None:
        typer.echo(orjson.dumps(trial.event, None, orjson.OPT_INDENT_2))
    else:
        typer.echo("no event came within 10 s")


@app.command(epilog="Example:  earshot source pause our-blog")
def pause(context: typer.Context, name: Name) -> None:
    """Pause a source, until `earshot source resume`. It goes on where it was.

    Exit codes: 0 done, 1 no such source, 2 wrong settings or sources.yaml, 3 broker unreachable.
    """
    _pause(context, name, True)


@app.command(epilog="Example:  earshot source resume our-blog")
def resume(context: typer.Context, name: Name) -> None:
    """Let a paused source go on.

    Exit codes: 0 done, 1 no such source, 2 wrong settings or sources.yaml, 3 broker unreachable.
    """
    _pause(context, name, False)


def _pause(context: typer.Context, name: str, paused: bool) -> None:
    settings = load_settings(context)
    from pipeline.listen import status

    status.pause(settings, status.source_named(settings, name), paused)
    typer.echo(f"{name} is paused" if paused else f"{name} goes on")


def _shown(health: JsonObject | None) -> tuple[object, ...]:
    if health is None or utc_now() - health["written_at"] > timedelta(minutes=1):
        return "no listener", 0, "-", "-", ""
    return health["state"], health["events"], health["last_contact"] or "-", health["last_event"] or "-", health["reason"]
