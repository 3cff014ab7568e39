"""`earshot alerts ack`, `silence`, `silences` and `test`: commands to the control API."""

from __future__ import annotations

import urllib.parse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import duration_of, load_settings, moment_of
from pipeline.errors import SettingsError
from schemas.untyped import JsonObject

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Json = Annotated[bool, typer.Option("--json", help="The records, one JSON object a line.")]
Key = Annotated[str, typer.Argument(help="The alert's key, or its first digits.")]
Comment = Annotated[str, typer.Option(help="A reason; it is recorded.")]


def ack(context: typer.Context, key: Key, comment: Comment = "") -> None:
    """Acknowledge an alert: no reminders until it resolves.

    Exit codes: 0 recorded, 1 no such alert, or it is resolved, 2 wrong usage or the token is refused (setting control.token), 3
    control unreachable.
    """
    whole = _whole_key(context, key)
    done = _ask(context, "POST", f"/alerts/{whole}/ack", {"comment": comment})
    typer.echo(f"{done['key']} is acknowledged by {done['actor']}")


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
    typer.echo(f"silence {done['id']}: {_scope_of(done)} is muted until {_to_minute(done['ends_at'])} UTC")


def silences(context: typer.Context, as_json: Json = False) -> None:
    """List the silences that are active or planned.

    Exit codes: 0 listed, 2 the token is refused (setting control.token), 3 control unreachable.
    """
    listed = _ask(context, "GET", "/silences")["silences"]
    from pipeline.cli.terminal import console, table

    if as_json:
        for each in listed:
            print_object(each)
        return
    rows = [
        (s["id"], _scope_of(s), _to_minute(s["starts_at"]), _to_minute(s["ends_at"]), s["actor"], s["comment"]) for s in listed
    ]
    console().print(table(("id", "of", "from", "until (UTC)", "by", "comment"), rows) if rows else "no silences")


def test(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="A rule of alerts.yaml.")],
    brand: Annotated[str, typer.Option(help="The brand in the test alert.")] = "",
) -> None:
    """Send a marked test alert to a rule's receivers.

    It goes to the real receivers that are in their hours; `earshot alerts show` lists those that accepted it. Receivers that
    are out of their hours are named, and those that take no alert of this rule.

    Exit codes: 0 on its way, 1 no such rule or brand, 2 wrong usage or the token is refused (setting control.token), 3 control
    unreachable.
    """
    done = _ask(context, "POST", "/test", {"rule": rule, "brand": brand})
    typer.echo(f"test alert {done['key']} is on its way; its deliveries:  earshot alerts show {done['key']}")
    for line in done.get("untested", ()):  # an older control does not say
        typer.echo(line)


# --- shared with the other commands about alerts ----------------------------------------------------------------------
def client_of(context: typer.Context) -> Client:
    """A client of ClickHouse, by the settings."""
    from pipeline.clickhouse.client import clickhouse_client

    return clickhouse_client(load_settings(context).clickhouse)


def print_object(value: JsonObject) -> None:
    """Writes it to stdout, as one line of JSON."""
    import orjson

    from pipeline.cli.terminal import write

    write([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)])


# ----------------------------------------------------------------------------------------------------------------------
def _ask(context: typer.Context, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
    from pipeline.api.client import ask

    return ask(load_settings(context), "control", method, path, body)


def _whole_key(context: typer.Context, key: str) -> str:
    """The key with all its digits: ClickHouse knows them."""
    from pipeline.queries.alerts import find, key_digits

    digits = key_digits(key)
    return digits if len(digits) == 16 else f"{find(client_of(context), digits):016x}"


def _scope_of(silence: JsonObject) -> str:
    return " / ".join(f"{name} {silence[name]}" for name in ("rule", "brand", "platform") if silence[name])


def _to_minute(time: str) -> str:
    return time[:16].replace("T", " ")
