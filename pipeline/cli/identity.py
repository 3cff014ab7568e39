"""`earshot identity`: commands of stewards: link, unlink, never, split, consent, accept ... What is read: identity_read.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import identity_read, identity_rules
from pipeline.cli.options import load_settings
from pipeline.errors import EarshotError, SettingsError, UnreachableError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from schemas.untyped import JsonObject

app = typer.Typer(
    help="Customers: who is who. Link, split, review, find, show, and the rules of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

One = Annotated[str, typer.Argument(metavar="A", help="A profile: platform:id, platform:@handle, crm:ID, or its key.")]
Other = Annotated[str, typer.Argument(metavar="B", help="Another profile.")]
Edges = Annotated[list[str], typer.Argument(metavar="EDGE...", help="Edges, as review lists them.")]
Why = Annotated[str, typer.Option(help="A reason; it is recorded.")]
Type = Annotated[str, typer.Option("--type", help="Only for this evidence: email, phone, login, page, handle. Else for all.")]


@app.command(epilog="Example:  earshot identity link twitter:@ines shop:4711 --why 'she called'")
def link(
    context: typer.Context,
    a: One,
    b: Other,
    confirm: Annotated[bool, typer.Option("--confirm", help="They may be two records of the CRM.")] = False,
    why: Why = "",
) -> None:
    """Link two profiles: they belong to one person.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _pair(context, "link", a, b, why, confirm=confirm)


@app.command(epilog="Example:  earshot identity unlink twitter:@ines shop:4711")
def unlink(context: typer.Context, a: One, b: Other, why: Why = "") -> None:
    """Undo a link by hand.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _pair(context, "unlink", a, b, why)


@app.command(epilog="Example:  earshot identity never twitter:@ines twitter:@ines_b --why 'sisters'")
def never(context: typer.Context, a: One, b: Other, why: Why = "") -> None:
    """Keep two profiles apart: they are different persons, whatever evidence says.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _pair(context, "never", a, b, why)


@app.command(epilog="Example:  earshot identity lift twitter:@ines twitter:@ines_b")
def lift(
    context: typer.Context,
    a: One,
    b: Annotated[str, typer.Argument(metavar="B", help="Another profile; of a split, the id of the customer.")],
    why: Why = "",
) -> None:
    """Undo the newest never or split of two.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _pair(context, "lift", a, b, why)


@app.command(epilog="Example:  earshot identity split 05b1c1d6e2f3a4b5 --off twitter:@ines")
def split(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The customer: its id, or one of its profiles.")],
    off: Annotated[str, typer.Option(help="The profile that comes off; the rest stays together.")],
    why: Why = "",
) -> None:
    """Take a profile off its customer, with the evidence that comes from now on.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _pair(context, "split", off, customer, why)


@app.command(epilog="Example:  earshot identity consent twitter:@ines --why 'form of 2026-11-01'")
def consent(context: typer.Context, a: One, type_: Type = "", why: Why = "") -> None:
    """Record that a person consents to being linked.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _one(context, "consent", a, type_, why)


@app.command(epilog="Example:  earshot identity withdraw twitter:@ines --type handle")
def withdraw(context: typer.Context, a: One, type_: Type = "", why: Why = "") -> None:
    """Record that a person withdrew consent: the evidence of this profile links nobody any more.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _one(context, "withdraw", a, type_, why)


@app.command(epilog="Example:  earshot identity accept 5f0c9a1b2c3d4e5f 6a0c9a1b2c3d4e5f")
def accept(context: typer.Context, edges: Edges, why: Why = "") -> None:
    """Let edges of the review queue link. One that is refused does not stop the others.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _verdict(context, "accept", edges, why)


@app.command(epilog="Example:  earshot identity reject 5f0c9a1b2c3d4e5f --why 'a shared phone'")
def reject(context: typer.Context, edges: Edges, why: Why = "") -> None:
    """Let edges link nobody, for good. One that is refused does not stop the others.

    Exit codes: 0 done, 1 refused (a line says why), 2 wrong usage or the token is refused (setting customers.token), 3
    customers or ClickHouse unreachable.
    """
    _verdict(context, "reject", edges, why)


@app.command(epilog="Example:  earshot identity release --why 'a campaign, all is well'")
def release(context: typer.Context, why: Why = "") -> None:
    """Let through what the breaker holds back: too many merges or refusals came within a minute.

    Exit codes: 0 done, 1 nothing is held, 2 wrong usage or the token is refused (setting customers.token), 3 customers
    unreachable.
    """
    _send(load_settings(context), {"action": "release", "why": why}, {})


app.command(epilog="Example:  earshot identity review --reason suggestion --limit 50")(identity_read.review)
app.command(epilog="Example:  earshot identity find +4930901820")(identity_read.find)
app.command(epilog="Example:  earshot identity show twitter:@ines shop:4711")(identity_read.show)
app.command("dry-run", epilog="Example:  earshot identity dry-run identity.yaml")(identity_rules.dry_run)
app.command(epilog="Example:  earshot identity apply identity.yaml")(identity_rules.apply)


# ----------------------------------------------------------------------------------------------------------------------
def _pair(context: typer.Context, action: str, a: str, b: str, why: str, confirm: bool = False) -> None:
    settings = load_settings(context)
    named = _keys(settings, a, b)
    body: JsonObject = {"action": action, "a": f"{named[0]:016x}", "b": f"{named[1]:016x}", "why": why}
    _send(settings, body | ({"confirm": True} if confirm else {}), {body["b"]: b, body["a"]: a})


def _one(context: typer.Context, action: str, a: str, type_: str, why: str) -> None:
    from pipeline.config.document import hint
    from pipeline.identity.rules_file import GIVEN

    if type_ and type_ not in GIVEN:
        raise SettingsError(f"--type {type_}: it is one of {', '.join(GIVEN)}{hint(type_, GIVEN)}")
    settings = load_settings(context)
    key = f"{_keys(settings, a)[0]:016x}"
    _send(settings, {"action": action, "a": key, "type": type_, "why": why}, {key: a})


def _verdict(context: typer.Context, action: str, edges: list[str], why: str) -> None:
    from pipeline.queries.identity.names import parse_key

    settings, keys = load_settings(context), [parse_key(edge) for edge in edges]
    refused = False
    for key in keys:
        try:
            _send(settings, {"action": action, "a": f"{key:016x}", "why": why}, {})
        except (SettingsError, UnreachableError):
            raise
        except EarshotError as error:  # one that was decided before does not stop the others
            if len(keys) == 1:
                raise
            typer.echo(f"edge {key:016x}: {error}", err=True)
            refused = True
    if refused:
        raise typer.Exit(1)


def _keys(settings: Settings, *names: str) -> list[int]:
    """The profiles' keys; asks ClickHouse for those that are named by a handle."""
    from pipeline.queries.identity.names import parse_name, profile_key

    parsed = [parse_name(name) for name in names]
    query = identity_read.query_of(settings) if any(name.handle for name in parsed) else identity_read.no_query
    return [profile_key(query, name) for name in names]


def _send(settings: Settings, body: JsonObject, names: dict[str, str]) -> None:
    """Sends the command, and prints what it did; a refusal names profiles as they were typed."""
    from pipeline.api.client import ask
    from pipeline.cli.terminal import printable
    from pipeline.queries.identity.names import slip

    try:
        done = ask(settings, "customers", "POST", "/commands", body)
    except EarshotError as error:
        text = str(error)
        for key, name in names.items():
            text = text.replace(f"profile {key}", name)
            text += slip(name) if f"{name} is unknown" in text else ""
        raise type(error)(text) from None
    typer.echo(f"command {done['sequence']}: {body['action']}, {_moves(len(done['moved']) + done['more'])}")
    for move in done["moved"]:
        profile = names.get(move["profile"], move["profile"])
        typer.echo(printable(f"  {profile}: customer {move['before']} -> {move['after']}"))
    if done["more"]:
        typer.echo(f"  and {done['more']:,} more")


def _moves(count: int) -> str:
    return f"{count:,} profile{'s' if count != 1 else ''} moved" if count else "nobody moved"
