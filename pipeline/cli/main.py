"""The command line: `earshot`.

Each command reads the settings, calls one function of another room and prints its result. Commands import heavy modules
themselves, so that `earshot --help` is quick.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline.cli import (
    alerts,
    backtest,
    backup,
    check,
    console,
    crm,
    dlq,
    generate,
    identity,
    keys,
    label,
    mapping,
    offsets,
    person,
    query,
    rates,
    reconcile,
    rematch,
    replay,
    rescore,
    rollups,
    send,
    source,
    status,
)
from pipeline.cli.options import load_settings
from pipeline.cli.prompts import confirm
from pipeline.errors import EarshotError
from pipeline.http.loopback import reach_loopback_directly

app = typer.Typer(
    name="earshot",
    help="""Earshot: social events from Kafka into ClickHouse, each exactly once.

    Start with `earshot up`. Exit codes: 0 done, 1 partly failed, 2 wrong usage or settings, 3 broker or ClickHouse unreachable,
    4 tables or topics don't match this program, 5 the embedded stack can't start, 130 stopped by Ctrl-C.""",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataDir = Annotated[Path | None, typer.Option(help="The folder with all state of the embedded stack.")]


@app.callback()
def _common(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML). Default: EARSHOT_CONFIG, else ./earshot.toml.")
    ] = None,
) -> None:
    context.obj = config


@app.command(epilog="Example:  earshot up --data-dir ./state --broker light")
def up(
    context: typer.Context,
    data_dir: DataDir = None,
    broker: Annotated[str | None, typer.Option(help="auto, kafka or light (in memory, for a first look).")] = None,
    sample: Annotated[bool, typer.Option("--sample/--no-sample", help="Feed the sample stream.")] = True,
    live: Annotated[str, typer.Option(help="Follow these words on Bluesky, as coffee,pizza; in place of the sample.")] = "",
) -> None:
    """Start Kafka, ClickHouse, a worker, control, customers and the console here. Ctrl-C stops all; the data stays.

    It prints a link to the console, which logs in once, and shows the stream.

    A listener starts where setting sources names a file.

    Exit codes: 0 stopped, 2 wrong settings, 4 the data is newer than this program, 5 a port is taken, the folder is in use or
    the disk is full.
    """
    from pipeline.cli.up import up as start

    start(load_settings(context, data_dir=data_dir, broker=broker), sample=sample, live=live)


@app.command(epilog="Example:  earshot --config production.toml worker")
def worker(context: typer.Context) -> None:
    """Run one worker, until Ctrl-C or SIGTERM.

    It uses the Kafka and the ClickHouse of the settings. Run up to one per partition; they share the work.

    Exit codes: 0 stopped, 1 an error that a restart repairs, 2 wrong settings, 3 broker or ClickHouse unreachable, 4 run
    `earshot migrate` first.
    """
    from pipeline.worker.allocator import keep_pages

    keep_pages()
    from pipeline.app import run_worker

    run_worker(load_settings(context))


@app.command(epilog="Example:  earshot --config production.toml control")
def control(context: typer.Context) -> None:
    """Evaluate the rules of alerts.yaml and notify the receivers, until Ctrl-C or SIGTERM.

    Run one beside the workers. `earshot alerts` uses its API, with the tokens of setting control.tokens.

    Exit codes: 0 stopped, 1 an error that a restart repairs, 2 wrong settings or alerts.yaml, 3 broker or ClickHouse
    unreachable, 4 run `earshot migrate` first, 5 its port is taken.
    """
    from pipeline.control.app import run_control

    run_control(load_settings(context))


@app.command(epilog="Example:  earshot --config production.toml customers")
def customers(context: typer.Context) -> None:
    """Keep which accounts belong to one customer, until Ctrl-C or SIGTERM.

    Run one beside the workers. `earshot identity` uses its API, with the tokens of setting customers.tokens.

    Exit codes: 0 stopped, 1 an error that a restart repairs, 2 wrong settings, 3 broker or ClickHouse unreachable, 4 run
    `earshot migrate` first, 5 its port is taken.
    """
    from pipeline.customers.app import run_customers

    run_customers(load_settings(context))


@app.command(epilog="Example:  earshot --config production.toml listen")
def listen(context: typer.Context) -> None:
    """Listen to the sources of sources.yaml, and send their events to Kafka, until Ctrl-C or SIGTERM.

    Run as many as wanted: they share the sources, and take over from one that ends.

    Exit codes: 0 stopped, 1 an error that a restart repairs, 2 wrong settings or sources.yaml, 3 broker or ClickHouse
    unreachable, 4 run `earshot migrate` first, 5 its port is taken.
    """
    from pipeline.worker.allocator import return_pages

    return_pages()
    from pipeline.listen.app import run_listen

    run_listen(load_settings(context))


@app.command(epilog="Example:  earshot migrate --cluster eu --print > tables.sql")
def migrate(
    context: typer.Context,
    cluster: Annotated[str | None, typer.Option(help="With --print: tables for the ClickHouse cluster of this name.")] = None,
    show: Annotated[bool, typer.Option("--print", help="Print these statements; change and ask nothing.")] = False,
) -> None:
    """Create or update ClickHouse's tables and Kafka's topics. A second run changes nothing.

    Exit codes: 0 up to date, 2 wrong settings, 3 broker or ClickHouse unreachable, 4 a migration is half applied or was edited,
    or the database is newer than this program.
    """
    from pipeline.errors import SettingsError
    from pipeline.migrate import cluster_script
    from pipeline.migrate import migrate as run

    settings = load_settings(context)
    if show != (cluster is not None):
        raise SettingsError("--cluster NAME and --print go together: Earshot prints the tables of a cluster, and makes none")
    for line in run(settings) if cluster is None else cluster_script(settings, cluster):
        typer.echo(line)


@app.command(epilog="Example:  earshot reset --data-dir ./state --yes")
def reset(
    context: typer.Context,
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete Earshot's data in the folder of the embedded stack. Asks first.

    All events, tables and offsets go; other files in the folder stay, and are listed.

    Exit codes: 0 done, 1 not confirmed, 2 wrong settings, 5 a stack is running in the folder, or nothing in it is Earshot's.
    """
    folder = load_settings(context, data_dir=data_dir).embedded.data_dir
    from pipeline.cli.terminal import printable
    from pipeline.embedded.reset import ours
    from pipeline.embedded.reset import reset as empty

    if not yes and (paths := [str(path.relative_to(folder)) for path in ours(folder)]):
        typer.echo(f"in {folder}: {', '.join(paths)}")
        confirm("Delete these, with all events, tables and offsets of Earshot?")
    done = empty(folder)
    typer.echo(f"{folder}: deleted {', '.join(done.gone) or 'nothing'}")
    if done.left:
        typer.echo(f"kept, not Earshot's: {', '.join(map(printable, done.left))}")


app.command(epilog="Example:  earshot status || page-somebody")(status.status)
app.command(epilog="Example:  earshot send --text 'The kettle leaks' --author ines --platform forum")(send.send)
app.command(epilog="Example:  earshot replay --as-now --rate 50 posts.jsonl reviews.csv")(replay.replay)
app.command(epilog="Example:  earshot generate --count 1000000 --days 90 --to clickhouse")(generate.generate)
app.command(epilog="Example:  earshot query 'SELECT platform, count() FROM interactions GROUP BY platform'")(query.query)
app.command(epilog="Example:  earshot rematch --brand Acme --since 2026-11-01 --dry-run")(rematch.rematch)
app.command(epilog="Example:  earshot check --repair")(check.check)
app.command(epilog="Example:  earshot backup /backups/2026-11-30")(backup.backup)
app.command(epilog="Example:  earshot restore /backups/2026-11-30 --erasures /mnt/erasures.jsonl")(backup.restore)
app.command(epilog="Example:  earshot rates rates.csv")(rates.rates)
app.command(epilog="Example:  earshot reconcile --dry-run")(reconcile.reconcile)
app.command(epilog="Example:  earshot rescore --since 2026-11-01 --dry-run")(rescore.rescore)
app.command(epilog="Example:  earshot label reviews.csv --column text --model accurate > labels.jsonl")(label.label)
alerts.app.command(epilog="Example:  earshot alerts backtest --rule volume --from 2026-11-01 --to 2026-11-08")(
    backtest.backtest
)
for name, group in {
    "alerts": alerts.app, "console": console.app, "crm": crm.app, "dlq": dlq.app, "offsets": offsets.app, "keys": keys.app,
    "rollups": rollups.app, "mapping": mapping.app, "source": source.app, "identity": identity.app, "person": person.app,
}.items():  # fmt: skip
    app.add_typer(group, name=name)


def main() -> None:
    """The console script: an EarshotError is one line on stderr and its exit code, as is a full disk; Ctrl-C exits with 130."""
    reach_loopback_directly()
    if isinstance(sys.stdout, TextIOWrapper):  # of another encoding than UTF-8: what it lacks becomes an escape
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except EarshotError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes what is left when it ends
        _fail(f"the output is not written: {error.strerror}", 1)


def _fail(says: str, code: int) -> NoReturn:
    from pipeline.cli.terminal import printable

    typer.secho(f"earshot: {printable(says)}", err=True, fg="red")
    sys.exit(code)
