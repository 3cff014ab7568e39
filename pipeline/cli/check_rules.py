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
    from pipeline.processors.alerts.rule_types import brands_of
    from pipeline.processors.alerts.rules import DEFAULT_RULES, load_rules
    from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands

    path = file or settings.alerts or DEFAULT_RULES
    alerts = load_rules(path)
    brands = {brand.name for brand in load_brands(settings.brands or SAMPLE_BRANDS).brands}
    without = {"name", "type", "severity", "receivers", "escalate"}
    rows = [(r.name, r.type, _severity(r), _keys(r, without), _receivers(alerts, r)) for r in alerts.rules]
    console().print(table(("rule", "type", "severity", "keys", "receivers"), rows, title=str(path)))
    if alerts.receivers:
        heard = [(r.name, _hours(r), _from(r.min_severity), _always(r)) for r in alerts.receivers]
        console().print(table(("receiver", "hours", "severity", "always"), heard))
    for warning in (*_without_zone(alerts), *_uncovered(alerts)):
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
    """`chat, incidents (not: takes 8 and more); after 15m: pager`."""
    first, later = (
        ", ".join(each.name + (f" (not: takes {_from(each.min_severity)})" if _is_deaf(each, rule) else "") for each in some)
        for some in (alerts.receivers_of(rule.name), alerts.escalated_of(rule.name))
    )
    return f"{first or 'none'}; after {_value(rule.escalate.after)}: {later}" if rule.escalate else first or "none"


def _is_deaf(receiver: Receiver, rule: AnyRule) -> bool:
    """Whether it takes higher severities than alerts of the rule have."""
    from pipeline.processors.alerts.audience import highest_severity

    return receiver.min_severity > highest_severity(rule)


def _severity(rule: AnyRule) -> str:
    """`7`; of a spike, whose severity grows, `1 and more`."""
    return _from(rule.severity) if rule.type == "spike" else str(rule.severity)


def _from(severity: int) -> str:
    return f"{severity} and more"


def _hours(receiver: Receiver) -> str:
    from pipeline.processors.alerts.hours import text_of

    return text_of(receiver.when) or "any time"


def _always(receiver: Receiver) -> str:
    """The alerts that it gets at any hour: `severity 8 and more, rule crisis`."""
    if (always := receiver.always) is None:
        return ""
    severities = [f"severity {_from(always.severity)}"] if always.severity is not None else []
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
    deaf = {receiver.name for receiver in (*first, *later) if _is_deaf(receiver, rule)}
    for receiver in later:
        if receiver.name in deaf:
            takes = f"{receiver.name} takes {_from(receiver.min_severity)}"
            lines.append(f"rule {rule.name}: escalate: its alerts have severity {rule.severity}, {takes}")
    if reached and reached == deaf:
        lines.append(
            f"rule {rule.name}: its alerts have severity {rule.severity}, and no receiver takes less: nobody is notified"
        )
    return lines


def _without_zone(alerts: Alerts) -> list[str]:
    """A line for each receiver with hours in a zone and others for which none is given."""
    return [
        f"receiver {receiver.name}: when: {without[0]}: these hours name no zone, others name {named[0]}"
        for receiver in alerts.receivers
        if (without := [when for when in receiver.when if "zone" not in when.model_fields_set])
        and (named := [when.zone for when in receiver.when if "zone" in when.model_fields_set])
    ]


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
