"""The texts of minutes, as arrays by brand: what a search for campaigns compares, 120 bytes a text."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.campaign_sql import minute_sql
from pipeline.processors.alerts.minutes import time_of
from pipeline.processors.alerts.similarity import readable
from pipeline.processors.alerts.text_groups import LOWEST, Numbers, Texts, bits_of, signatures

MOST_A_MINUTE = 400_000
"""Rows of a minute that are read, the newest versions."""
log = logging.getLogger("earshot.control")


class Minute(NamedTuple):
    """The texts of one minute. A text about two brands is there twice."""

    number: int
    brands: dict[str, slice]
    """Where each brand's rows are."""
    keys: Numbers
    columns: Texts
    """`fresh` for none."""
    cut: bool
    """Whether it has more than MOST_A_MINUTE rows: the older versions are left out."""


def read_minute(query: Query, number: int, names: Collection[str] | None, values: Iterable[int] | None = None) -> Minute:
    """The texts about brands (of `names`; None: all) in the minute; with `values`, those whose sketches have two of them."""
    found = query(minute_sql(number, names, values, MOST_A_MINUTE + 1))
    cut = found.height > MOST_A_MINUTE
    if cut:
        log.warning(
            "minute %s has more than %d texts about brands: campaigns are looked for in so many", time_of(number), MOST_A_MINUTE
        )
    rows = readable(found.head(MOST_A_MINUTE))
    signs = signatures(rows.get_column("text"))
    about = rows.select("brands").with_row_index("row").explode("brands", empty_as_null=False).sort("brands")
    order, counts = about.get_column("row").to_numpy(), about.group_by("brands", maintain_order=True).len()
    ends = np.cumsum(counts.get_column("len").to_numpy()).tolist()
    places = zip(counts.get_column("brands"), [0, *ends][:-1], ends, strict=True)
    sketches = rows.get_column("sketch").explode().to_numpy().astype(np.uint32).reshape(-1, LOWEST)
    keys, accounts = (rows.get_column(name).to_numpy()[order] for name in ("event_key", "account"))
    columns = Texts(sketches[order], signs[order], bits_of(signs[order]), accounts, np.zeros(len(order), np.bool_))
    brands = {brand: slice(start, end) for brand, start, end in places if names is None or brand in names}
    return Minute(number, brands, keys, columns, cut)


def about(brand: str, minutes: Sequence[Minute], touched: Collection[int]) -> tuple[Numbers, Texts]:
    """The keys and texts of a brand, in order of time; those of touched minutes are fresh."""
    parts = [(minute, minute.brands[brand]) for minute in minutes if brand in minute.brands]
    fresh = [np.full(place.stop - place.start, minute.number in touched) for minute, place in parts]
    columns = zip(*([column[place] for column in minute.columns[:-1]] for minute, place in parts), strict=True)
    sketches, signs, sizes, accounts = (np.concatenate(column) for column in columns)
    keys = np.concatenate([minute.keys[place] for minute, place in parts])
    return keys, Texts(sketches, signs, sizes, accounts, np.concatenate(fresh))
