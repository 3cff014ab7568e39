"""`earshot replay`: sends recorded events, and reports their counts, the rows without one and the fields left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pipeline.cli.options import load_settings, parse_rate, refuse
from pipeline.errors import EarshotError

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from pipeline.sources.recorded.open_files import How
    from pipeline.sources.recorded.report import ReplayReport

SHOWN_UNMAPPED = 20


def replay(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="JSONL of events; CSV, TSV, JSON, JSONL with a mapping; payloads.")],
    mapping: Annotated[Path | None, typer.Option(help="The mapping file. Default: by the file's name.")] = None,
    rate: Annotated[str, typer.Option(help="Events a second, or max.")] = "max",
    speed: Annotated[float | None, typer.Option(min=1e-9, help="Paced by event time, this many times as fast.")] = None,
    as_now: Annotated[bool, typer.Option("--as-now", help="Set each event's time to the moment it is sent.")] = False,
    platform: Annotated[str | None, typer.Option(help="Payloads of this platform, through its mapper.")] = None,
    host: Annotated[str, typer.Option(help="With --platform: the server that sent them, as mastodon.social.")] = "",
    unmapped: Annotated[Path | None, typer.Option(help="Write all rows that don't map to this file, with reasons.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: show 20 events and figures of all.")] = False,
) -> None:
    """Send recorded events to Kafka.

    A row that can't be mapped is reported with its line and reason, and the replay continues. An optional field that can't be
    read is left out and counted. Before it sends, it says how many events are stored already under another created_at, which
    stays; a dry run lists them.

    With --platform the files hold payloads as the platform sends them: JSON in any form, also CSV, mails (.eml, mbox) of email,
    feeds of rss. Each item is created once, and then updated or deleted.

    Exit codes: 0 all mapped events are in Kafka, 1 some are not acknowledged, or a file breaks off or has no event, 2 wrong
    usage or mapping, 3 broker unreachable, 130 stopped by Ctrl-C.
    """
    how = _how(context, mapping, platform, host)
    if dry_run:
        refuse(context, "goes without --dry-run, which sends nothing", "--rate", "--speed")
        _dry_run(load_settings(context), files, how, as_now, unmapped)
    settings, pace = load_settings(context), parse_rate(rate)
    from pipeline.cli.known_ids import show_known
    from pipeline.cli.terminal import progress_bars
    from pipeline.sources.recorded.replay import replay as run

    show_known(settings, files, how, as_now=as_now, listed=False)
    with progress_bars() as bars:
        report = run(settings, files, mapping=how, rate=pace, speed=speed, as_now=as_now, progress=bars)
    _report(report, unmapped)
    raise typer.Exit(130 if report.interrupted else 0 if report.complete and not report.barren else 1)


def _how(context: typer.Context, mapping: Path | None, platform: str | None, host: str) -> How:
    """How files become events. Raises SettingsError for options that exclude each other."""
    if platform is None:
        refuse(context, "goes with --platform", "--host")
        return mapping
    refuse(context, "goes without --platform, which has a mapper", "--mapping")
    from pipeline.sources.recorded.platform_files import ByPlatform

    return ByPlatform(platform, host)


def _dry_run(settings: Settings, files: list[Path], how: How, as_now: bool, unmapped: Path | None) -> NoReturn:
    from pipeline.cli.dry_run import print_dry_run
    from pipeline.cli.known_ids import show_known
    from pipeline.cli.terminal import progress_bars
    from pipeline.sources.recorded.dry_run import dry_run

    with progress_bars(look=True) as bars:
        run = dry_run(files, how, as_now, bars)
    print_dry_run(run, how)
    _report_rows(run.report, unmapped)
    show_known(settings, files, how, as_now=as_now, listed=True)
    raise typer.Exit(1 if run.report.barren or run.report.damaged else 0)


def _report(report: ReplayReport, file: Path | None) -> None:
    from pipeline.cli.terminal import printable

    failed, unmapped = sum(report.failed.values()), len(report.unmapped)
    typer.echo(
        f"rows {report.rows:,}  events {report.events:,}  sent {report.produced:,}  failed {failed:,}  unmapped {unmapped:,}"
    )
    for why, count in report.failed.most_common():
        typer.echo(f"not sent, {count:,}: {printable(why)}", err=True)
    _report_rows(report, file)


def _report_rows(report: ReplayReport, file: Path | None) -> None:
    """The rows and fields that could not be read, to stderr and to the file of `--unmapped`."""
    from pipeline.cli.terminal import one_line

    for note in report.notes:
        typer.echo(one_line(note), err=True)
    unmapped = len(report.unmapped)
    for row in report.unmapped.first(SHOWN_UNMAPPED):
        typer.echo(f"unmapped {one_line(str(row))}", err=True)
    if unmapped > SHOWN_UNMAPPED and file is None:
        typer.echo(f"and {unmapped - SHOWN_UNMAPPED:,} more (--unmapped FILE has them all)", err=True)
    if file is not None:
        try:
            with file.open("w", encoding="utf-8", errors="backslashreplace") as out:
                out.writelines(f"{one_line(str(row))}\n" for row in report.unmapped)
        except OSError as error:
            raise EarshotError(f"{file}: {error.strerror}") from None
    for field, count in report.left_out.most_common():
        typer.echo(f"left out {field}, {count:,} times, first: {one_line(str(report.first_left_out[field]))}", err=True)
    for kind, count in report.not_mapped.most_common():
        typer.echo(f"not mapped {kind}, {count:,} times, first: {one_line(str(report.first_not_mapped[kind]))}", err=True)
    if report.unchanged:
        typer.echo(f"seen again without a change, {report.unchanged:,} times", err=True)
    for path in report.barren:
        typer.echo(f"{one_line(path)}: no row of it has an event", err=True)
