"""Mentions: which tracked brands an event is about.

brands.yaml:

    brands:
      - name: Northwind Air
        handles: ["@northwindair"]
        keywords: ["northwind air"]

A handle counts in the event's `mentions` and in its text, a keyword in its text, both without regard to the case of letters
and only as whole words: no ASCII letter, digit or underscore right before or after. `brands` becomes the sorted union of these
and what the source gave.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.batch import EventBatch
from pipeline.errors import SettingsError

_LETTERS = pl.lit(
    pl.Series([bytes([code]) for code in range(128) if chr(code).isalnum() or chr(code) == "_"], dtype=pl.Binary).implode()
)


class Brand(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    handles: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


class Brands(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    brands: tuple[Brand, ...]


def load_brands(path: Path) -> Brands:
    """Reads brands.yaml. Raises SettingsError that names the file and the key."""
    try:
        return Brands.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(f"{path}: {key or 'the file'}: {reason}") from None


class Mentions:
    """The step. Sets `brands` (List(String), never null) and keeps every row."""

    name = "mentions"

    def __init__(self, brands: Brands) -> None:
        handles = [(_handle(handle), brand.name) for brand in brands.brands for handle in brand.handles]
        words = [(word.lower(), brand.name) for brand in brands.brands for word in brand.keywords]
        words += [("@" + handle, name) for handle, name in handles]
        schema = {"term": pl.String, "brand": pl.String}
        self._handles = pl.DataFrame(handles, schema=schema, orient="row").unique()
        self._words = pl.DataFrame([pair for pair in words if pair[0]], schema=schema, orient="row").unique()
        self._terms = self._words.get_column("term").unique(maintain_order=True).to_list()
        self._ascii = all(term.isascii() for term in self._terms)

    def process(self, batch: EventBatch) -> EventBatch:
        frame = batch.events
        found = [hits for hits in (self._in_text(frame), self._in_mentions(frame), _given(frame)) if hits is not None]
        empty = pl.lit([], dtype=pl.List(pl.String))
        if not found:
            batch.events = frame.with_columns(brands=empty)
            return batch
        brands = pl.concat(found).unique().sort("place", "brand").group_by("place", maintain_order=True).agg("brand")
        lists = pl.DataFrame({"place": range(frame.height)}, schema={"place": pl.UInt32}).join(
            brands, on="place", how="left", maintain_order="left"
        )
        batch.events = frame.with_columns(brands=lists.select(pl.col("brand").fill_null(empty)).to_series())
        return batch

    def _in_text(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        if not self._terms or frame.get_column("text").null_count() == frame.height:
            return None
        text = frame.select("text").with_row_index("place")
        if not self._ascii:
            text = text.with_columns(pl.col("text").str.to_lowercase())
        text = text.filter(pl.col("text").str.contains_any(self._terms, ascii_case_insensitive=self._ascii))
        hits = text.with_columns(
            term=pl.col("text").str.extract_many(self._terms, ascii_case_insensitive=self._ascii, overlapping=True),
            start=pl.col("text").str.find_many(self._terms, ascii_case_insensitive=self._ascii, overlapping=True),
        ).explode("term", "start")
        raw = pl.col("text").cast(pl.Binary)
        before = raw.bin.slice(pl.col("start").cast(pl.Int64) - 1, 1)
        after = raw.bin.slice(pl.col("start") + pl.col("term").str.len_bytes(), 1)
        whole = ((pl.col("start") == 0) | ~_in_word(before)) & ~_in_word(after)
        hits = hits.filter(whole).select("place", pl.col("term").str.to_lowercase())
        return hits.join(self._words, on="term").select("place", "brand")

    def _in_mentions(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        mentions = frame.get_column("mentions")
        if not self._handles.height or mentions.null_count() == frame.height:
            return None
        hits = frame.select("mentions").with_row_index("place").explode("mentions").drop_nulls("mentions")
        hits = hits.with_columns(term=pl.col("mentions").str.to_lowercase().str.strip_prefix("@"))
        return hits.join(self._handles, on="term").select("place", "brand")


def _given(frame: pl.DataFrame) -> pl.DataFrame | None:
    if frame.get_column("brands").null_count() == frame.height:
        return None
    given = frame.select(brand="brands").with_row_index("place").explode("brand")
    return given.filter(pl.col("brand").fill_null("") != "")


def _handle(handle: str) -> str:
    return handle.lower().removeprefix("@")


def _in_word(byte: pl.Expr) -> pl.Expr:
    """Whether a one-byte slice is an ASCII letter, digit or underscore; no byte (the text's end) is not."""
    return byte.is_in(_LETTERS).fill_null(False)
