"""Campaigns: the same text, give or take, from many accounts.

Column `text_sketch` (schemas/clickhouse/006_campaign.sql) finds what may be alike among millions of rows; the texts of those
few then say whether it is. A text belongs to a campaign for what it shares with the campaign's common text, never for what it
shares with another member: no chain leads from one text over others to a quite different one. docs/campaigns.md says more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.clickhouse.row_versions import numbers, quoted
from pipeline.processors.alerts.rules import CampaignRule

Query = Callable[[str], pl.DataFrame]
"""Runs SQL of some MiB; low-cardinality columns come as plain strings."""
Array = npt.NDArray[Any]

COPIES = ("repost", "reaction", "like", "follow", "vote")
"""Kinds whose text is the platform's own copy, or none: that many repost something is no campaign."""
SHORTEST = 20
"""Of shorter texts, links and handles aside, the same comes from many without any plan."""
LONGEST = 400
"""As much of a text is looked at."""
SKETCH, LOWEST = 8, 5
"""Values of a sketch, and of how many of them a first search looks at each three."""
ALIKE, SAME = 0.45, 0.62
"""Jaccard similarity of 3-character pieces: of two texts that may be of one campaign, and of one to what the campaign's texts
have in common. With 5 edits in 100 characters each they are at least 0.52 and 0.71 (1,500 campaigns of 10)."""
MOST_THREES, MOST_ROWS, MOST_TEXTS, MOST_TRIES = 50_000, 200_000, 20_000, 1_000
"""What one search takes on; beyond it, it looks at what is most alike."""
NEAR, MOST_NEAR = 2, 64
"""Of the eight values, how many a text shares with the one that may stand for a campaign, to be compared with it; and how many
such texts are."""
SAMPLES = 3

_IGNORED = re.compile(r"https?://\S+|www\.\S+|@\w+|\s+")


@dataclass(frozen=True, slots=True)
class Campaign:
    brand: str
    accounts: int
    """How many different ones: an id or a handle, on one platform."""
    event_keys: tuple[int, ...]
    """All of it that was found, in order of time. A campaign that goes on shares some with what was found of it before."""
    representative: int
    """The event whose text is nearest to what they have in common; a public one if there is one."""
    samples: tuple[int, ...]
    """Up to three public ones, the nearest first."""
    first_at: datetime
    last_at: datetime
    platforms: tuple[str, ...]

    @property
    def events(self) -> int:
        return len(self.event_keys)


def find(
    query: Query, rule: CampaignRule, since: datetime, until: datetime, brands: Iterable[str] | None = None
) -> list[Campaign]:
    """The campaigns in what was created from `since` to before `until`, by brand, the largest first.

    `brands` are those that may have new ones (None: all); the rule's own bound them. It reads newest versions and nothing that
    was deleted, and says the same however many workers wrote it. Raises what `query` raises.
    """
    names = _names(rule, brands)
    if names is not None and not names:
        return []
    where = _where(rule, since, until, names)
    threes = query(_threes_sql(where)).get_column("three")
    if threes.is_empty():
        return []
    sharing = query(_sharing_sql(where, threes))
    support = _support(_matrix(sharing.get_column("text_sketch")))
    cores = np.argsort(-support, kind="stable")[: min(MOST_TEXTS, np.count_nonzero(support > 1))]
    if not cores.size:
        return []
    period = _period(since, until)
    # First the texts that share most, to see of what there may be a campaign; then all that share something with those.
    rows = _readable(query(_texts_sql(_list(sharing.get_column("event_key").gather(cores)), period)))
    seeds = [members for members, _ in _clusters(rows, max(2, rule.accounts // 4))]
    if not seeds:
        return []
    values = np.unique(_matrix(rows[np.concatenate(seeds)].get_column("text_sketch")))
    rows = _readable(query(_texts_sql(_extended_sql(where, values[values > 0]), period)))
    found: list[Campaign] = []
    for members, nearness in _clusters(rows, rule.accounts):
        found += _campaigns(rows[members].with_columns(nearness=pl.Series(nearness)), rule.accounts, names)
    return sorted(found, key=lambda campaign: (campaign.brand, -campaign.accounts, campaign.representative))


def enough_sql(rule: CampaignRule, since: datetime, until: datetime, brands: Sequence[str]) -> str:
    """`brand`: those of `brands` that have as many texts as the rule asks for accounts, those with fewest first."""
    listed = f"[{', '.join(map(quoted, brands))}]"
    return (
        "SELECT brand FROM (SELECT toString(arrayJoin(brands)) AS brand FROM interactions "
        f"WHERE {_where(rule, since, until, None)}) WHERE brand IN {listed} "
        f"GROUP BY brand HAVING count() >= {rule.accounts} ORDER BY count(), brand"
    )


# --- what is asked of ClickHouse ------------------------------------------------------------------------------------
def _names(rule: CampaignRule, brands: Iterable[str] | None) -> list[str] | None:
    if brands is None:
        return sorted(rule.brands) or None
    return sorted(set(brands) & set(rule.brands) if rule.brands else set(brands))


def _period(since: datetime, until: datetime) -> str:
    first, end = (f"toDateTime64('{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}', 3, 'UTC')" for at in (since, until))
    minutes = f"toStartOfMinute(created_at) BETWEEN toStartOfMinute({first}) AND toStartOfMinute({end})"
    return f"{minutes} AND created_at >= {first} AND created_at < {end}"


def _where(rule: CampaignRule, since: datetime, until: datetime, names: Sequence[str] | None) -> str:
    """Rows in any version, those of old ones too: too many are found at first, never too few."""
    where = f"{_period(since, until)} AND notEmpty(text_sketch) AND kind NOT IN ({', '.join(map(quoted, COPIES))})"
    if rule.platforms:
        where += f" AND platform IN ({', '.join(map(quoted, rule.platforms))})"
    return where if names is None else f"{where} AND hasAny(brands, [{', '.join(map(quoted, names))}])"


def _joined(where: str, columns: str) -> str:
    """A row for each three of the sketch's lowest values: single ones, and pairs, are shared by all who use a common word."""
    # A sketch of fewer values ends in zeros.
    threes = (
        f"if(s[{c}] = 0, 0, intHash64(toUInt64(s[{a}]) * 4294967296 + s[{b}]) + s[{c}])"
        for a, b, c in combinations(range(1, LOWEST + 1), 3)
    )
    return f"""
(SELECT {columns}arrayJoin([{", ".join(threes)}]) AS three FROM
    (SELECT {columns}arrayDistinct(text_sketch) AS s FROM interactions WHERE {where}))"""


def _threes_sql(where: str) -> str:
    # Versions of one event share all.
    return f"""
SELECT three FROM {_joined(where, "event_key, ")} WHERE three != 0
GROUP BY three HAVING min(event_key) != max(event_key) ORDER BY count() DESC, three LIMIT {MOST_THREES}"""


def _sharing_sql(where: str, threes: pl.Series) -> str:
    return f"""
SELECT DISTINCT event_key, text_sketch FROM {_joined(where, "event_key, text_sketch, ")} WHERE three IN ({_list(threes)})
ORDER BY event_key LIMIT {MOST_ROWS}"""


def _extended_sql(where: str, values: Array) -> str:
    shared = f"arrayCount(x -> x IN ({_list(values)}), arrayDistinct(text_sketch))"
    return f"""
SELECT event_key FROM interactions WHERE {where} AND {shared} >= 2
ORDER BY {shared} DESC, event_key LIMIT {MOST_TEXTS}"""


def _texts_sql(keys: str, period: str) -> str:
    author = "if(author_id != '', author_id, author_handle)"
    return f"""
SELECT event_key, created_at, toString(platform) AS platform, brands, substringUTF8(text, 1, {LONGEST}) AS text,
    visibility = 'private' AS private, text_sketch,
    if({author} = '', 0, cityHash64(platform, author_id != '', {author})) AS account
FROM (
    SELECT *, text_sketch FROM interactions WHERE {period} AND event_key IN ({keys}) ORDER BY version DESC LIMIT 1 BY event_key)
WHERE is_deleted = 0 AND notEmpty(text_sketch) AND account != 0
ORDER BY created_at, event_key"""


def _list(values: Iterable[int]) -> str:
    return numbers(values).removesuffix("::Array(UInt64)").strip("[]")


# --- what is alike --------------------------------------------------------------------------------------------------
def _matrix(sketches: pl.Series) -> npt.NDArray[np.uint64]:
    """A row for each sketch, its values in order, zeros behind them."""
    padded = sketches.list.unique(maintain_order=True).list.eval(pl.element().cast(pl.UInt64))
    columns = [padded.list.get(place, null_on_oob=True).fill_null(0).to_numpy() for place in range(SKETCH)]
    return np.column_stack(columns).astype(np.uint64)


def _support(sketches: npt.NDArray[np.uint64]) -> Array:
    """Of each row, how many rows at most agree with it in the same four values. Unlike texts that share a long word agree in
    fewer."""
    mixed = sketches * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    places = list(combinations(range(SKETCH), 4))
    fours = np.concatenate([mixed[:, a] + 3 * mixed[:, b] + 5 * mixed[:, c] + 7 * mixed[:, d] for a, b, c, d in places])
    whole = np.flatnonzero(np.concatenate([sketches[:, d] != 0 for *_, d in places]))
    _, inverse, counts = np.unique(fours[whole], return_inverse=True, return_counts=True)
    support = np.zeros(len(sketches), dtype=np.int64)
    np.maximum.at(support, whole % len(sketches), counts[inverse])
    return support


def _readable(rows: pl.DataFrame) -> pl.DataFrame:
    texts = [_IGNORED.sub(" ", text.lower()) for text in rows.get_column("text")]
    rows = rows.with_columns(text=pl.Series([" ".join(text.split()) for text in texts], dtype=pl.String))
    return rows.filter(pl.col("text").str.len_chars() >= SHORTEST)


class _Pieces:
    """The 3-character pieces of texts, each once a text, as numbers from 0 on."""

    def __init__(self, texts: Sequence[str]) -> None:
        letters = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        lengths = np.array([len(text) - 2 for text in texts])
        starts = np.cumsum(lengths + 2) - lengths - 2
        rows = np.repeat(np.arange(len(texts)), lengths)
        at = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[rows]
        pieces = letters[at] << 42 | letters[at + 1] << 21 | letters[at + 2]
        distinct, inverse = np.unique(pieces, return_inverse=True)
        self.count = len(distinct)
        both = np.sort(rows * self.count + inverse)
        both = both[np.diff(both, prepend=-1) != 0]
        self._rows, self._ids = np.divmod(both, self.count)
        self.sizes = np.bincount(self._rows, minlength=len(texts))
        self._ends = np.cumsum(self.sizes)
        self._wanted = np.zeros(self.count, dtype=np.int64)

    def of(self, row: int) -> Array:
        return np.asarray(self._ids[self._ends[row] - self.sizes[row] : self._ends[row]])

    def common(self, rows: Array) -> Array:
        """What at least half of these texts have."""
        wanted = np.zeros(len(self.sizes), dtype=bool)
        wanted[rows] = True
        texts = np.bincount(self._ids[wanted[self._rows]], minlength=self.count)
        return np.asarray(np.flatnonzero(texts * 2 >= len(rows)))

    def similarity(self, pieces: Array, rows: Array) -> Array:
        """Jaccard similarity of each of these texts to the pieces."""
        self._wanted[pieces] = 1
        sizes = self.sizes[rows]
        starts = np.cumsum(sizes) - sizes
        places = np.arange(sizes.sum()) + np.repeat(self._ends[rows] - sizes - starts, sizes)
        both = np.add.reduceat(self._wanted[self._ids[places]], starts)
        self._wanted[pieces] = 0
        return np.asarray(both / (sizes + len(pieces) - both))


def _clusters(rows: pl.DataFrame, accounts: int) -> Iterator[tuple[Array, Array]]:
    """Rows (by number) that say the same, from that many accounts, and how near each is to what they have in common."""
    if rows.height < accounts:
        return
    pieces, authors = _Pieces(rows.get_column("text").to_list()), rows.get_column("account").to_numpy()
    sketches = _matrix(rows.get_column("text_sketch"))
    values, places = np.unique(sketches, return_inverse=True)
    places = places.reshape(sketches.shape)
    support = _support(sketches)
    free, tries = np.ones(rows.height, dtype=bool), 0
    for row in np.argsort(-support, kind="stable"):
        if support[row] < 2 or tries == MOST_TRIES:
            return
        if not free[row]:
            continue
        tries += 1
        own = np.zeros(len(values), dtype=bool)
        own[places[row, sketches[row] > 0]] = True
        shared = own[places].sum(axis=1)
        near = np.flatnonzero(free & (shared >= NEAR))
        near = near[np.argsort(-shared[near], kind="stable")[:MOST_NEAR]]
        if len(near) * 2 < accounts:
            continue
        alike = near[pieces.similarity(pieces.of(row), near) >= ALIKE]
        if len(alike) * 2 < accounts:
            continue
        left = np.flatnonzero(free)
        nearness = pieces.similarity(pieces.common(alike), left)
        members = left[nearness >= SAME]
        if len(np.unique(authors[members])) >= accounts:
            free[members] = False
            yield members, nearness[nearness >= SAME]


def _campaigns(rows: pl.DataFrame, accounts: int, names: Sequence[str] | None) -> Iterator[Campaign]:
    """One for each brand that enough of them are about."""
    about = set(rows.get_column("brands").explode().drop_nulls())
    for name in sorted(about if names is None else about & set(names)):
        mine = rows.filter(pl.col("brands").list.contains(name))
        if mine.get_column("account").n_unique() < accounts:
            continue
        nearest = mine.sort(["nearness", "event_key"], descending=[True, False])
        public = nearest.filter(pl.col("private") == 0).get_column("event_key").to_list()
        yield Campaign(
            name,
            mine.get_column("account").n_unique(),
            tuple(mine.get_column("event_key")),
            public[0] if public else nearest.get_column("event_key")[0],
            tuple(public[:SAMPLES]),
            mine.get_column("created_at")[0],
            mine.get_column("created_at")[-1],
            tuple(mine.get_column("platform").unique().sort()),
        )
