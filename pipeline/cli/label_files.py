"""Labels files of texts, and checks labels against the truth, for `earshot label`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from pipeline.errors import EarshotError, SettingsError
from pipeline.processors.language_codes import primary_code
from pipeline.processors.sentiment.labels import LABELS, Labeller
from schemas.labels import LABELLED

AT_ONCE = 4_096
"""Texts between two steps of the progress bar: enough to sort by length."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_WITH_COLUMNS = (*_SEPARATORS, ".jsonl", ".ndjson")


def read_texts(path: Path, column: str | None) -> pl.Series:
    """The texts of a file: a text a line, or a column of .csv, .tsv or .jsonl; a null stays one.

    Raises SettingsError for a file that can't be read so, or a missing or unnamed column.
    """
    if path.suffix.lower() not in _WITH_COLUMNS:
        if column is not None or path.suffix.lower() == ".json":
            raise SettingsError(
                f"{path}: a file with columns ends in {', '.join(_WITH_COLUMNS)}; any other has a text a line, without --column"
            )
        return pl.Series(lines(path), dtype=pl.String)
    if column is None:
        raise SettingsError(f"{path}: name the column that holds the texts (--column)")
    frame = _frame(path)
    if column not in frame.columns:
        raise SettingsError(f"{path}: there is no column {column!r}; it has {', '.join(frame.columns)}")
    try:
        return frame.get_column(column).cast(pl.String)
    except pl.exceptions.PolarsError:
        raise SettingsError(f"{path}: column {column!r} does not hold texts") from None


def lines(path: Path) -> list[str]:
    """The lines of a text file, cut at line feeds only: a post may hold other separators. Raises SettingsError."""
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}: line {line} is not UTF-8") from None
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def _frame(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() in _SEPARATORS:
            return pl.read_csv(path, separator=_SEPARATORS[path.suffix.lower()], infer_schema=False)
        return pl.read_ndjson(path, infer_schema_length=None)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None
    except pl.exceptions.NoDataError:
        raise SettingsError(f"{path}: it is empty") from None
    except pl.exceptions.PolarsError as error:
        raise SettingsError(f"{path}: {str(error).splitlines()[0]}") from None


def read_labels(path: Path, labels: str) -> pl.Series:
    """The truth: a column of the file itself, else a file with a label a line: a name of LABELS, or 0, 1, 2 in their order."""
    known = {name: index for index, name in enumerate(LABELS)} | {str(index): index for index in range(len(LABELS))}
    is_column = path.suffix.lower() in _WITH_COLUMNS and labels in _frame(path).columns
    texts = read_texts(path, labels).to_list() if is_column else lines(Path(labels))
    indices = [known.get((label or "").strip().lower()) for label in texts]
    for number, index in enumerate(indices, 1):
        if index is None:
            raise SettingsError(f"{labels}: label {number} is {texts[number - 1]!r}: it is one of {', '.join(known)}")
    return pl.Series(indices, dtype=pl.Int64)


def language_code(name: str) -> str:
    """The code of --language; blank: detected for each text. Raises SettingsError."""
    code = primary_code(name)
    if name and not code:
        raise SettingsError(f"--language {name}: it is no language, as en")
    return code


def label_all(labeller: Labeller, texts: pl.Series, language: str, advance: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    """The labels (columns of labels.COLUMNS), in the order of the texts; `advance` gets the number of texts done."""
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        yield labeller.label(part, pl.Series([language] * len(part), dtype=pl.String))
        advance(start + len(part))


def as_json(labels: pl.DataFrame) -> Iterator[bytes]:
    """A line of JSON per row: label (null without one; `reason` says why), scores, model, language."""
    for row in labels.iter_rows(named=True):
        record = {"label": row["sentiment_label"], "language": row["sentiment_language"]}
        if row["sentiment_status"] == LABELLED:
            record |= {"scores": {name: round(row[f"sentiment_{name}"], 4) for name in LABELS}, "model": row["sentiment_model"]}
        else:
            record |= {"reason": row["sentiment_reason"]}
        yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True)
class Check:
    """`confusion`: a row per true class, a column per label; the last column counts texts without a label, which are wrong."""

    accuracy: float
    macro_f1: float
    macro_recall: float
    confusion: npt.NDArray[np.int64]


def check(labels: pl.Series, truth: pl.Series) -> Check:
    """Means over the classes in the truth. Raises EarshotError if labels and texts differ in number."""
    if len(labels) != len(truth):
        raise EarshotError(f"there are {len(labels):,} texts and {len(truth):,} labels to check them by")
    if not len(labels):
        raise EarshotError("there is nothing to check: no text and no label")
    indices = labels.replace_strict(LABELS, range(3), default=3, return_dtype=pl.Int64).fill_null(3)
    counts = np.bincount(truth.to_numpy() * 4 + indices.to_numpy(), minlength=12).reshape(3, 4)
    right, true, said = counts.diagonal(), counts.sum(1), counts[:, :3].sum(0)
    there = true > 0
    f1 = 2 * right / np.maximum(true + said, 1)
    recall = right / np.maximum(true, 1)
    return Check(float(right.sum() / counts.sum()), float(f1[there].mean()), float(recall[there].mean()), counts)
