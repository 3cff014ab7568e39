"""Candidates of rules that control does not know: a worker has read a newer alerts.yaml, or control has refused it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.store import AlertStore
from schemas.signals import Candidate

KEPT = timedelta(days=1)
"""How long a candidate waits for its rule."""
MOST = 10_000


class UnknownRules:
    """Candidates that wait for their rule, by its name: up to MOST of them, for KEPT. They are in table alert_candidates, too.

    Restart: `read`."""

    def __init__(self) -> None:
        self._candidates: dict[str, list[tuple[Candidate, datetime]]] = {}
        """With the time at which each was heard of."""
        self.dropped = 0
        """How many were dropped, because they are too many or waited for too long. The reader sets it back to 0."""

    def __len__(self) -> int:
        return sum(map(len, self._candidates.values()))

    @property
    def rules(self) -> list[str]:
        return sorted(self._candidates)

    def read(self, store: AlertStore, now: datetime) -> None:
        """Takes over the table's candidates."""
        self._candidates = {}
        for candidate, heard in store.waiting_candidates(now - KEPT)[:MOST]:
            self._candidates.setdefault(candidate.rule, []).append((candidate, heard))

    def add(self, store: AlertStore, candidates: Sequence[Candidate], now: datetime, generation: int) -> None:
        """On return these candidates are in the table. Idempotent."""
        if not candidates:
            return
        waiting = {_identity(each) for listed in self._candidates.values() for each, _ in listed}
        new = [each for each in {_identity(each): each for each in candidates}.values() if _identity(each) not in waiting]
        kept = new[: max(0, MOST - len(self))]
        self.dropped += len(new) - len(kept)
        if kept:
            store.write_candidates([(candidate, now) for candidate in kept], False, generation)
        for candidate in kept:
            self._candidates.setdefault(candidate.rule, []).append((candidate, now))

    def known(self, config: Alerts) -> list[Candidate]:
        """The candidates whose rule is known now. They wait until they are `done`."""
        return [each.heard(at) for rule in self._known(config) for each, at in self._candidates[rule]]

    def done(self, store: AlertStore, config: Alerts, generation: int) -> None:
        """The alerts of `known` candidates are stored."""
        for rule in self._known(config):
            store.write_candidates(self._candidates[rule], True, generation)
            del self._candidates[rule]

    def forget(self, now: datetime) -> None:
        """Drops the candidates that waited for too long."""
        before = len(self)
        fresh = {rule: [each for each in listed if now - each[1] < KEPT] for rule, listed in self._candidates.items()}
        self._candidates = {rule: listed for rule, listed in fresh.items() if listed}
        self.dropped += before - len(self)

    def _known(self, config: Alerts) -> list[str]:
        return [rule for rule in self._candidates if config.rule(rule) is not None]


def split(candidates: Iterable[Candidate], config: Alerts) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates of rules that the configuration has, and the others."""
    known, unknown = list[Candidate](), list[Candidate]()
    for candidate in candidates:
        (unknown if config.rule(candidate.rule) is None else known).append(candidate)
    return known, unknown


def _identity(candidate: Candidate) -> tuple[str, str, int]:
    return candidate.rule, candidate.brand, candidate.event_key
