"""`earshot query`: answers, by SQL or by a query's name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.of_customer import answer
from pipeline.cli.options import Format, load_settings, refuse
from pipeline.errors import EarshotError, SettingsError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config.settings import Settings
    from pipeline.queries.named import Given
    from schemas.queries import NamedQuery

SHOWN_ROWS = 200
Values = Mapping[str, object]


Brand = Annotated[list[str] | None, typer.Option(help="Of this brand; may be given again. Default: all.")]
Start = Annotated[str | None, typer.Option("--from", help="A day or time in the zone; 3h, 7d: ago. Default: 30d.")]
End = Annotated[str | None, typer.Option("--to", help="Until before that day or time. Default: now.")]
Zone = Annotated[str | None, typer.Option(help="Whose days and weeks, as Europe/Berlin. Default: UTC.")]
Platform = Annotated[list[str] | None, typer.Option(help="On this platform; may be given again. Default: all.")]
Language = Annotated[list[str] | None, typer.Option(help="In this language; may be given again. Default: all.")]
Period = Annotated[str | None, typer.Option(help="A row for each quarter-hour, hour, day, week or month, or for all.")]
By = Annotated[list[str] | None, typer.Option(help="A row for each platform or language, too; may be given again.")]
Limit = Annotated[int | None, typer.Option(min=1, max=100_000, help="Rows at most, where the query has a limit.")]
More = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another parameter; may be given again.")]
Form = Annotated[Format, typer.Option("--format", help="json: an object a line. parquet: into a file.")]
Picture = Annotated[Path | None, typer.Option("--plot", help="Draw the result into this file: PNG, SVG or PDF.")]
Listed = Annotated[bool, typer.Option("--list", help="List the named queries; with a name, show that one.")]
Customer = Annotated[
    str | None, typer.Option(help="customer, timeline: an account or customer: its key, platform:id or platform:@handle.")
]
AsOf = Annotated[str | None, typer.Option(help="customer, timeline: who was whose customer then, and events until then.")]


def query(
    context: typer.Context,
    sql: Annotated[str | None, typer.Argument(metavar="SQL|NAME", help="A query, or the name of one.")] = None,
    brand: Brand = None,
    start: Start = None,
    end: End = None,
    zone: Zone = None,
    platform: Platform = None,
    language: Language = None,
    period: Period = None,
    by: By = None,
    limit: Limit = None,
    more: More = None,
    form: Form = Format.table,
    plot: Picture = None,
    names: Listed = False,
    customer: Customer = None,
    as_of: AsOf = None,
) -> None:
    """Query ClickHouse, by SQL or by a query's name.

    Read-only; each event counts once (tables are read with FINAL). A table shows 200 rows at most. In CSV a text that begins
    like a formula (= + - @) gets a ' before it; numbers stay as they are. `--list NAME` shows what a query takes and gives.
    `earshot query timeline --customer ID`: what all accounts of a customer did; `... customer --customer ID`: it on a page.

    Exit codes: 0 answered, 1 ClickHouse refused the query, or nobody has that handle or key, or no brand that name, 2 wrong
    usage, 3 ClickHouse unreachable.
    """
    if names or sql is None:
        refuse(context, "goes with a query", "--format", "--plot")
        _list(sql)
        raise typer.Exit(0 if names else 2)
    if sql in ("customer", "timeline"):
        refuse(context, f"does not go with query {sql}", *_OPTIONS, "--set", "--plot")
        return answer(context, sql, form, customer, as_of, limit)
    refuse(context, "goes with query customer or timeline", "--customer", "--as-of")
    one = {"from": start, "to": end, "zone": zone, "period": period, "limit": limit}
    many = {"brand": brand, "platform": platform, "language": language, "by": by}
    many |= {name: [str(value)] for name, value in one.items() if value is not None}
    return _answer(context, sql, _given(many, _more(more or [])), form, plot)


_OPTIONS = ("--brand", "--from", "--to", "--zone", "--platform", "--language", "--period", "--by")


def _more(texts: Iterable[str]) -> dict[str, list[str]]:
    """The values of --set, by name."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text}: it should look like NAME=VALUE")
        found.setdefault(name, []).append(value)
    return found


def _given(options: Mapping[str, list[str] | None], others: Given) -> Given:
    """What the options say, and --set. Raises SettingsError if both say something of a parameter."""
    given = {name: values for name, values in options.items() if values}
    if twice := given.keys() & others.keys():
        raise SettingsError(f"--set {min(twice)}=...: --{min(twice)} is given, too")
    return {**given, **others}


def _list(name: str | None) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.queries.named import IN_STEPS, named
    from schemas.queries import named_queries

    if name is None:
        meanings = [(each.name, each.first) for each in named_queries().values()]
        console().print(table(("name", "meaning"), [*meanings, *IN_STEPS.items()]))
    elif name in IN_STEPS:
        typer.echo(f"{name}: {IN_STEPS[name]}")
    elif (found := named(name)) is not None:
        typer.echo(found.text.rstrip())
    else:
        raise SettingsError("--list goes with a name, not with SQL")


def _answer(context: typer.Context, sql: str, given: Given, form: Format, plot: Path | None) -> None:
    from datetime import UTC, datetime

    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.queries.named import named, values_of

    query = named(sql)
    if query is None:
        refuse(context, "goes with a named query", *_OPTIONS, "--limit", "--set", "--plot")
    if plot is not None:
        refuse(context, "goes without --plot", "--format")
        _check_plot(query, plot)
    settings = load_settings(context)
    values = values_of(query, given, datetime.now(UTC)) if query else {}
    client = clickhouse_client(settings.clickhouse)
    _check_names(settings, given)
    statement = query.sql if query else sql.strip().rstrip(";")
    if plot is not None and query is not None:
        _draw(client, query, values, plot)
    elif form is Format.table:
        _show(client, statement, values)
    else:
        _write(client, statement, values, form)


def _check_names(settings: Settings, given: Given) -> None:
    """Raises UnknownName for a brand (panel: competitors) or platform that neither a file nor a row knows."""
    if given.keys() & {"brand", "panel", "platform"}:
        from pipeline.queries.names import names_of

        known = names_of(settings)
        for name in (*given.get("brand", ()), *given.get("panel", ())):
            known.check_brand(name)
        for name in given.get("platform", ()):
            known.check_platform(name)


def _check_plot(query: NamedQuery | None, plot: Path) -> None:
    if query is None or query.plot is None:
        raise SettingsError(f"query {query.name} has no picture" if query else "--plot goes with a named query")
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise SettingsError(f"--plot {plot}: it ends in .png, .svg or .pdf")


def _draw(client: Client, query: NamedQuery, values: Values, plot: Path) -> None:
    from pipeline.clickhouse.query import frame, one_line, settings_for
    from pipeline.queries.plot import draw

    with one_line(client):
        result = frame(client, query.sql, values, settings_for(client))
    if result.is_empty():
        typer.echo(f"{_no_rows(values)}: {plot} is not written")
        return
    try:
        draw(plot, query, result)
    except OSError as error:
        raise EarshotError(f"{plot}: {error.strerror}") from None
    typer.echo(f"{plot}  {result.height:,} rows")


def _show(client: Client, statement: str, values: Values) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.clickhouse.query import rows

    answer = rows(client, statement, SHOWN_ROWS, values)
    console().print(table(answer.columns, answer.rows) if answer.rows else _no_rows(values))
    if answer.cut:
        typer.echo(f"the first {SHOWN_ROWS} rows; --format csv or json gives all", err=True)


def _write(client: Client, statement: str, values: Values, form: Format) -> None:
    from pipeline.cli.terminal import without_formulas, write
    from pipeline.clickhouse.query import text

    blocks = text(client, statement, form, values)
    if form is Format.parquet:
        if sys.stdout.isatty():
            raise SettingsError("--format parquet is no text: send it into a file, as > volume.parquet")
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        return
    lines = _Lines(blocks)
    write(without_formulas(lines) if form is Format.csv else lines)
    if lines.seen <= (form is Format.csv):  # the names of the columns
        typer.echo(_no_rows(values), err=True)


def _no_rows(values: Values) -> str:
    """With the time that was asked about: a default hides it."""
    if "from" not in values or "to" not in values:
        return "no rows"
    begin, end = (str(values[name])[:16] for name in ("from", "to"))
    return f"no rows from {begin} to {end} UTC"


class _Lines:
    """Blocks, whose lines it counts."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.seen = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.seen += block.count(b"\n")
            yield block
