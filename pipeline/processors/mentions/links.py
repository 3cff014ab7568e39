"""Links to the brands' own domains: addresses whose host is a domain of brands.yaml, or a part of it (shop.acme.com)."""

from __future__ import annotations

import polars as pl

from pipeline.processors.mentions.folding import Ints
from pipeline.processors.mentions.markup import decoded

_HOST = r"(?:(?:^|[^\w.@/-])(?://)?|://)(?:[\w.-]+\.)?[\w-]+\.[\w-]+@?"
_DEPTH = 6
"""The labels of a host that are looked at, from its end."""


def domain_forms(domain: str) -> list[str]:
    """A domain as addresses write it: as it is, and in ASCII."""
    try:
        return sorted({domain, domain.encode("idna").decode()})
    except UnicodeError:
        return [domain]


def links(texts: pl.Series, rows: Ints, domains: pl.DataFrame) -> pl.DataFrame:
    """The (`text`, `brand`) of links to `domains` (`domain`, `brand`), some of them twice. `rows`: the number of each text."""
    hosts = pl.DataFrame({"text": rows, "host": decoded(texts).str.to_lowercase().str.extract_all(_HOST)}).explode("host")
    labels = pl.col("host").str.extract(r"([\w.-]+)$").str.split(".")
    ends = [labels.list.tail(depth).list.join(".") for depth in range(2, _DEPTH + 1)]
    found = hosts.with_columns(pl.concat_list(ends).alias("domain")).explode("domain").join(domains, on="domain")
    return found.select("text", "brand")
