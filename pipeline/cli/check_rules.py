"""`earshot alerts check`: lists the rules of a file, and the parts that can never work."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings
from pipeline.config.document import StrictModel

if TYPE_CHECKING:
    from pipeline.processors.alerts.receiver import Receiver
    from pipeline.processors.alerts.rule_types import AnyRule
    from pipeline.processors.alerts.rules import Alerts

MOST_SPANS = 3
"""So many spans without anybody who is notified are in a warning."""


def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Default: that of the settings, else the default rules.")] = None,
) -> None:
    """Check an alerts.yaml and list its rules, and who is notified at which hours.

    Hours at which nobody is notified of a rule's alerts are a warning.

    Exit codes: 0 all of it can work, 1 a part never will (a line each), 2 it is invalid (one line says where and why).
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, table
    from pipeline.config.document import hint
    from pipeline.processors.alerts.hours import text_of
    from pipeline.processors.alerts.rule_types import brands_of
    from pipeline.processors.alerts.rules import DEFAULT_RULES, load_rules
    from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

    path = file or settings.alerts or DEFAULT_RULES
    alerts = load_rules(path)
    brands = {brand.name for brand in load_brands(settings.brands or SAMPLE_BRANDS).brands}
    rows = [(r.name, r.type, _keys(r, {"name", "type", "receivers", "escalate"}), _receivers(alerts, r)) for r in alerts.rules]
    console().print(table(("rule", "type", "keys", "receivers"), rows, title=str(path)))
    if hours := [(r.name, text_of(r.when), _always(r)) for r in alerts.receivers if r.when]:
        console().print(table(("receiver", "hours", "always"), hours))
    for warning in _uncovered(alerts):
        typer.secho(f"earshot: warning: {warning}", err=True, fg="yellow")
    problems = [
        f"rule {rule.name}: no brand is named {brand!r} in {settings.brands or SAMPLE_BRANDS}{hint(brand, brands)}"
        for rule in alerts.rules
        for brand in brands_of(rule)
        if brand not in brands
    ]
    problems += [text for rule in alerts.rules for text in _never(alerts, rule)]
    problems += [text for receiver in alerts.receivers for text in _unset(receiver.name, receiver.url_env, receiver.secret_env)]
    for problem in problems:
        typer.secho(problem, err=True, fg="red")
    raise typer.Exit(1 if problems else 0)


def _keys(part: StrictModel, without: set[str]) -> str:
    """The keys that the file gives it, with their values; those that only its type has come first."""
    names = sorted(type(part).model_fields, key=lambda name: name not in type(part).__annotations__)
    return ", ".join(f"{name} {_value(getattr(part, name))}" for name in names if name in part.model_fields_set - without)


def _value(value: object) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        size, unit = next(
            (size, unit) for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")) if not seconds % size
        )  # fmt: skip
        return f"{seconds // size}{unit}"
    if isinstance(value, dict):
        return " ".join(f"{name} ({_value(each)})" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _receivers(alerts: Alerts, rule: AnyRule) -> str:
    """`chat, incidents; after 15m: pager`."""
    first = ", ".join(receiver.name for receiver in alerts.receivers_of(rule.name)) or "none"
    return f"{first}; after {_value(rule.escalate.after)}: {_value(rule.escalate.to)}" if rule.escalate else first


def _always(receiver: Receiver) -> str:
    """The alerts that it gets at any hour: `severity 8 and more, rule crisis`."""
    if (always := receiver.always) is None:
        return ""
    severities = [f"severity {always.severity} and more"] if always.severity is not None else []
    return ", ".join((*severities, *(f"rule {name}" for name in always.rules)))


def _never(alerts: Alerts, rule: AnyRule) -> list[str]:
    """Receivers that no alert of the rule reaches, and hours that no alert of it opens."""
    later, first = alerts.escalated_of(rule.name), alerts.receivers_of(rule.name)
    reached = {receiver.name for receiver in (*first, *later)}
    lines = [
        f"receiver {receiver.name}: always: rule {rule.name} does not name it: `always` opens hours, and adds no receiver"
        for receiver in alerts.receivers
        if receiver.always and rule.name in receiver.always.rules and receiver.name not in reached
    ]
    if rule.type == "spike":
        return lines  # its severity grows
    deaf = {receiver.name for receiver in (*first, *later) if receiver.min_severity > rule.severity}
    for receiver in later:
        if receiver.name in deaf:
            takes = f"{receiver.name} takes {receiver.min_severity} and more"
            lines.append(f"rule {rule.name}: escalate: its alerts have severity {rule.severity}, {takes}")
    if reached and reached == deaf:
        lines.append(
            f"rule {rule.name}: its alerts have severity {rule.severity}, and no receiver takes less: nobody is notified"
        )
    return lines


def _uncovered(alerts: Alerts) -> list[str]:
    """A line for the rules of whose alerts nobody is notified at the same hours."""
    from pipeline.processors.alerts.audience import uncovered_hours

    rules: dict[tuple[str, ...], list[str]] = {}
    now = datetime.now(UTC)
    for rule in alerts.rules:
        if spans := uncovered_hours(alerts, rule, now):
            rules.setdefault(tuple(spans), []).append(rule.name)
    return [
        f"{'rules' if len(names) > 1 else 'rule'} {', '.join(names)}: nobody is notified {', '.join(spans[:MOST_SPANS])}"
        f"{', ...' if len(spans) > MOST_SPANS else ''}: "
        "an alert of that time waits while it is open, and is never sent if it ends before"
        for spans, names in rules.items()
    ]


def _unset(receiver: str, *variables: str) -> list[str]:
    return [
        f"receiver {receiver}: environment variable {name} is not set here"
        for name in variables
        if name and not os.environ.get(name)
    ]
