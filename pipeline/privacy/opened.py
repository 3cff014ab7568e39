"""What is encrypted of a person, in clear: the records of a CRM, and dead letters, for which no column says all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any

from pipeline.config.keys import DataKeys
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.privacy.held import Held
from pipeline.privacy.place import Place
from pipeline.privacy.register import TABLES
from pipeline.queries.letters import DeadLetter
from schemas.times import rfc3339

Row = dict[str, Any]
LETTERS = "dead_letters"
_COLUMNS = ("topic", "partition", "offset", "step", "reason")


class Opened:
    """`letters` reads those of the person, as often as it is called. Without a key what is encrypted is left out.

    Raises SettingsError for a key that is none.
    """

    def __init__(self, keys: DataKeys, letters: Callable[[], Iterator[DeadLetter]]) -> None:
        self._records = Encryption(keys) if keys else None
        self._letters = letters

    @property
    def has_key(self) -> bool:
        """Whether anything can be decrypted."""
        return self._records is not None

    def row(self, place: Place, row: Row) -> Row:
        """The row as an export has it. Raises EarshotError, which quotes nothing, for what another key encrypted."""
        if place.name != "customers":
            return row
        return row | {name: self._record(int(row["profile"]), name, row[name]) for name in ENCRYPTED}

    def _record(self, profile: int, column: str, stored: str) -> str | None:
        return self._records.decrypt(profile, column, stored) if self._records else None

    def letters(self) -> Iterator[Row]:
        """The dead letters, records as text: what is no UTF-8 as escapes. Raises as `row`."""
        for letter in self._letters():
            row = {name: getattr(letter, name) for name in _COLUMNS}
            at = rfc3339(letter.rejected_at.replace(tzinfo=UTC))
            yield {**row, "rejected_at": at, "key": _text(letter.key), "raw": _text(letter.raw)}

    def counted(self, places: Sequence[Held]) -> list[Held]:
        """The places with all dead letters: of those from before migration 032 no column says whose. Raises as `row`."""
        times = [letter.rejected_at for letter in self._letters()] if self._records else []
        if not times:
            return list(places)
        letters = Held(TABLES[LETTERS], len(times), min(times), max(times), 0)
        order = list(TABLES)
        others = [each for each in places if each.place.name != LETTERS]
        return sorted([*others, letters], key=lambda each: order.index(each.place.name))


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode(errors="backslashreplace")
