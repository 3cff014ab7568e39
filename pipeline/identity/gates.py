"""Which edges may link at all: each for itself and with the others of its value, before customers are joined.

Input are rows, several of an edge if it has several bases. The answer for an edge depends on all rows of its value, and of a
claim on those that `claims.around` finds: the caller gives them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from pipeline.identity.claims import resolved
from pipeline.identity.commands import Decisions
from schemas.identity import BASES, CRM, EDGE_COLUMNS, ERASED, REASONS, TYPES, Policy, Rules, TypeRule

REASON = pl.Enum(REASONS)
_BITS = {basis: 1 << number for number, basis in enumerate(BASES)}
_NO_RULE = TypeRule(priority=len(TYPES), automatic=False)
_BY_HAND = TypeRule(priority=-1)

GATED_COLUMNS: dict[str, pl.DataType] = {
    "edge": pl.UInt64(),
    **{name: EDGE_COLUMNS[name] for name in ("kind", "type", "a", "b")},
    "other": pl.UInt64(),
    "at": pl.Int64(),
    "since_at": pl.Int64(),
    "since_edge": pl.UInt64(),
    "priority": pl.Int32(),
    "sequence": pl.UInt64(),
    "confirmed": pl.Boolean(),
    "a_crm": pl.Boolean(),
    "b_crm": pl.Boolean(),
    "reason": REASON,
    "candidate": pl.Boolean(),
}
"""`other`: what a is linked with: the value, or the other profile; null: not known which. `since_at`, `since_edge`: when it
links, of a mutual claim the later of both. `reason`: why it links nobody. Without one it is a `candidate`, or links
nothing yet."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides besides the edges."""

    rules: Rules
    decisions: Decisions
    consents: pl.DataFrame
    """Those of the decisions: CONSENT_COLUMNS."""
    own: pl.Series
    """Keys of the own accounts, UInt64: at least those that the rows name."""


def gated(rows: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """GATED_COLUMNS, one row an edge. Rows that say who bears a handle are no edges here."""
    edges = _judged(_one_a_row(_permitted(resolved(rows), terms)), terms)
    return _last(_mutual(_shared(edges, terms.rules)), terms).select(list(GATED_COLUMNS))


def _permitted(rows: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Adds `ok` (the platforms of its profiles permit the basis) and `withdrawn`."""
    to_profile, by_hand = pl.col("kind") == "profile", pl.col("type") == "hand"
    given = terms.consents
    for end, key in ("a", "a"), ("b", "other"):
        if len(given):
            found = given.rename({"profile": key, "consent": f"{end}_consent"})
            rows = rows.join(found, on=[key, "type"], how="left", maintain_order="left")
        else:
            rows = rows.with_columns(pl.lit(None, dtype=pl.Boolean).alias(f"{end}_consent"))
    withdrawn = ~pl.col("a_consent").fill_null(True) | (to_profile & ~pl.col("b_consent").fill_null(True))
    ok = _allowed("a", terms.rules) & (~to_profile | _allowed("b", terms.rules))
    return rows.with_columns(ok=by_hand | ok, withdrawn=withdrawn)


def _allowed(end: str, rules: Rules) -> pl.Expr:
    """Whether the platform at this end takes evidence of the row's basis."""
    masks = {platform: _mask(policy) for platform, policy in rules.platforms.items()}
    mask = _mapped(pl.col(f"{end}_platform"), masks, _mask(rules.policy), pl.UInt8())
    bit = _mapped(pl.col("basis"), _BITS, 0, pl.UInt8())
    consented = pl.col(f"{end}_consent").fill_null(False)
    return ((mask & bit) != 0) | (consented & ((mask & _BITS["consent"]) != 0))


def _mask(policy: Policy) -> int:
    return sum(_BITS[basis] for basis in policy.bases) if policy.evidence else 0


def _mapped(column: pl.Expr, values: Mapping[str, int], default: int, dtype: pl.DataType) -> pl.Expr:
    return column.replace_strict(values, default=default, return_dtype=dtype) if values else pl.lit(default, dtype=dtype)


def _one_a_row(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an edge: the oldest of those whose basis is permitted, else the oldest; held if all are."""
    several = pl.col("edge").is_duplicated()
    many = rows.filter(several)
    if not len(many):
        return rows
    held = many.group_by("edge").agg(pl.col("held").min())
    oldest = many.sort(~pl.col("ok"), "at").unique("edge", keep="first", maintain_order=True).drop("held")
    return pl.concat([rows.filter(~several), oldest.join(held, on="edge").select(rows.columns)])


def oldest(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an edge and basis: the oldest, and held only if all of them are."""
    several = pl.struct("edge", "basis").is_duplicated()
    many = rows.filter(several)
    if not len(many):
        return rows
    held = many.group_by("edge", "basis").agg(pl.col("held").min())
    oldest = many.sort("at").unique(["edge", "basis"], keep="first", maintain_order=True).drop("held")
    return pl.concat([rows.filter(~several), oldest.join(held, on=["edge", "basis"]).select(rows.columns)])


def _judged(edges: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Adds `reason` of an edge for itself, `accepted`, `live` (no reason yet), and the columns of its rule."""
    decided = terms.decisions.columns()
    blocked, own = _keys(terms.rules.blocked), terms.own.implode()
    to_profile, ambiguous = pl.col("kind") == "profile", pl.col("bearers") > 1
    reason = _first(
        ("own account", pl.col("a").is_in(own) | (to_profile & pl.col("other").is_in(own).fill_null(False))),
        ("blocked", ~to_profile & pl.col("b").is_in(blocked)),
        ("basis", ~pl.col("ok")),
        ("withdrawn", pl.col("withdrawn")),
        ("rejected", pl.col("edge").is_in(decided.rejected)),
        ("ambiguous handle", ambiguous),
    )
    rule = {type_: terms.rules.types.get(type_, _NO_RULE) for type_ in TYPES} | {"hand": _BY_HAND}
    return edges.with_columns(
        reason=reason,
        accepted=pl.col("edge").is_in(decided.accepted),
        priority=_mapped(pl.col("type"), {name: one.priority for name, one in rule.items()}, 0, pl.Int32()),
        automatic=_mapped(pl.col("type"), {name: one.automatic for name, one in rule.items()}, 0, pl.Boolean()),
        a_crm=pl.col("a_platform") == CRM,
        b_crm=pl.col("b_platform") == CRM,
    ).with_columns(live=pl.col("reason").is_null())


def _shared(edges: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Adds `profiles`, how many have the value or claim the handle, and `over`, whether that is over a limit."""
    of_platform = edges.filter("live").group_by("kind", "type", "b", "a_platform").len("profiles")
    counts = of_platform.group_by("kind", "type", "b").agg(pl.col("profiles").sum(), pl.col("profiles").max().alias("most"))
    limits = {type_: rules.types.get(type_, _NO_RULE) for type_ in TYPES}
    limit = _mapped(pl.col("type"), {name: one.limit for name, one in limits.items()}, 0, pl.UInt32())
    most = _mapped(pl.col("type"), {name: one.platform_limit for name, one in limits.items()}, 0, pl.UInt32())
    counts = counts.with_columns(over=(pl.col("profiles") > limit) | (pl.col("most") > most))
    return edges.join(counts.drop("most"), on=["kind", "type", "b"], how="left", maintain_order="left")


def _mutual(edges: pl.DataFrame) -> pl.DataFrame:
    """Adds `mutual` of claims, with `since_at` and `since_edge`; a mutual claim is held if one of both is."""
    since = {"since_at": pl.col("at"), "since_edge": pl.col("edge")}
    claims = edges.filter((pl.col("kind") == "profile") & (pl.col("type") == "handle") & pl.col("live"))
    back = claims.filter(pl.col("other") != pl.col("a")).sort("at", "edge")
    back = back.group_by(pl.col("other").alias("a"), pl.col("a").alias("other"), maintain_order=True).agg(
        pl.col("at").first().alias("back_at"),
        pl.col("edge").first().alias("back_edge"),
        pl.col("held").min().alias("back_held"),
    )
    pairs = claims.select("edge", "a", "other").join(back, on=["a", "other"]).drop("a", "other")
    if not len(pairs):
        return edges.with_columns(mutual=pl.lit(False), **since)
    edges = edges.join(pairs, on="edge", how="left", maintain_order="left")
    later = (pl.col("back_at") > pl.col("at")) | ((pl.col("back_at") == pl.col("at")) & (pl.col("back_edge") > pl.col("edge")))
    return edges.with_columns(
        mutual=pl.col("back_at").is_not_null(),
        since_at=pl.when(later).then("back_at").otherwise("at"),
        since_edge=pl.when(later).then("back_edge").otherwise("edge"),
        held=pl.max_horizontal("held", "back_held"),
    )


def _last(edges: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Completes `reason`, and adds `candidate`."""
    to_profile, accepted, mutual = pl.col("kind") == "profile", pl.col("accepted"), pl.col("mutual")
    by_hand, claim = pl.col("type") == "hand", to_profile & (pl.col("type") == "handle")
    counted = ~to_profile | (claim & ~mutual)
    erased = pl.col("held") == ERASED
    waits = (pl.col("other") == pl.col("a")) & to_profile | (claim & ~mutual & (pl.col("bearers") == 0)) | erased
    suggested = pl.when(claim).then(~mutual | ~pl.col("automatic")).otherwise(~pl.col("automatic")) & ~accepted & ~by_hand
    alone = ~to_profile & (pl.col("profiles") < 2)
    reason = _first(
        ("over limit", counted & pl.col("over") & ~waits),
        ("suggestion", suggested & ~waits & ~alone),
        ("held", (pl.col("held") > terms.decisions.released) & ~accepted & ~by_hand & ~waits & ~suggested),
    )
    # Nobody waits for what was erased: it is in no queue.
    return edges.with_columns(reason=pl.when(~erased).then(pl.coalesce("reason", reason))).with_columns(
        candidate=pl.col("reason").is_null() & ~waits & ~suggested
    )


def _first(*reasons: tuple[str, pl.Expr]) -> pl.Expr:
    """The first reason that holds, else null."""
    return pl.coalesce(*(pl.when(holds).then(pl.lit(reason, dtype=REASON)) for reason, holds in reasons))


def _keys(keys: Iterable[int]) -> pl.Series:
    """As `is_in` takes them."""
    return pl.Series(list(keys), dtype=pl.UInt64).implode()
