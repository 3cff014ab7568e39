"""`earshot generate`: a synthetic stream, and its truth."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pipeline.cli.options import load_settings, parse_rate, refuse
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.generate.plan import Plan

LIVE_RATE = 100.0
SYSTEMS = ("kafka", "clickhouse")
"""Targets that are not files."""
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


class Files(NamedTuple):
    """What is written beside the stream."""

    truth: Path
    crm: Path | None
    force: bool


def generate(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=1, help="Number of records, including redeliveries and broken ones.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another stream with other people.")] = 1,
    to: Annotated[str, typer.Option(metavar="kafka|clickhouse|FILE.jsonl", help="The target.")] = "kafka",
    truth: Annotated[Path | None, typer.Option(help="File of the truth. Default: truth.jsonl beside FILE, or here.")] = None,
    crm: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Also write a CRM with records of these people.")] = None,
    start: Annotated[datetime, typer.Option(formats=TIMES, help="The first event's time, UTC.")] = datetime(2026, 1, 1),
    days: Annotated[float, typer.Option(min=1e-4, help="Length of the stream in days of event time.")] = 30.0,
    rate: Annotated[str, typer.Option(help="Records a second, or max. To Kafka only.")] = "max",
    live: Annotated[bool, typer.Option("--live", help="Events happen now, at --rate (default 100).")] = False,
    brands: Annotated[Path | None, typer.Option(help="brands.yaml. Default: that of the settings, else the sample's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Make a synthetic stream with a known truth: the same options make the same bytes.

    To Kafka, to a file for `earshot replay`, or straight into ClickHouse as history. docs/generate.md describes its contents.

    Exit codes: 0 done, 1 Kafka refused records or the file can't be written, 2 wrong usage or settings, or a file exists, 3
    broker or ClickHouse unreachable, 4 run `earshot migrate` first, 130 stopped.
    """
    settings, pace = load_settings(context), parse_rate(rate)
    _check(context, to, live, pace)
    from pipeline.generate import targets
    from pipeline.generate.plan import Plan
    from pipeline.processors.mentions.brands import load_brands

    known = load_brands(path) if (path := brands or settings.brands) else targets.sample_brands()
    plan = (
        targets.live(count, known, seed, pace or LIVE_RATE)
        if live
        else Plan(count, known, seed, start.replace(tzinfo=UTC), days)
    )
    if not live and plan.end_ms / 1000 > (datetime.now(UTC) + timedelta(days=1)).timestamp():
        raise SettingsError("the stream would end in the future: give an earlier --start or fewer --days")
    truth = truth or (Path() if to in SYSTEMS else Path(to).parent) / "truth.jsonl"
    _run(plan, settings, to, Files(truth, crm, force), pace, live)


def _check(context: typer.Context, to: str, live: bool, rate: float | None) -> None:
    """Raises SettingsError for a target that is unknown, and for options that do not go together."""
    if to not in SYSTEMS and not to.endswith(".jsonl"):
        raise SettingsError(f"--to {to}: it is kafka, clickhouse, or a file that ends in .jsonl")
    if to != "kafka" and (live or rate is not None):
        raise SettingsError("--live and --rate go with --to kafka")
    if live:
        refuse(context, "goes without --live, whose events are of now", "--start", "--days")


def _run(plan: Plan, settings: Settings, to: str, beside: Files, pace: float | None, live: bool) -> None:
    from pipeline.cli.terminal import progress_bars
    from pipeline.generate import targets

    with ExitStack() as files:
        file = files.enter_context(targets.new_file(Path(to), beside.force)) if to.endswith(".jsonl") else None
        truth = files.enter_context(targets.new_file(beside.truth, beside.force))
        if beside.crm is not None:
            from pipeline.generate.crm import write_crm

            records = write_crm(plan.seed, files.enter_context(targets.new_file(beside.crm, beside.force)))
        bars = files.enter_context(progress_bars())
        task = bars.add_task("generating", total=plan.count)

        def advance(records: int) -> None:
            bars.advance(task, records)

        if to == "kafka":
            sent = targets.to_kafka(plan, settings.kafka, truth, advance, rate=pace, is_live=live)
        elif to == "clickhouse":
            from pipeline.generate.history import to_clickhouse

            landed = to_clickhouse(plan, settings, truth, advance)
        elif file is not None:
            targets.to_jsonl(plan, file, truth, advance)
    if beside.crm is not None:
        typer.echo(f"crm {beside.crm}  records {records:,}")
    if to == "kafka":
        typer.echo(f"stream {plan.id}  sent {sent.acknowledged:,}  failed {sent.failed.total():,}  truth {beside.truth}")
        for why, times in sent.failed.most_common():
            typer.echo(f"not sent, {times:,}: {why}", err=True)
        raise typer.Exit(130 if sent.interrupted else 1 if sent.failed else 0)
    if to == "clickhouse":
        dropped = "".join(f"  {reason} {times:,}" for reason, times in landed.dropped.items() if times)
        typer.echo(
            f"stream {plan.id}  read {landed.read:,}  landed {landed.landed:,}{dropped}  rejected {landed.rejected:,}"
            f"  truth {beside.truth}"
        )
    else:
        typer.echo(f"stream {plan.id}  records {plan.count:,}  {to}  truth {beside.truth}")
