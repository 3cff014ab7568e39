"""`earshot keys rotate`: what is stored becomes of the newest keys.

    table `rotating` is made -> fingerprints -> each work, again until one pass finds nothing -> `rotating` goes

Processes go on meanwhile, with the keys that they have; what those with the older keys write is found by the next pass, and
after the last one by the next run. Everything may be done again: who is killed runs it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import fingerprints, rotating
from pipeline.clickhouse.fingerprints import Generation
from pipeline.clickhouse.query import asker, one_line
from pipeline.config.keys import DataKeys, HashKeys, Keys
from pipeline.errors import ConflictError, EarshotError, SettingsError
from pipeline.maintenance.rotation import hashes
from pipeline.maintenance.rotation.letters import Letters
from pipeline.maintenance.rotation.records import Records
from pipeline.maintenance.rotation.work import Work
from pipeline.sinks.erasures import receipts

Advance = Callable[[int, int], None]
SHORTEST = 16
"""Characters of a next key: hashes tell a shorter one to whoever tries them all."""
PASSES = 3
"""What processes with older keys write for so long, they write for ever."""
_ENGINES = """
SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN ({})
    AND (engine NOT LIKE '%MergeTree' OR engine LIKE 'Replicated%' OR engine LIKE 'Shared%') ORDER BY name"""


@dataclass
class Rotated:
    """What came of it, by table."""

    rows: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    """Why rows of a table could not be changed, the first of them."""


def works_of(client: Client, hashing: HashKeys, encrypting: DataKeys) -> list[Work]:
    """In the order in which they are done; without the works of a key that is not given. Raises SettingsError for a data key
    that is none."""
    sealed: list[Work] = [Records(client, encrypting), Letters(client, encrypting)] if encrypting else []
    return [*hashes.works(client, hashing), *sealed]


def left(works: Sequence[Work]) -> dict[str, int]:
    """How many rows of each table are of older keys; what both keys have made counts twice. Raises EarshotError."""
    counts: dict[str, int] = {}
    for work in works:
        counts[work.table] = counts.get(work.table, 0) + work.left()
    return counts


def check_next(keys: Keys, new: int) -> None:
    """Raises SettingsError if one of so many newest keys, which are not in force yet, is surely a slip: a hash key stays for
    ever once it is."""
    for key in keys.all[len(keys.all) - new :]:
        if key != key.strip() or len(key) < SHORTEST:
            raise SettingsError(
                f"setting privacy.{keys.name}: the next key is shorter than {SHORTEST} characters, or has space around it; "
                "nothing was begun: make one with `openssl rand -hex 32`"
            )


def check(client: Client, works: Sequence[Work]) -> None:
    """Raises ConflictError for tables in which nobody has tried it, and while an erasure is under way."""
    names = ", ".join(f"'{name}'" for name in sorted({work.table for work in works} or {""}))
    if found := asker(client)(_ENGINES.format(names), {}).get_column("name").to_list():
        raise ConflictError(f"{', '.join(found)}: to rotate keys in tables of a cluster was not tried; nothing was begun")
    with one_line(client):
        unfinished = next(iter(receipts(client, "isNull(hidden_at)")), None)
    if unfinished:
        raise ConflictError(
            f"erasure {unfinished.id:016x} is not hidden everywhere yet (`earshot person receipts`): rotate after it"
        )


def rotate(client: Client, keys: Sequence[Keys], works: Sequence[Work], advance: Advance) -> Rotated:
    """Puts the keys in force, and changes what is of older ones; `advance` hears of the rows that are done, and of all. Raises
    EarshotError: then it can be run again; ConflictError as `check`, which nobody who erases gets past once it has begun, and
    while another one runs."""
    again = begun(client)
    rotating.begin(client)
    with rotating.alone(client):
        try:
            check(client, works)
        except EarshotError:
            if not again:
                rotating.end(client)
            raise
        put_in_force(client, keys)
        rotated = run(works, advance)
        rotating.end(client)
    return rotated


def begun(client: Client) -> bool:
    """Whether one was stopped: processes may not have been started again since the keys were put in force. Raises
    EarshotError."""
    return rotating.there(client)


def put_in_force(client: Client, keys: Sequence[Keys]) -> None:
    """Those that are not in force yet. Raises as fingerprints.put_in_force."""
    for each in keys:
        fingerprints.put_in_force(client, each)


def run(works: Sequence[Work], advance: Advance) -> Rotated:
    """Pass after pass, until one finds nothing to do. Raises EarshotError."""
    rotated, counted = Rotated(left=left(works)), _Counted(advance)
    for _ in range(PASSES):
        counted.expect(sum(rotated.left.values()))
        before = counted.done
        for work in works:
            passed = work.run(counted.further)
            rotated.rows[work.table] = rotated.rows.get(work.table, 0) + passed.rows
            if passed.why:
                rotated.why.setdefault(work.table, passed.why)
        rotated.left = left(works)
        if counted.done == before or not any(rotated.left.values()):
            break
    return rotated


def unused(client: Client, keys: Keys) -> list[Generation]:
    """Notes of the older generations of a key that nothing uses them, and returns those of which it was not known. To be called
    when nothing is left of them. Raises EarshotError."""
    with one_line(client):
        stored = fingerprints.in_force(client, keys.name)
    new = [each for each in stored[:-1] if not each.unused]
    for each in new:
        fingerprints.note_unused(client, keys.name, each)
    return new


class _Counted:
    """How many rows are done, and how many there are."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._total, self.done = advance, 0, 0

    def expect(self, rows: int) -> None:
        self._total = self.done + rows
        self.further(0)

    def further(self, rows: int) -> None:
        self.done += rows
        self._advance(self.done, max(self.done, self._total))
