"""News: when Kafka got the records behind alerts, to measure how long it takes until a receiver is notified."""

from __future__ import annotations

from collections import OrderedDict
from itertools import chain

from schemas.signals import Signal

MOST = 10_000


class News:
    """Kafka's times, in ms since 1970, of brands and of alerts; the MOST newest of each. Restart: empty."""

    def __init__(self) -> None:
        self._brands: OrderedDict[str, int] = OrderedDict()
        self.alerts: OrderedDict[int, int] = OrderedDict()
        """By alert key, of the record that raised it; whoever notifies takes it out."""

    def add(self, signal: Signal) -> None:
        """Takes in the time of a signal's brands."""
        if signal.kafka_ms is None:
            return
        for brand in chain.from_iterable(signal.touched.values()):
            self._brands[brand] = signal.kafka_ms
            self._brands.move_to_end(brand)
        while len(self._brands) > MOST:
            self._brands.popitem(last=False)

    def raised(self, key: int, kafka_ms: int | None) -> None:
        """A record raised this alert. None: its time is not known."""
        if kafka_ms is None:
            return
        self.alerts.setdefault(key, kafka_ms)
        if len(self.alerts) > MOST:  # no receiver was notified of the oldest
            self.alerts.popitem(last=False)

    def raised_by_brand(self, key: int, brand: str) -> None:
        """The newest record about the brand raised this alert."""
        self.raised(key, self._brands.get(brand))
