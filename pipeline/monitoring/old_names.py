"""Exports renamed metrics under their old names too, so that rules and dashboards have a release's time to follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.registry import Collector


class OldNames(Collector):
    """The same samples under other names: old name -> metric."""

    def __init__(self, renamed: Mapping[str, Collector]) -> None:
        self._renamed = dict(renamed)

    def describe(self) -> Iterator[Metric]:
        """The old names, so that a registry refuses a new metric of the same name."""
        for old, metric in self._renamed.items():
            for family in metric.collect():
                yield Metric(old, family.documentation, family.type)

    def collect(self) -> Iterator[Metric]:
        """The samples, as a scrape gets them."""
        for old, metric in self._renamed.items():
            for family in metric.collect():
                copy = Metric(old, f"Renamed: use {family.name}. {family.documentation}", family.type)
                for sample in family.samples:
                    copy.add_sample(old + sample.name.removeprefix(family.name), sample.labels, sample.value)
                yield copy
