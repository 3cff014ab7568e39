"""`earshot alerts backtest`: the alerts that the rules would have raised, over history or over a series of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings, refuse, time_of
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.config.zone import Zones
    from pipeline.processors.alerts.audience import Notified
    from pipeline.processors.alerts.backtest.judge import Backtest
    from pipeline.processors.alerts.backtest.labelled import Window
    from pipeline.processors.alerts.backtest.series import Replayed, Series
    from pipeline.processors.alerts.rule_types import SpikeRule
    from pipeline.processors.alerts.rules import Alerts
    from schemas.alerts import Alert

MOST_PLOTS = 12
Span = tuple[str | None, str | None]
"""--from and --to."""


def backtest(
    context: typer.Context,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule; may be given again. Default: all.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment, UTC. Default: of the stored events.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last moment, UTC. Default: of the stored events.")] = None,
    series: Annotated[Path | None, typer.Option(help="A CSV of timestamp,value instead of stored events.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Windows that should be detected (JSON), for --series.")] = None,
    plots: Annotated[Path | None, typer.Option(help="The folder for the pictures.")] = Path("build/backtest"),
    as_json: Annotated[bool, typer.Option("--json", help="The alerts as one JSON object; no pictures.")] = False,
) -> None:
    """Replay history through the rules and show what they would have raised, and who would have been notified.

    It notifies nobody and writes only pictures. An escalation assumes that nobody acknowledged the alert. A series is evaluated
    by a spike rule (--rule, else the first one), with the detector of control.

    Exit codes: 0 done, 2 wrong usage, settings, rules or files, 3 ClickHouse unreachable.
    """
    if as_json:
        refuse(context, "goes without --json, which draws no pictures", "--plots")
    settings = load_settings(context)
    from pipeline.processors.alerts.rules import DEFAULT_RULES, load_rules

    config = _chosen(load_rules(settings.alerts or DEFAULT_RULES), rule or [])
    if series is not None:
        if start or end:
            raise SettingsError("--from and --to are for stored events; a series is evaluated as a whole")
        _series(config, series, labels, None if as_json else plots, as_json)
        return
    if labels is not None:
        raise SettingsError("--labels go with --series")
    _history(config, settings, (start, end), None if as_json else plots, as_json)


def _chosen(config: Alerts, names: list[str]) -> Alerts:
    from pipeline.config.document import hint

    for name in names:
        if config.rule(name) is None:
            known = [rule.name for rule in config.rules]
            raise SettingsError(f"--rule {name}: the rules are {', '.join(known)}{hint(name, known)}")
    return config.model_copy(update={"rules": tuple(r for r in config.rules if not names or r.name in names)})


# --- history ----------------------------------------------------------------------------------------------------------
def _history(config: Alerts, settings: Settings, span: Span, plots: Path | None, as_json: bool) -> None:
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.query import asker
    from pipeline.processors.alerts.backtest.judge import Backtest
    from pipeline.processors.alerts.backtest.read import draw_scopes, stored_span
    from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    zones = brands.zones
    ask = asker(clickhouse_client(settings.clickhouse))
    first, last = stored_span(ask)
    start, end = time_of("--from", span[0]) or first, time_of("--to", span[1]) or last
    if start >= end:
        raise SettingsError(f"--from {start:%Y-%m-%d %H:%M} is not before --to {end:%Y-%m-%d %H:%M}")
    replayed = _replayed(Backtest(ask, config, start, end, zones, brands), start, end)
    if as_json:
        _print_json([_of_alert(alert, replayed.hearing.of(alert.key)) for alert in replayed.alerts])
        return
    _show(replayed, bool(config.receivers))
    if plots is not None:
        for path in draw_scopes(ask, plots, (start, end), replayed.alerts, partial(_zone_of, config, zones), MOST_PLOTS):
            typer.echo(f"drawn: {path}")


def _zone_of(config: Alerts, zones: Zones, brand: str, alerts: Sequence[Alert]) -> str:
    """Of the first spike rule with a zone among those of the alerts, else of the brand."""
    rules = map(config.rule, dict.fromkeys(alert.rule for alert in alerts))
    return next((r.zone for r in rules if r is not None and r.type == "spike" and r.zone), zones.get(brand, "UTC"))


def _replayed(test: Backtest, start: datetime, end: datetime) -> Backtest:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from pipeline.cli.terminal import console

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True)) as progress:
        task = progress.add_task(f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}", total=1.0)
        for share in test.steps():
            progress.update(task, completed=share)
    return test


def _show(replayed: Backtest, notifies: bool) -> None:
    """`notifies`: there are receivers."""
    from pipeline.cli.terminal import console, table

    screen = console()
    alerts = replayed.alerts
    columns = ("since", "until", "rule", "severity", "what", "terms", *(("notified",) if notifies else ()))
    rows = [
        (f"{a.since:%Y-%m-%d %H:%M}", f"{a.last_at:%Y-%m-%d %H:%M}", a.rule, a.severity, a.summary, ", ".join(a.terms))
        + ((_who(a, replayed.hearing.of(a.key)),) if notifies else ())
        for a in alerts
    ]
    screen.print(table(columns, rows) if rows else "no alerts")
    screen.print(f"{len(alerts)} alerts")


def _who(alert: Alert, notified: list[Notified]) -> str:
    """`chat 10:31, pager 10:46 (escalated)`, with the day where it is another."""
    texts = []
    for receiver, at, escalated in notified:
        day = "" if at.date() == alert.since.date() else f"{at:%Y-%m-%d} "
        texts.append(f"{receiver} {day}{at:%H:%M}{' (escalated)' if escalated else ''}")
    return ", ".join(texts) or "nobody"


def _of_alert(alert: Alert, notified: list[Notified]) -> dict[str, object]:
    ended = alert.ended_at or alert.last_at
    return {
        "key": alert.hex, "started": _text(alert.since), "ended": _text(ended), "severity": alert.severity,
        "observed": alert.observed, "expected": alert.expected, "rule": alert.rule, **alert.scope._asdict(),
        "summary": alert.summary, "terms": list(alert.terms), "samples": [f"{key:016x}" for key in alert.samples],
        "notified": [each._asdict() | {"at": _text(each.at)} for each in notified],
    }  # fmt: skip


# --- a series ---------------------------------------------------------------------------------------------------------
def _series(config: Alerts, path: Path, labels: Path | None, plots: Path | None, as_json: bool) -> None:
    from pipeline.processors.alerts.backtest.labelled import read_windows
    from pipeline.processors.alerts.backtest.series import read_series, replay_series
    from pipeline.processors.alerts.spike_parameters import DROP, Spike

    rule = _spike_rule(config)
    read = read_series(path)
    windows = read_windows(labels, path.name) if labels else []
    if rule.persistence:
        typer.echo(f"earshot: warning: rule {rule.name}: persistence has no effect on a series", err=True)
    own = DROP if rule.direction == "below" else Spike()
    spike = replace(own, calm_s=int(rule.resolve.total_seconds()), newest=rule.min_mentions)
    replayed = replay_series(read.times, read.values, spike, rule.direction, rule.name, zone=rule.zone or "UTC")
    raised = [alert for alert in replayed.raised if alert.severity >= rule.severity]
    replayed = replayed._replace(raised=raised)
    if as_json:
        names = ("key", "started", "ended", "severity", "observed", "expected", "window_s")
        _print_json([{name: _text(getattr(alert, name)) for name in names} for alert in raised])
    else:
        _show_series(rule, read, replayed, windows)
    if plots is not None:
        from pipeline.processors.alerts.backtest.plot import draw

        typer.echo(f"drawn: {draw(plots / f'{path.stem}.png', read, replayed, windows, f'{path.stem}: {rule.name}')}")


def _spike_rule(config: Alerts) -> SpikeRule:
    from pipeline.processors.alerts.rule_types import SpikeRule

    for rule in config.rules:
        if isinstance(rule, SpikeRule) and rule.measure == "volume":
            return rule
    raise SettingsError("a series needs a spike rule of volume: there is none among these rules")


def _show_series(rule: SpikeRule, series: Series, replayed: Replayed, windows: list[Window]) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.processors.alerts.backtest.labelled import score
    from pipeline.processors.alerts.explain import length

    screen = console()
    columns = ("started", "ended", "severity", "observed", "expected", "window", "key")
    rows = [
        (
            str(a.started),
            "open" if a.ended is None else str(a.ended),
            a.severity,
            f"{a.observed:,.0f}",
            f"{a.expected:,.0f}",
            length(timedelta(seconds=a.window_s)),
            a.key,
        )
        for a in replayed.raised
    ]
    screen.print(table(columns, rows) if rows else "no alerts")
    screen.print(f"{len(replayed.raised)} alerts of rule {rule.name} in {len(series.times):,} values")
    if windows:
        scored = score([alert.started for alert in replayed.raised], windows, series.times)
        delay = "" if scored.delay is None else f", after {scored.delay} in the median"
        screen.print(
            f"windows detected: {scored.detected} of {scored.windows}{delay}; false alerts a day: {scored.false_a_day:.3f}"
        )


def _print_json(alerts: list[dict[str, object]]) -> None:
    import orjson

    from pipeline.cli.terminal import write

    write([orjson.dumps({"alerts": alerts}, option=orjson.OPT_INDENT_2) + b"\n"])


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
