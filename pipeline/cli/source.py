"""`earshot source`: how sources are, one added, tried, paused, resumed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.alert_commands import Json, print_object
from pipeline.cli.on_record import on_record
from pipeline.cli.source_add import add, settings_here, show_trial
from pipeline.errors import EarshotError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.listen.spending import Figures
    from pipeline.listen.status import Standing
    from pipeline.maintenance.status import Status
    from schemas.untyped import JsonObject

app = typer.Typer(
    help="Sources of setting sources, else of sources.yaml in this folder: list, show, add, check, pause, resume.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command(
    epilog="Example:  earshot source add --platform rss --name our-blog --url https://blog.example.com",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(add)

Name = Annotated[str, typer.Argument(help="Its name in sources.yaml.")]


@app.command("list", epilog="Example:  earshot source list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the sources of sources.yaml, each with its state.

    `no listener`: none has run the source yet, or it has written nothing for a minute. Times are UTC; events are those that its
    listener has sent since it runs the source.

    Exit codes: 0 all run or are paused, 1 a source does not, 2 wrong settings or sources.yaml, 3 ClickHouse unreachable, 4 run
    `earshot migrate` first.
    """
    settings = settings_here(context)
    from pipeline.cli.terminal import console, moment, table
    from pipeline.listen import status
    from pipeline.listen.costs import costs, line_of

    found = status.standings(settings)
    cost = costs(settings, status.sources_of(settings).sources)
    if as_json:
        for each in found:
            print_object(each.dump() | {"cost": _dumped(cost.get(each.source))})
        raise typer.Exit(0 if all(each.is_well for each in found) else 1)
    columns = ("source", "platform", "state", "events", "last contact", "last event", "reason", *["cost"][: len(cost)])
    rows = [
        (
            name,
            platform,
            state,
            last.get("events", 0),
            *(moment(last.get(key)) for key in ("last_contact", "last_event")),
            reason,
            *[line_of(cost[name]) if name in cost else ""][: len(cost)],
        )
        for name, platform, state, reason, last in found
    ]
    console().print(table(columns, rows) if rows else f"{settings.sources} lists no source")
    raise typer.Exit(0 if all(each.is_well for each in found) else 1)


@app.command(epilog="Example:  earshot source show our-blog")
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one source: its state, the parts of its payloads that are not mapped, and its gaps. Times are UTC.

    Exit codes: 0 shown, 1 no such source, 2 wrong settings or sources.yaml, 3 ClickHouse unreachable, 4 run `earshot migrate`
    first.
    """
    settings = settings_here(context)
    from pipeline.cli.terminal import console, moment, printable, table
    from pipeline.listen import status
    from pipeline.listen.costs import costs, line_of

    source = status.source_named(settings, name)
    found = next(each for each in status.standings(settings) if each.source == name)
    gaps, cost = status.gaps(settings, name), costs(settings, [source]).get(name)
    if as_json:
        print_object(found.dump() | {"cost": _dumped(cost), "gaps": [gap._asdict() for gap in gaps]})
        return
    screen = console()
    screen.print(f"{name}  {found.platform}  {found.state.upper()}", markup=False)
    for key, value in _facts(found):
        screen.print(f"{key:<14}{printable(value)}", markup=False, soft_wrap=True)
    if cost is not None:
        screen.print(f"{'cost':<14}{line_of(cost)}", markup=False, soft_wrap=True)
    left_out: dict[str, int] = found.last.get("left_out", {})
    if kinds := sorted(left_out.items(), key=lambda kind: (-kind[1], kind[0])):
        screen.print(table(("not mapped", "times"), kinds))
    if gaps:
        rows = [
            (moment(gap.since) or "unknown", moment(gap.until) or "unknown", gap.reason, moment(gap.found_at)) for gap in gaps
        ]
        screen.print(table(("gap since", "until", "reason", "found at"), rows))


@app.command(epilog="Example:  earshot source check our-blog")
def check(context: typer.Context, name: Name) -> None:
    """Try one request of a source, and show an event of its answer. Nothing is sent to Kafka.

    Exit codes: 0 it answers, 1 it does not (the reason is printed), or no such source, 2 wrong settings or sources.yaml.
    """
    settings = settings_here(context)
    from pipeline.listen import status

    show_trial(settings, status.source_named(settings, name))


@app.command(epilog="Example:  earshot source pause our-blog")
def pause(context: typer.Context, name: Name) -> None:
    """Pause a source, until `earshot source resume`. It goes on where it was.

    Exit codes: 0 done, 1 no such source, 2 wrong settings or sources.yaml, 3 broker or ClickHouse unreachable.
    """
    _pause(context, name, True)


@app.command(epilog="Example:  earshot source resume our-blog")
def resume(context: typer.Context, name: Name) -> None:
    """Let a paused source go on.

    Exit codes: 0 done, 1 no such source, 2 wrong settings or sources.yaml, 3 broker or ClickHouse unreachable.
    """
    _pause(context, name, False)


def _pause(context: typer.Context, name: str, paused: bool) -> None:
    settings = settings_here(context)
    from pipeline.listen import status

    source = status.source_named(settings, name)
    with on_record(settings, "pause source" if paused else "resume source", name):
        status.pause(settings, source, paused)
    typer.echo(f"{name} is paused" if paused else f"{name} goes on")


def add_sources(settings: Settings, state: Status) -> None:
    """For `earshot status`: how many sources are in which state, and a problem for each that should run and does not."""
    from pipeline.listen import status

    try:
        line, problems = status.report(settings)
    except EarshotError as error:  # of ClickHouse it is known already
        line, problems = "", [each for each in [str(error)] if each not in state.problems]
    state.health += [line] if line else []
    state.problems += problems


def _dumped(cost: Figures | None) -> JsonObject | None:
    return None if cost is None else cost._asdict()


def _facts(found: Standing) -> Iterator[tuple[str, object]]:
    """Those that have a value."""
    from pipeline.cli.terminal import moment

    last = found.last
    yield from [("reason", found.reason)] if found.reason else []
    for key in ("since", "last_contact", "last_event"):
        if last.get(key):
            yield key.replace("_", " "), moment(last[key])
    if last:
        yield "events", f"{last['events']:,}, sent by this listener"
        yield "errors", f"{last['errors']:,}"
        yield "listener", f"{last['listener']}, which wrote this at {moment(last['written_at'])}"
    if last.get("until") and found.state == last["state"]:
        yield "goes on at", moment(last["until"])
    if last.get("budget_left") is not None:
        yield "budget left", f"{last['budget_left']:,.0f} requests"
