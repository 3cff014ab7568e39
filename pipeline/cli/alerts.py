"""`earshot alerts`: lists, shows and follows alerts. Its other commands: alert_commands.py, check_rules.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import alert_commands, check_rules
from pipeline.cli.alert_commands import Json, Key, client_of, print_object
from pipeline.cli.options import load_settings, moment_of
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.queries.alerts import Filter
    from schemas.alerts import Alert, State

SHOWN = 200

app = typer.Typer(help="Alerts: list, show, follow, acknowledge, silence.", no_args_is_help=True, rich_markup_mode=None)

Brand = Annotated[str, typer.Option(help="Only this brand's.")]
RuleName = Annotated[str, typer.Option(help="Only this rule's.")]
StateName = Annotated[str, typer.Option(help="Only these: pending, firing, acknowledged or resolved.")]
Severity = Annotated[int, typer.Option(min=1, max=10, help="Only of this severity or more.")]
Since = Annotated[str | None, typer.Option(help="From this time on: 2h, 3d, or ISO 8601 (UTC).")]


@app.command(epilog="Example:  earshot alerts tail --since 1h --min-severity 5")
def tail(
    context: typer.Context,
    brand: Brand = "",
    rule: RuleName = "",
    state: StateName = "",
    min_severity: Severity = 1,
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Watch alerts as they change, until Ctrl-C.

    A line when an alert begins, ends, or changes its state or severity; --json prints every change. A brand or rule that the
    files here do not name is a warning.

    Exit codes: 2 wrong usage or settings, 3 broker unreachable, 4 run `earshot migrate` first, 130 stopped by Ctrl-C.
    """
    start = moment_of("--since", since)
    which = _filter(context, brand, rule, state, min_severity, tables=False)
    from pipeline.cli.alert_view import line
    from pipeline.cli.terminal import console
    from pipeline.queries.alert_history import News
    from pipeline.queries.alert_tail import follow

    news, screen = News(), console()
    try:
        for alert in follow(load_settings(context).kafka, start):
            if not which.passes(alert):
                continue
            if as_json:
                _print_alert(alert)
            elif news.is_new(alert):
                screen.print(line(alert), soft_wrap=True)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command("list", epilog="Example:  earshot alerts list --brand Acme --all --since 7d")
def list_alerts(
    context: typer.Context,
    brand: Brand = "",
    rule: RuleName = "",
    state: StateName = "",
    min_severity: Severity = 1,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved and pending ones too.")] = False,
    historical: Annotated[
        bool, typer.Option("--historical", help="Only those true an hour ago or more when found: nobody was notified.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List open alerts: firing or acknowledged.

    The last changed comes first. An unknown brand or rule is a warning.

    Exit codes: 0 listed, 1 ClickHouse refused, 2 wrong usage or settings, 3 ClickHouse unreachable.
    """
    start = moment_of("--since", since)
    if everything and (state or historical):
        raise SettingsError("--all goes with neither --state nor --historical")
    from dataclasses import replace

    from pipeline.cli import alert_view
    from pipeline.cli.terminal import console
    from pipeline.queries import alerts as alert_table

    which = replace(_filter(context, brand, rule, state, min_severity, tables=True), since=start, historical=historical)
    if not (state or everything or historical):
        which = replace(which, states=alert_table.OPEN)
    alerts = alert_table.newest(client_of(context), which, 10_000 if as_json else SHOWN + 1)
    if as_json:
        for alert in alerts:
            _print_alert(alert)
        return
    console().print(alert_view.listing(alerts[:SHOWN]) if alerts else "no alerts")
    if len(alerts) > SHOWN:
        typer.echo(f"the first {SHOWN}; --json gives more, --brand and --since fewer", err=True)


@app.command(epilog="Example:  earshot alerts show b303796f")
def show(context: typer.Context, key: Key, as_json: Json = False) -> None:
    """Show one alert with everything known about it.

    Observed and expected value, since when, typical words, the tone, a query, the history, the deliveries, and posts as they
    are now, without deleted and private ones.

    Exit codes: 0 shown, 1 no alert or several begin with these digits, 2 wrong usage or settings, 3 ClickHouse unreachable.
    """
    from pipeline.cli import alert_view
    from pipeline.cli.terminal import console
    from pipeline.queries import alerts as alert_table

    digits, client = alert_table.key_digits(key), client_of(context)
    shown = alert_table.show(client, alert_table.find(client, digits))
    if as_json:
        print_object(shown.record())
    else:
        console().print(alert_view.details(shown), soft_wrap=True)


app.command(epilog="Example:  earshot alerts ack b303796f --comment 'The provider is at it'")(alert_commands.ack)
app.command(epilog="Example:  earshot alerts silence --brand Acme --for 2h --comment 'Planned maintenance'")(
    alert_commands.silence
)
app.command(epilog="Example:  earshot alerts silences")(alert_commands.silences)
app.command(epilog="Example:  earshot alerts test anger --brand Acme")(alert_commands.test)
app.command(epilog="Example:  earshot alerts check alerts.yaml")(check_rules.check)


# ----------------------------------------------------------------------------------------------------------------------
def _filter(context: typer.Context, brand: str, rule: str, state: str, min_severity: int, tables: bool) -> Filter:
    """`tables`: names that no file here has are looked up in ClickHouse."""
    from pipeline.queries.alerts import Filter
    from pipeline.queries.names import names_of, unknown

    which = Filter(brand, rule, _states(state), min_severity)
    if brand or rule:
        for warning in unknown(names_of(load_settings(context), tables), brand, rule):
            typer.echo(f"earshot: warning: {warning}", err=True)
    return which


def _states(text: str) -> tuple[State, ...]:
    from schemas.alerts import State

    try:
        return tuple(State(name.strip()) for name in text.split(",") if name.strip())
    except ValueError:
        raise SettingsError(f"--state {text}: it is one or more of {', '.join(State)}") from None


def _print_alert(alert: Alert) -> None:
    from schemas.alerts import to_record

    print_object(to_record(alert))
