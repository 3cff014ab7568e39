"""`earshot label`: the models on a file of texts, without a pipeline."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import load_settings

if TYPE_CHECKING:
    from pipeline.cli.label_files import Check


def label(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A text a line; or .csv, .tsv, .jsonl with --column.")],
    column: Annotated[str | None, typer.Option(help="The column that holds the texts.")] = None,
    model: Annotated[
        str | None, typer.Option(help="accurate, fast, a folder, or a hub name (with sentiment.revision).")
    ] = None,
    language: Annotated[str, typer.Option(help="ISO 639 code of all texts. Default: detected for each text.")] = "",
    check: Annotated[str | None, typer.Option(help="The true labels: a file with one a line, or a column of FILE.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File of the labels. Default: standard output.")] = None,
) -> None:
    """Label the sentiment of any file of texts: a line of JSON a text, in order.

    A text without a label has a reason. --check (negative, neutral, positive or 0, 1, 2) prints accuracy, macro F1, macro
    recall and a confusion table, and writes labels only with --output.

    Exit codes: 0 done, 1 texts and true labels differ in number, 2 a file, a column or a model can't be used.
    """
    settings = load_settings(context).sentiment
    chosen = model or ("fast" if settings.model == "off" else settings.model)
    from pipeline.cli import label_files
    from pipeline.cli.terminal import progress
    from pipeline.processors.sentiment.load import load_labeller

    texts, language = label_files.read_texts(file, column), label_files.language_code(language)
    truth = label_files.read_labels(file, check) if check is not None else None
    labeller = load_labeller(settings.model_copy(update={"model": chosen, "models": {} if model else settings.models}))
    given = []
    with ExitStack() as open_files, progress("texts") as advance:
        target = open_files.enter_context(output.open("wb")) if output else sys.stdout.buffer if check is None else None
        for labels in label_files.label_all(labeller, texts, language, lambda done: advance(done, len(texts))):
            given.append(labels.get_column("sentiment_label"))
            if target is not None:
                target.writelines(label_files.as_json(labels))
    if truth is not None:
        import polars as pl

        _show(label_files.check(pl.concat(given) if given else pl.Series(dtype=pl.String), truth))


def _show(result: Check) -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.processors.sentiment.labels import LABELS

    screen = console()
    for name, value in (("accuracy", result.accuracy), ("macro F1", result.macro_f1), ("macro recall", result.macro_recall)):
        screen.print(f"{name:13} {value:.4f}")
    rows = [(true, *result.confusion[index].tolist()) for index, true in enumerate(LABELS)]
    screen.print(table(("true \\ label", *LABELS, "no label"), rows))
