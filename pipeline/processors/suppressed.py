"""Whose events are dropped: the keys of persons who were erased (schemas/erasures.py), looked up by the column.

An event is theirs if its author is, by id or by handle, if it has no author but one of their addresses or numbers, or if it is
known to be theirs: an update or a delete names no author. Another account with such an address or number is somebody else until
it is erased, too: its events land without it. An event that is dropped for its author is known from then on, so that no
later part of it waits for the rest. A handle of an account whose id is known finds only who has no id: another id is the
handle's next owner.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.keys import Keys, Mask
from schemas import erasures
from schemas.erasures import ERASED
from schemas.identity import account_keys

_NONE: Keys = np.zeros(0, np.uint64)
_CONTACTS = ("author_email", "author_phone")


class _Known(NamedTuple):
    """Never changed. The numbers are sorted, and each is there once."""

    accounts: Keys = _NONE
    values: Keys = _NONE
    """Of the texts, as `_texts` has them: a set of texts would be read anew for each batch."""
    events: Keys = _NONE
    alone: Keys = _NONE
    """Those of accounts that are theirs whatever id stands beside: all but Keys.handles."""

    def __bool__(self) -> bool:
        return bool(len(self.accounts) or len(self.values) or len(self.events))


class Suppressed:
    """The keys. Threads may share it: a batch sees each change whole, or not at all. It costs nothing while it is empty, else
    0.4 CPU s a million rows with an author, up to 1.3 with a million keys; 8 bytes a key, 16 of an account."""

    def __init__(self) -> None:
        self._known = _Known()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        accounts, values, events, _ = self._known
        return len(accounts) + len(values) + len(events)

    def put(self, keys: erasures.Keys) -> None:
        """Suppresses these, too."""
        with self._lock:
            known = self._known
            self._known = _Known(
                _with(known.accounts, _numbers(keys.accounts)),
                _with(known.values, _texts(keys.values)),
                _with(known.events, _numbers(keys.events)),
                _with(known.alone, _alone(keys)),
            )

    def replace(self, keys: erasures.Keys) -> None:
        """Suppresses these alone, and the events that were dropped here: of a person who was readmitted they stay away."""
        with self._lock:
            events = _with(_numbers(keys.events), self._known.events)
            self._known = _Known(_numbers(keys.accounts), _texts(keys.values), events, _alone(keys))

    def names(self, accounts: Iterable[int], values: Iterable[str], event: int) -> bool:
        """Whether one of these is theirs; the first account is the author's by id, if there is one. A value is, if there is no
        account."""
        known = self._known
        if not known:
            return False
        keys = np.array(list(accounts), dtype=np.uint64)
        theirs = _among(keys, known.alone).any() or _among(keys[:1], known.accounts).any()
        theirs = theirs or _among(np.array([event], dtype=np.uint64), known.events).any()
        return bool(theirs) or not len(keys) and bool(_among(_texts(values), known.values).any())

    def drop(self, batch: EventBatch) -> None:
        """Drops what is theirs. `batch.erased` has the events that were not known before: they are to be suppressed."""
        known = self._known
        if not known or not batch.events.height:
            return
        rows = batch.events
        keys = rows.get_column("event_key").to_numpy()
        of_event, of_author = _among(keys, known.events), _of_author(rows, known)
        if (new := np.unique(keys[of_author & ~of_event])).size:
            batch.erased = new
            self.put(erasures.Keys(events=new.tolist()))
        # An update may stand before its create in one batch.
        batch.drop(pl.Series(of_author | of_event | _among(keys, new)), ERASED)
        if given := _given(batch.events, known):
            for contact in map(batch.events.get_column, given):
                theirs = pl.Series(_theirs(contact, known))
                batch.events = batch.events.with_columns(pl.when(~theirs).then(contact).alias(contact.name))


def _of_author(rows: pl.DataFrame, known: _Known) -> Mask:
    mask: Mask = np.zeros(rows.height, np.bool_)
    platform, id_, handle = (rows.get_column(name) for name in ("platform", "author_id", "author_handle"))
    given = _given(rows, known)
    named = (len(known.accounts) or given) and (id_.null_count() < len(id_) or handle.null_count() < len(handle))
    keys = account_keys(platform, id_, handle).fill_null(0).to_numpy() if named else np.zeros(rows.height, np.uint64)
    mask |= _among(keys, known.accounts)
    if len(known.alone) and handle.null_count() < len(handle) and id_.null_count() < len(id_):
        unnamed = pl.Series(id_.name, [None], pl.String).new_from_index(0, len(id_))
        mask |= _among(account_keys(platform, unnamed, handle).to_numpy(), known.alone)
    for contact in map(rows.get_column, given):
        mask |= (keys == 0) & _theirs(contact, known)
    return mask


def _given(rows: pl.DataFrame, known: _Known) -> list[str]:
    """The columns in which one of the values may stand."""
    return [name for name in _CONTACTS if len(known.values) and rows.get_column(name).null_count() < rows.height]


def _theirs(contact: pl.Series, known: _Known) -> Mask:
    """Where one of the values stands."""
    theirs: Mask = _among(contact.hash().to_numpy(), known.values) & contact.is_not_null().to_numpy()
    return theirs


def _alone(keys: erasures.Keys) -> Keys:
    accounts = _numbers(keys.accounts)
    alone: Keys = accounts[~_among(accounts, _numbers(list(keys.handles)))]
    return alone


def _numbers(keys: object) -> Keys:
    """Sorted, each once. np.unique takes a hundred times as long for a million: it hashes them."""
    numbers: Keys = np.sort(np.asarray(keys, dtype=np.uint64))
    new = np.ones(len(numbers), np.bool_)
    new[1:] = numbers[1:] != numbers[:-1]
    each: Keys = numbers[new & (numbers != 0)]  # no author is nobody's account
    return each


def _texts(texts: Iterable[str]) -> Keys:
    """A number for each text, of 64 bits, as this process alone makes it."""
    column = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    return _numbers(column.hash())


def _with(known: Keys, keys: Keys) -> Keys:
    """Both: a copy of the many, and no sort."""
    new = keys[~_among(keys, known)]
    both: Keys = np.insert(known, np.searchsorted(known, new), new) if len(new) else known
    return both


def _among(keys: Keys, known: Keys) -> Mask:
    """Which of the keys are known."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: Mask = known[at] == keys
    return found
