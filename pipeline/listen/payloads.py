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
        for each in self._observe(payload, origin):
            if isinstance(each, LeftOut):
                metrics.LEFT_OUT.labels(self._source.name).inc()
                self.left_out[each.kind if len(self.left_out) < MOST_KINDS else "other"] += 1
            else:
                seen = self._named(each)
                orjson.dumps(seen.event)  # what is no JSON must not come as far as the items that are known
                yield seen

    def _named(self, seen: Observation) -> Observation:
        event = {**seen.event, "source": {"name": self._source.name}}
        if not seen.deleted and self._source.original and seen.original is not None:
            event["original"] = orjson.dumps(seen.original, default=repr).decode()
        return seen._replace(event=event)

    def _unreadable(self, error: Exception) -> None:
        metrics.UNREADABLE.labels(self._source.name).inc()
        self.left_out["unreadable"] += 1
        if worth_logging(self.left_out["unreadable"]):
            why = str(error) if isinstance(error, Unreadable) else f"unexpected {type(error).__name__}"
            log.warning("source %s: a payload is left out: %s", self._source.name, why)
