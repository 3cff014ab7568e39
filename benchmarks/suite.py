"""The measurements of the suite: which figures each yields, how large it is, and how they are run."""

from __future__ import annotations

import fnmatch
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks import (
    alerts,
    campaigns_live,
    console_alerts,
    console_pages,
    console_streams,
    cost,
    end_to_end,
    failover,
    identity,
    identity_import,
    identity_live,
    large,
    listen,
    listen_mixed,
    listen_visible,
    memory,
    peers,
    privacy,
    queries,
    reconcile,
    rollups_live,
    scaling,
    sentiment,
    steps,
    visible,
)
from benchmarks.identity_tables import Size
from benchmarks.peers import Counts
from benchmarks.progress import bar
from benchmarks.report import Figure


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    events: int
    """Of a pass, memory to memory."""
    passes: int
    standard: int
    """Events in the topic of end_to_end.throughput: of fewer the start would be a large part."""
    topic: int
    """Events in the other topics that throughput is measured with."""
    runs: int
    latency_rate: int
    latency_seconds: int
    memory: int
    """Events through the worker whose memory is measured."""
    kills: int
    """Of one of two workers."""
    keys: tuple[int, int]
    """Few and many seen keys."""
    peers: Counts
    texts: int
    """For each engine of sentiment."""
    rows: int
    """That are reconciled."""
    accounts: int
    """That are linked; as many customers of a CRM."""
    posts: int
    """Of all accounts."""
    interactions: int
    """That named queries are asked about."""
    searched: int
    """Interactions among which persons are erased."""


FULL = Sizes(
    events=600_000,
    passes=5,
    standard=3_000_000,
    topic=1_000_000,
    runs=3,
    latency_rate=5_000,
    latency_seconds=600,
    memory=5_000_000,
    kills=10,
    keys=(1_000_000, 20_000_000),
    peers=Counts(3_000_000, 300_000, 600_000),
    texts=12_000,
    rows=20_000_000,
    accounts=1_000_000,
    posts=10_000_000,
    interactions=5_000_000,
    searched=1_000_000,
)
SHORT = Sizes(
    events=60_000,
    passes=3,
    standard=60_000,
    topic=60_000,
    runs=1,
    latency_rate=1_000,
    latency_seconds=10,
    memory=300_000,
    kills=1,
    keys=(100_000, 2_000_000),
    peers=Counts(30_000, 5_000, 10_000),
    texts=600,
    rows=200_000,
    accounts=40_000,
    posts=600_000,
    interactions=200_000,
    searched=60_000,
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run that yields figures; `minutes` is what it takes in full on two cores."""

    names: tuple[str, ...]
    minutes: float
    run: Callable[[Sizes], Iterator[Figure]]


def _steps(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"steps.{name}{suffix}" for name in names for suffix in ("", "_cpu"))


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement(_steps(steps.WORDS), 1, lambda sizes: steps.hot_path_figures(sizes.events, sizes.passes)),
    Measurement(_steps(steps.ALONE), 1, lambda sizes: steps.step_figures(sizes.events, sizes.passes)),
    Measurement(end_to_end.NAMES, 6, lambda sizes: end_to_end.figures(sizes.standard, sizes.runs)),
    Measurement(large.NAMES, 3, lambda sizes: large.figures(sizes.topic, sizes.runs)),
    Measurement(visible.NAMES, 11, lambda sizes: visible.figures(sizes.latency_rate, sizes.latency_seconds)),
    Measurement(cost.NAMES, 21, lambda sizes: cost.figures(min(300, sizes.latency_seconds))),
    Measurement(memory.NAMES, 3, lambda sizes: memory.figures(sizes.memory)),
    Measurement(failover.NAMES, 7, lambda sizes: failover.figures(sizes.kills)),
    Measurement(
        (scaling.BYTES_NAME, *scaling.KEYS_NAMES),
        2,
        lambda sizes: scaling.keys_figures(sizes.events // 2, sizes.passes, *sizes.keys),
    ),
    Measurement(scaling.PARTITIONS_NAMES, 3, lambda sizes: scaling.partitions_figures(sizes.topic, sizes.runs)),
    Measurement(sentiment.NAMES, 9, lambda sizes: sentiment.figures(sizes.texts)),
    Measurement(
        sentiment.LIVE_NAMES, 2, lambda sizes: sentiment.live_figures(sizes.latency_rate, min(60, sizes.latency_seconds))
    ),
    Measurement(sentiment.THROUGHPUT_NAMES, 4, lambda sizes: sentiment.throughput_figures(sizes.topic, sizes.runs)),
    Measurement(
        alerts.LATENCY_NAMES, 4, lambda sizes: alerts.latency_figures(sizes.latency_rate, min(180, sizes.latency_seconds * 3))
    ),
    Measurement(
        alerts.COST_NAMES, 10, lambda sizes: alerts.cost_figures(sizes.latency_rate, min(60, sizes.latency_seconds), sizes.runs)
    ),
    Measurement(
        campaigns_live.NAMES,
        22,
        lambda sizes: campaigns_live.figures(sizes.latency_rate, min(720, sizes.latency_seconds * 6 // 5)),
    ),
    Measurement(
        alerts.FULL_NAMES,
        6,
        lambda sizes: alerts.full_figures(sizes.topic, sizes.runs, sizes.latency_rate, min(120, sizes.latency_seconds)),
    ),
    Measurement(reconcile.NAMES, 15, lambda sizes: reconcile.figures(sizes.rows)),
    Measurement(
        reconcile.BESIDE_NAMES,
        12,
        lambda sizes: reconcile.beside_figures(sizes.rows, sizes.latency_rate, min(120, sizes.latency_seconds)),
    ),
    Measurement(listen.RATE_NAMES, 1, lambda sizes: listen.rate_figures(sizes.passes)),
    Measurement(listen_visible.NAMES, 6, lambda sizes: listen_visible.figures(200, min(300, sizes.latency_seconds))),
    Measurement(listen.FEEDS_NAMES, 7, lambda sizes: listen.feeds_figures(min(360, sizes.latency_seconds))),
    Measurement(listen_mixed.NAMES, 7, lambda sizes: listen_mixed.figures(200, min(180, sizes.latency_seconds))),
    Measurement(identity.LOOKUP_NAMES, 1, lambda sizes: identity.lookup_figures(sizes.accounts, sizes.passes)),
    Measurement(identity.PATH_NAMES, 1, lambda sizes: identity.path_figures(sizes.events, sizes.passes, sizes.accounts)),
    Measurement(identity.INSERT_NAMES, 4, lambda sizes: identity.insert_figures(sizes.topic, sizes.runs)),
    Measurement(identity_live.NAMES, 8, lambda sizes: identity_live.figures(Size(sizes.posts, sizes.accounts))),
    Measurement(identity_import.NAMES, 12, lambda sizes: identity_import.figures(sizes.accounts)),
    Measurement(queries.NAMES, 30, lambda sizes: queries.figures(sizes.interactions, sizes.latency_seconds)),
    Measurement(rollups_live.NAMES, 12, lambda sizes: rollups_live.figures(sizes.latency_rate, sizes.latency_seconds)),
    Measurement(
        rollups_live.BESIDE_NAMES,
        30,
        lambda sizes: rollups_live.beside_figures(sizes.latency_rate, min(120, sizes.latency_seconds), sizes.runs),
    ),
    Measurement(console_pages.NAMES, 30, lambda sizes: console_pages.figures(sizes.interactions, sizes.latency_seconds)),
    Measurement(
        console_alerts.NAMES,
        4,
        lambda sizes: console_alerts.figures(min(2_000, sizes.latency_rate), min(120, sizes.latency_seconds * 3)),
    ),
    Measurement(console_streams.NAMES, 5, lambda sizes: console_streams.figures(min(120, sizes.latency_seconds))),
    Measurement(privacy.NAMES, 15, lambda sizes: privacy.figures(sizes.searched, min(120, sizes.latency_seconds))),
    Measurement(peers.NAMES, 30, lambda sizes: peers.figures(sizes.peers, sizes.runs)),
)


def chosen(patterns: Sequence[str]) -> list[Measurement]:
    """The measurements that yield any of the figures; a pattern is a name, its beginning, or has wildcards. None: all."""
    if not patterns:
        return list(MEASUREMENTS)
    return [each for each in MEASUREMENTS if any(_matches(name, pattern) for name in each.names for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern) or fnmatch.fnmatchcase(name, pattern)


def run(measurements: Sequence[Measurement], sizes: Sizes) -> list[Figure]:
    """Runs them one after the other; what fails is said, and its figures are missing."""
    figures: list[Figure] = []
    with bar.shown() as say:
        for measurement in measurements:
            try:
                for figure in measurement.run(sizes):
                    figures.append(figure)
                    say(f"{figure.name:32} {figure.value:14,.2f} {figure.unit}")
            except Exception:
                say(f"{measurement.names[0]}: {traceback.format_exc()}")
    return figures
