"""The same work in stock Faust, Quix Streams and Bytewax: one run, same broker, same events, same database, equal outputs.

The work: read the topic, decode, drop duplicates, find the brands of the same list, insert into ClickHouse. Each peer has two
applications, in a virtual environment of its own. apps/documented_<peer>.py is what its documentation leads to, in the one
process that it starts. apps/with_<peer>.py is tuned as hard as the worker; it runs as one process and as two, each with half of
the partitions, and its better rate counts. What each writes is compared with what the worker wrote, row by row; a difference
fails the measurement. How each was tuned: docs/benchmarks.md.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks import load
from benchmarks.compare import differences
from benchmarks.end_to_end import describe, measure
from benchmarks.environments import version_of
from benchmarks.ground import PARTITIONS, Ground, ground, producing, wait_for_rows
from benchmarks.peer_processes import PeerProcesses
from benchmarks.progress import bar
from benchmarks.report import RATE, RATIO, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.migrate import migrate

PEERS = ("faust", "quix", "bytewax")
FORMS = {"with": "", "documented": "_documented"}
"""What the application of a form begins with, and what its figures have at their end."""
NAMES = ("peers.earshot", *(f"peers.{peer}{end}{kind}" for peer in PEERS for end in FORMS.values() for kind in ("_ratio", "")))


@dataclass(frozen=True, slots=True)
class Counts:
    """Events for the worker and the tuned peers, for stock Faust, and for what the documentation leads to."""

    all: int
    faust: int
    documented: int


@dataclass(frozen=True, slots=True)
class Entrant:
    """A peer in one of its forms, as so many processes, with so many events."""

    peer: str
    form: str
    processes: int
    events: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of an entrant took."""

    events_per_second: float
    cpu_per_million: float
    """Of its processes, from the first record on."""


def entrants(counts: Counts) -> list[Entrant]:
    tuned, documented = dict.fromkeys(PEERS, counts.all), dict.fromkeys(PEERS, counts.documented)
    tuned["faust"] = documented["faust"] = counts.faust
    forms = (("with", 1, tuned), ("with", 2, tuned), ("documented", 1, documented))
    return [Entrant(peer, form, processes, events[peer]) for peer in PEERS for form, processes, events in forms]


def figures(counts: Counts, runs: int) -> Iterator[Figure]:
    """All in turns: the ratios are those of medians. Raises RuntimeError for the entrants that failed, after the others."""
    failures: dict[Entrant, Exception] = {}
    done: dict[Entrant, list[Result]] = {each: [] for each in entrants(counts)}
    with ground() as stage, ExitStack() as kept:
        feeds = {count: Feed(stage, count, kept) for count in {counts.all, *(each.events for each in done)}}
        whole = feeds[counts.all].whole
        ours = []
        for _ in bar.track(range(runs), runs, "peers, in turns: rounds"):
            with stage.run(whole) as settings:
                ours.append(measure(stage, whole, settings).events_per_second)
            for entrant in (each for each in done if each not in failures):
                try:
                    done[entrant].append(feeds[entrant.events].measure(entrant))
                except (RuntimeError, OSError) as error:
                    failures[entrant] = error
    conditions = f"the same work, outputs equal; {describe(whole)}; median of {runs} runs in turns"
    yield Figure("peers.earshot", median(ours), RATE, f"one worker, full schema; {conditions}")
    for peer, form in ((peer, form) for peer in PEERS for form in FORMS):
        measured = {each: results for each, results in done.items() if (each.peer, each.form) == (peer, form)}
        if not failures.keys() & measured.keys():
            yield from _compared(measured, median(ours), conditions)
    if failures:
        raise RuntimeError("; ".join(f"{each.peer}, {each.form}: {error}" for each, error in failures.items()))


def _compared(measured: dict[Entrant, list[Result]], ours: float, conditions: str) -> Iterator[Figure]:
    """The figures of a peer in one form, from its runs with one process, and with two."""
    rates = {each: median(result.events_per_second for result in results) for each, results in measured.items()}
    tried = ", ".join(
        f"{each.processes} process{'es' * (each.processes > 1)}: {rate:,.0f} events/s, "
        f"{median(result.cpu_per_million for result in measured[each]):.1f} CPU s a million"
        for each, rate in rates.items()
    )
    best = max(rates, key=rates.__getitem__)
    form = "as documented" if best.form == "documented" else "tuned"
    note = f"{version_of(best.peer)}, {form} ({tried}), {best.events:,} events; {conditions}"
    name = f"peers.{best.peer}{FORMS[best.form]}"
    yield Figure(f"{name}_ratio", ours / rates[best], RATIO, note)
    yield Figure(name, rates[best], RATE, note)


class Feed:
    """The same events in one topic of 8 partitions and, for two processes, in two of 4; and what the worker makes of them."""

    def __init__(self, stage: Ground, events: int, kept: ExitStack) -> None:
        self._stage = stage
        self.whole = stage.topic(events)
        self._halves: list[Settings] = []
        # Also the warm-up of the broker and the database.
        self._reference = kept.enter_context(stage.run(self.whole))
        measure(stage, self.whole, self._reference)

    def _topics(self, processes: int) -> list[str]:
        if processes == 1:
            return [self.whole.settings.kafka.topic("events")]
        if not self._halves:
            self._split()
        return [half.kafka.topic("events") for half in self._halves]

    def _split(self) -> None:
        for number in range(2):
            half = self._stage.settings(f"half{number}-{self.whole.events}", PARTITIONS // 2, "default")
            migrate(half)
            self._halves.append(half)
        with producing(self._halves[0]) as first, producing(self._halves[1]) as second:
            for record in bar.track(self.whole.load(), self.whole.events, "filling two topics"):
                (second if zlib.crc32(record.key) & 1 else first)(record)

    def measure(self, entrant: Entrant) -> Result:
        """Raises RuntimeError when the peer fails, stops, or writes anything else than the worker."""
        topics = self._topics(entrant.processes)
        terms = [(word, brand.name) for brand in load.brands().brands for word in (*brand.keywords, *brand.handles)]
        with self._stage.run(self.whole) as settings, clickhouse_client(settings.clickhouse) as client:
            processes = PeerProcesses(entrant.peer, f"{entrant.form}_{entrant.peer}.py", self._stage.folder)
            with processes.reading(settings, topics, terms):
                for _ in wait_for_rows(client, self.whole.distinct):
                    processes.check()
                seconds = time.monotonic() - processes.started
            ours = f"{self._reference.clickhouse.database}.interactions"
            if found := differences(client, ours, f"{settings.clickhouse.database}.interactions"):
                raise RuntimeError(f"other rows than the worker: {'; '.join(found)}")
        events = self.whole.events
        return Result(events / seconds, processes.cpu_seconds / events * 1e6)
