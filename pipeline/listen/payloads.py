"""Payloads of a source become observations: one that its mapper can't read costs only itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence

import orjson

from pipeline.clock import worth_logging
from pipeline.listen.sources_file import AnySource
from pipeline.monitoring import source_metrics as metrics
from pipeline.sources.platforms.observation import LeftOut, Observation, Observe, Origin, Unreadable

MOST_KINDS = 50
MOST_PARTS = 20_000
"""Items of a payload, and parts that are left out; what is behind them is left out."""
log = logging.getLogger("earshot.listen")


class Payloads:
    """Of one source. `left_out` counts what its mapper leaves out, by kind, and what it can't read."""

    def __init__(self, source: AnySource, observe: Observe) -> None:
        self._source, self._observe = source, observe
        self.left_out: Counter[str] = Counter()

    def observed(self, payloads: Sequence[object], origin: Origin) -> list[Observation]:
        """The observations of the payloads, in their order, with the source's name."""
        observations = list[Observation]()
        for payload in payloads:
            try:
                observations += self._of_one(payload, origin)
            except Exception as error:  # of one payload: it must not stop the source for ever
                self._unreadable(error)
        return observations

    def _of_one(self, payload: object, origin: Origin) -> Iterator[Observation]:
        for number, each in enumerate(self._observe(payload, origin)):
            if number == MOST_PARTS:
                self._leave_out(f"parts beyond {MOST_PARTS:,}")
                return
            if isinstance(each, LeftOut):
                self._leave_out(each.kind)
                continue
            seen = each._replace(event={**each.event, "source": {"name": self._source.name}})
            try:
                orjson.dumps(seen.event)
            except orjson.JSONEncodeError as error:  # no JSON: it must not come as far as the items that are known
                self._unreadable(error)
            else:
                yield self._with_original(seen)

    def _leave_out(self, kind: str) -> None:
        metrics.LEFT_OUT.labels(self._source.name).inc()
        known = kind in self.left_out or (len(self.left_out) < MOST_KINDS and kind.isprintable())
        self.left_out[kind if known else "other"] += 1

    def _with_original(self, seen: Observation) -> Observation:
        if seen.deleted or not self._source.original or seen.original is None:
            return seen
        try:
            original = orjson.dumps(seen.original, default=repr).decode()
        except orjson.JSONEncodeError:  # it nests deeper than is written: the event counts without it
            self._leave_out("original")
            return seen
        return seen._replace(event={**seen.event, "original": original})

    def _unreadable(self, error: Exception) -> None:
        metrics.UNREADABLE.labels(self._source.name).inc()
        self.left_out["unreadable"] += 1
        if worth_logging(self.left_out["unreadable"]):
            why = str(error) if isinstance(error, Unreadable) else f"unexpected {type(error).__name__}"
            log.warning("source %s: a payload is left out: %s", self._source.name, why)
