"""`earshot rescore`: the current models, applied to stored rows."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings, time_of
from pipeline.errors import SettingsError


def rescore(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="Only events created at or after this time (ISO 8601, UTC).")] = None,
    brand: Annotated[str | None, typer.Option(help="Only events that mention this brand.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the changes without making them.")] = False,
) -> None:
    """Label stored rows again, with the models of the settings.

    Rows whose label, model or status changes get a new minor version; all other columns stay, and each event still counts once.
    A second run changes nothing, or completes a stopped one.

    Exit codes: 0 done, 1 ClickHouse refused (run it again), or no such brand, 2 wrong usage or a model that can't be used, 3
    broker or ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings, start = load_settings(context), time_of("--since", since)
    if settings.sentiment.model == "off":
        raise SettingsError("setting sentiment.model is off: there is nothing to label with")
    if brand is not None:
        from pipeline.queries.names import names_of

        names_of(settings).check_brand(brand)
    from pipeline.cli.terminal import console, progress, table
    from pipeline.maintenance.rescore import rescore as run
    from pipeline.processors.sentiment.load import load_labeller
    from pipeline.sinks.changes import Changes, unheard

    labeller = load_labeller(settings.sentiment)
    changing = unheard if dry_run else Changes(settings.kafka, "rescore").changing
    with on_record(settings, "rescore", brand or "", dry_run) as act, progress("rows") as advance:
        done = run(
            settings.clickhouse, labeller, since=start, brand=brand, dry_run=dry_run, progress=advance, changing=changing
        )
        act.after = {"rows": done.rows, "since": start}
    if done.rows:
        names = sorted(done.before | done.after)
        console().print(table(("label", "before", "after"), [(name, done.before[name], done.after[name]) for name in names]))
    typer.echo(f"{done.rows:,} rows {'would change' if dry_run else 'changed'}")
