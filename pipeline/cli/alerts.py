"""`earshot alerts`: lists, shows and follows alerts; acknowledges, silences and tests them."""

from __future__ import annotations

import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import duration_of, load_settings, moment_of
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.processors.alerts.rules import Alerts
    from pipeline.queries.alerts import Filter
    from schemas.alerts import Alert, State

SHOWN = 200

app = typer.Typer(help="Alerts: list, show, follow, acknowledge, silence.", no_args_is_help=True, rich_markup_mode=None)

Brand = Annotated[str, typer.Option(help="Only this brand's.")]
RuleName = Annotated[str, typer.Option(help="Only this rule's.")]
StateName = Annotated[str, typer.Option(help="Only these: pending, firing, acknowledged or resolved.")]
Severity = Annotated[int, typer.Option(min=1, max=10, help="Only of this severity or more.")]
Since = Annotated[str | None, typer.Option(help="From this time on: 2h, 3d, or ISO 8601 (UTC).")]
Json = Annotated[bool, typer.Option("--json", help="The records, one JSON object a line.")]
Key = Annotated[str, typer.Argument(help="The alert's key, or its first digits.")]
Comment = Annotated[str, typer.Option(help="A reason; it is recorded.")]


# --- looking ----------------------------------------------------------------------------------------------------------
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
    from pipeline.cli.alert_view import News, line
    from pipeline.cli.terminal import console
    from pipeline.queries.alert_tail import follow

    news, screen = News(), console()
    try:
        for alert in follow(load_settings(context).kafka, start):
            if not which.passes(alert):
                continue
            if as_json:
                _print_json(alert)
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
    historical: Annotated[bool, typer.Option("--historical", help="Historical alerts, of events an hour late.")] = False,
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
    found = alert_table.newest(_client(context), which, 10_000 if as_json else SHOWN + 1)
    if as_json:
        for alert in found:
            _print_json(alert)
        return
    console().print(alert_view.listing(found[:SHOWN]) if found else "no alerts")
    if len(found) > SHOWN:
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

    digits, client = alert_table.key_digits(key), _client(context)
    shown = alert_table.show(client, alert_table.find(client, digits))
    if as_json:
        _print_object(shown.record())
    else:
        console().print(alert_view.details(shown), soft_wrap=True)


# --- acting -----------------------------------------------------------------------------------------------------------
@app.command(epilog="Example:  earshot alerts ack b303796f --comment 'The provider is at it'")
def ack(context: typer.Context, key: Key, comment: Comment = "") -> None:
    """Acknowledge an alert: no reminders until it resolves.

    Exit codes: 0 recorded, 1 no such alert, or it is resolved, 2 wrong usage or the token is refused (setting control.token), 3
    control unreachable.
    """
    found = _whole(context, key)
    done = _ask(context, "POST", f"/alerts/{found}/ack", {"comment": comment})
    typer.echo(f"{done['key']} is acknowledged by {done['actor']}")


@app.command(epilog="Example:  earshot alerts silence --brand Acme --for 2h --comment 'Planned maintenance'")
def silence(
    context: typer.Context,
    rule: Annotated[str, typer.Option(help="Alerts of this rule.")] = "",
    brand: Annotated[str, typer.Option(help="Alerts about this brand.")] = "",
    platform: Annotated[str, typer.Option(help="Alerts about this platform.")] = "",
    for_: Annotated[str | None, typer.Option("--for", help="How long: 30m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(help="Until this time (ISO 8601, UTC).")] = None,
    lift: Annotated[str | None, typer.Option(metavar="ID", help="End this silence now.")] = None,
    comment: Comment = "",
) -> None:
    """Mute alerts for a while.

    They continue and are recorded as muted. --platform mutes alerts whose events are all from there.

    Exit codes: 0 recorded, 1 refused (an end in the past; no such silence, rule, brand or platform), 2 wrong usage or the token
    is refused (setting control.token), 3 control unreachable.
    """
    if lift is not None:
        if rule or brand or platform or for_ or until or comment:
            raise SettingsError("--lift ends a silence: it goes with nothing else")
        done = _ask(context, "DELETE", f"/silences/{urllib.parse.quote(lift.lower(), safe='')}")
        typer.echo(f"silence {done['id']} is lifted")
        return
    if not (rule or brand or platform):
        raise SettingsError("give --rule, --brand, --platform or several of them")
    if (for_ is None) == (until is None):
        raise SettingsError("give either --for or --until")
    end = datetime.now(UTC) + duration_of("--for", for_) if for_ else moment_of("--until", until)
    body = {"rule": rule, "brand": brand, "platform": platform, "until": end and end.isoformat(), "comment": comment}
    done = _ask(context, "POST", "/silences", body)
    typer.echo(f"silence {done['id']}: {_about(done)} is muted until {_short(done['ends_at'])} UTC")


@app.command(epilog="Example:  earshot alerts silences")
def silences(context: typer.Context, as_json: Json = False) -> None:
    """List the silences that are active or planned.

    Exit codes: 0 listed, 2 the token is refused (setting control.token), 3 control unreachable.
    """
    found = _ask(context, "GET", "/silences")["silences"]
    from pipeline.cli.terminal import console, table

    if as_json:
        for each in found:
            _print_object(each)
        return
    rows = [(s["id"], _about(s), _short(s["starts_at"]), _short(s["ends_at"]), s["actor"], s["comment"]) for s in found]
    console().print(table(("id", "of", "from", "until (UTC)", "by", "comment"), rows) if rows else "no silences")


@app.command(epilog="Example:  earshot alerts test anger --brand Acme")
def test(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="A rule of alerts.yaml.")],
    brand: Annotated[str, typer.Option(help="The brand in the test alert.")] = "",
) -> None:
    """Send a marked test alert to a rule's receivers.

    It goes to the real receivers; `earshot alerts show` lists those that accepted it.

    Exit codes: 0 on its way, 1 no such rule or brand, 2 wrong usage or the token is refused (setting control.token), 3 control
    unreachable.
    """
    done = _ask(context, "POST", "/test", {"rule": rule, "brand": brand})
    typer.echo(f"test alert {done['key']} is on its way; its deliveries:  earshot alerts show {done['key']}")


@app.command(epilog="Example:  earshot alerts check alerts.yaml")
def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Default: that of the settings, else the default rules.")] = None,
) -> None:
    """Check an alerts.yaml and list its rules.

    Exit codes: 0 all of it can work, 1 a part never will (a line each), 2 it is invalid (one line says where and why).
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, table
    from pipeline.config.document import hint
    from pipeline.processors.alerts.rules import DEFAULT_RULES, brands_of, load_rules
    from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

    path = file or settings.alerts or DEFAULT_RULES
    alerts = load_rules(path)
    brands = {brand.name for brand in load_brands(settings.brands or SAMPLE_BRANDS).brands}
    rows = [(r.name, r.type, _said(r, {"name", "type", "receivers"}), _receivers(alerts, r.name)) for r in alerts.rules]
    console().print(table(("rule", "type", "keys", "receivers"), rows, title=str(path)))
    problems = [
        f"rule {rule.name}: no brand is named {brand!r} in {settings.brands or SAMPLE_BRANDS}{hint(brand, brands)}"
        for rule in alerts.rules
        for brand in brands_of(rule)
        if brand not in brands
    ]
    problems += [text for receiver in alerts.receivers for text in _unset(receiver.name, receiver.url_env, receiver.secret_env)]
    for problem in problems:
        typer.secho(problem, err=True, fg="red")
    raise typer.Exit(1 if problems else 0)


# --- what they share --------------------------------------------------------------------------------------------------
def _filter(context: typer.Context, brand: str, rule: str, state: str, min_severity: int, tables: bool) -> Filter:
    """`tables`: ClickHouse is asked for names that the files here do not have."""
    from pipeline.queries.alerts import Filter
    from pipeline.queries.names import names_of, unheard

    which = Filter(brand, rule, _states(state), min_severity)
    if brand or rule:
        for warning in unheard(names_of(load_settings(context), tables), brand, rule):
            typer.echo(f"earshot: warning: {warning}", err=True)
    return which


def _states(text: str) -> tuple[State, ...]:
    from schemas.alerts import State

    try:
        return tuple(State(name.strip()) for name in text.split(",") if name.strip())
    except ValueError:
        raise SettingsError(f"--state {text}: it is one or more of {', '.join(State)}") from None


def _client(context: typer.Context) -> Client:
    from pipeline.clickhouse.client import clickhouse_client

    return clickhouse_client(load_settings(context).clickhouse)


def _ask(context: typer.Context, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    from pipeline.control.client import ask

    return ask(load_settings(context), method, path, body)


def _whole(context: typer.Context, key: str) -> str:
    """The whole key; ClickHouse is asked for one that is cut short."""
    from pipeline.queries.alerts import find, key_digits

    digits = key_digits(key)
    return digits if len(digits) == 16 else f"{find(_client(context), digits):016x}"


def _about(silence: dict[str, Any]) -> str:
    return " / ".join(f"{name} {silence[name]}" for name in ("rule", "brand", "platform") if silence[name])


def _short(time: str) -> str:
    return time[:16].replace("T", " ")


def _print_json(alert: Alert) -> None:
    from schemas.alerts import to_record

    _print_object(to_record(alert))


def _print_object(value: dict[str, Any]) -> None:
    import orjson

    from pipeline.cli.terminal import write

    write([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)])


# --- check ------------------------------------------------------------------------------------------------------------
def _said(part: Any, without: set[str]) -> str:
    """What the file says of it, but for the names; what only its type has comes first."""
    names = sorted(type(part).model_fields, key=lambda name: name not in type(part).__annotations__)
    return ", ".join(f"{name} {_value(getattr(part, name))}" for name in names if name in part.model_fields_set - without)


def _value(value: Any) -> str:
    from datetime import timedelta

    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        size, unit = next(
            (size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")) if not seconds % size
        )  # fmt: skip
        return f"{seconds // size}{unit}"
    if isinstance(value, dict):
        return " ".join(f"{name} ({_value(each)})" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _receivers(alerts: Alerts, rule: str) -> str:
    return ", ".join(receiver.name for receiver in alerts.receivers_of(rule)) or "nobody"


def _unset(receiver: str, *variables: str) -> list[str]:
    import os

    return [
        f"receiver {receiver}: environment variable {name} is not set here"
        for name in variables
        if name and not os.environ.get(name)
    ]
