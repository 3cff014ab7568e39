"""Evidence: the edges that the authors of a batch's rows give (schemas/identity.py says what each edge means).

| rule | of | edge |
|---|---|---|
| email, phone | the keyed hashes of step privacy, which has blanked blocked ones | value |
| url, bio | pages of other profiles: a claim of their handle, or of their id | profile, handle |
| login | `author.accounts`, by id: the source knows that both are one person's | profile, login |
| accounts | `author.accounts`, by handle: a claim | profile, handle |
| bears | the handle of a profile that makes a claim, so that two claims can meet | value, handle |
| page | `author.url` that is a page of the author's own | value |

No evidence: a row of a brand's own account (outbound, staff, bots), of a platform that takes none, a profile that names
itself. A fact that many rows repeat is one row for each basis, the oldest.
"""

from __future__ import annotations

import polars as pl

from pipeline.identity.profile_urls import accounts_in, pages
from pipeline.identity.rules_file import GIVEN, RulesFile
from schemas.events import NAME_BYTES
from schemas.evidence import EVIDENCE_COLUMNS, NO_EDGES
from schemas.identity import EDGE_COLUMNS, account_keys, bare, edge_keys, value_keys

MOST_NAMED = 50
"""Accounts that a page, a bio or a list of accounts names at most: one with more is a directory, and no person's."""
OF_AUTHORS = ("author_email", "author_phone", "author_url", "author_bio", "author_accounts")
"""The columns that evidence is made of."""
_TEXTS = [column for column in OF_AUTHORS if column != "author_accounts"]
"""A blank one says nothing: so ClickHouse has a text that is not there, and rows that were completed from it."""
_OWN_PAGE = (pl.col("platform") == "twitter") & (pl.col("author_url") == pl.format("https://x.com/{}", "author_handle"))
"""The page that the mapper of X gives each row: most links are that, and here it costs a tenth."""
_HAS_PAGE = r"\.[^\s/]+/\S"
"""What each link to a page has; looking for links takes longer."""


def evidence(rows: pl.DataFrame, rules: RulesFile, version: int) -> pl.DataFrame:
    """EVIDENCE_COLUMNS, each edge and basis once, by (at, event). `rows`: whole, as step completion leaves them; `version`: of
    the rules.

    The time of an edge is that of the author's data (`author_at`), which may be older than the row.
    """
    profiles = _profiles(rows, rules)
    if profiles.is_empty():
        return NO_EDGES
    found = [
        *(_values(profiles, type_, profiles.get_column(f"author_{type_}")) for type_ in ("email", "phone")),
        *_of_pages_and_accounts(profiles),
    ]
    found = [edges for edges in found if edges.height]
    if not found:
        return NO_EDGES
    edges = pl.concat(found).with_columns(rule_version=pl.lit(version), held=pl.lit(0))
    edges = edges.select(pl.col(name).cast(type_) for name, type_ in EVIDENCE_COLUMNS.items() if name != "edge")
    keyed = edges.select(edge_keys(edges).alias("edge"), *EDGE_COLUMNS, "claimed", "hash")
    return keyed.sort("at", "event").unique(["edge", "basis"], keep="first", maintain_order=True)


def _profiles(rows: pl.DataFrame, rules: RulesFile) -> pl.DataFrame:
    """The rows that may give evidence: OF_AUTHORS, names, `a` (the profile's key), `at`, `event`, `<type>_basis`."""
    present = [column for column in OF_AUTHORS if rows.get_column(column).null_count() < rows.height]
    if not present:
        return pl.DataFrame()
    says = {
        "author_url": (pl.col("author_url") != "") & ~_OWN_PAGE.fill_null(False),
        "author_bio": pl.col("author_bio").str.contains(_HAS_PAGE),
        "author_accounts": pl.col("author_accounts").list.len() > 0,
    }
    some = pl.any_horizontal(says.get(column, pl.col(column) != "") for column in present)
    own = (pl.col("direction") == "outbound") | pl.col("author_kind").is_in(["staff", "bot"])
    profiles = rows.filter(some & ~own.fill_null(False) & (pl.col("is_deleted") == 0)).select(
        "platform", "source_name", "author_id", "author_handle", "author_accounts", pl.col(_TEXTS).replace("", None),
        pl.col("author_at").dt.epoch("ms").alias("at"), pl.col("event_key").alias("event"),
    )  # fmt: skip
    if profiles.is_empty():
        return profiles
    names = (profiles.get_column(name) for name in ("platform", "author_id", "author_handle"))
    profiles = profiles.with_columns(account_keys(*names).alias("a")).filter(pl.col("a") != 0)
    sources = profiles.select("platform", "source_name").unique()
    bases = [_bases(rules, *source) for source in sources.iter_rows()]
    taken = pl.Series([rules.platform(platform).evidence for platform in sources.get_column("platform")], dtype=pl.Boolean)
    sources = sources.hstack(pl.DataFrame(bases, {f"{type_}_basis": pl.String for type_ in GIVEN})).filter(taken)
    return profiles.join(sources, on=["platform", "source_name"], nulls_equal=True, maintain_order="left")


def _bases(rules: RulesFile, platform: str, source: str | None) -> dict[str, str]:
    """The basis of each type in events of this source."""
    given = rules.given(platform, source)
    without = {type_: "public" if type_ in ("handle", "page") else "unknown" for type_ in GIVEN}
    return {f"{type_}_basis": "given" if type_ in given else basis for type_, basis in without.items()}


def _of_pages_and_accounts(profiles: pl.DataFrame) -> list[pl.DataFrame]:
    """The edges of people's own pages, and to other profiles: claims, with the handles that the claimants bear, and logins."""
    profiles = profiles.filter(pl.any_horizontal(pl.col("author_url", "author_bio", "author_accounts").is_not_null()))
    if profiles.is_empty():
        return []
    listed = _listed(profiles.get_column("author_accounts"))
    others = [
        (accounts_in(profiles.get_column("author_url")), "handle", "url"),
        (accounts_in(profiles.get_column("author_bio")), "handle", "bio"),
        (listed.filter(pl.col("id").is_null()), "handle", "accounts"),
        (listed.filter(pl.col("id").is_not_null()), "login", "login"),
    ]
    few = pl.len().over("row") <= MOST_NAMED
    found = [_to_profiles(profiles, accounts.filter(few), type_, rule) for accounts, type_, rule in others if accounts.height]
    edges = [_values(profiles, "page", pages(profiles.get_column("author_url"))), *(each.drop("row") for each in found)]
    claims = [each.filter(type="handle").get_column("row") for each in found]
    return [*edges, _bears(profiles[pl.concat(claims).unique()])] if claims else edges


def _values(profiles: pl.DataFrame, type_: str, digests: pl.Series) -> pl.DataFrame:
    """The edges of profiles that have a value of this type."""
    there = digests.is_not_null()
    if not there.any():
        return pl.DataFrame()
    digests = digests.filter(there)
    edges = _edges(profiles.filter(there), "value", type_, type_).with_columns(value_keys(type_, digests).alias("b"))
    return edges.with_columns(digests.alias("hash")) if type_ != "page" else edges


def _listed(lists: pl.Series) -> pl.DataFrame:
    """The entries of `author.accounts`, as ACCOUNTS."""
    entries = lists.alias("entry").to_frame().with_row_index("row").explode("entry").drop_nulls()
    parts = pl.col("entry").str.splitn(":", 2)
    platform, name = parts.struct.field("field_0"), parts.struct.field("field_1")
    by_handle = name.str.starts_with("@")
    return entries.select(
        "row", platform.alias("platform"), pl.when(by_handle).then(bare(name)).alias("handle"),
        pl.when(~by_handle).then(name).alias("id"),
    )  # fmt: skip


def _to_profiles(profiles: pl.DataFrame, accounts: pl.DataFrame, type_: str, rule: str) -> pl.DataFrame:
    """Edges to these accounts (ACCOUNTS), with the `row` of the profile; none from a profile to itself."""
    accounts = accounts.filter(pl.col("handle").fill_null("").str.len_bytes() <= NAME_BYTES)  # nobody bears a longer one
    naming = profiles[accounts.get_column("row")]
    keys = account_keys(*(accounts.get_column(name) for name in ("platform", "id", "handle")))
    named = accounts.select("row", claimed=pl.col("handle").fill_null(""), b_platform="platform").with_columns(keys.alias("b"))
    edges = _edges(naming, "profile", type_, rule).with_columns(named)
    return edges.filter((keys != edges.get_column("a")) & (keys != _handle_keys(naming)))


def _bears(profiles: pl.DataFrame) -> pl.DataFrame:
    """That these profiles bear their handles."""
    keys = _handle_keys(profiles).alias("b")
    return _edges(profiles, "value", "handle", "bears").with_columns(keys).filter(pl.col("b") != 0)


def _handle_keys(profiles: pl.DataFrame) -> pl.Series:
    no_id = pl.Series([None], dtype=pl.String).new_from_index(0, profiles.height)
    return account_keys(profiles.get_column("platform"), no_id, profiles.get_column("author_handle"))


def _edges(profiles: pl.DataFrame, kind: str, type_: str, rule: str) -> pl.DataFrame:
    """Edges of these profiles, `b` still 0."""
    return profiles.select(
        pl.lit(kind).alias("kind"), "a", pl.lit(0, pl.UInt64).alias("b"), pl.lit(type_).alias("type"),
        pl.col("platform").alias("a_platform"), pl.lit("").alias("b_platform"), pl.lit(rule).alias("rule"),
        pl.col(f"{type_}_basis").alias("basis"), "at", "event", pl.lit("").alias("claimed"), pl.lit("").alias("hash"),
    )  # fmt: skip
