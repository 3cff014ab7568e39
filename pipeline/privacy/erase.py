"""Erases persons: suppress, hide, receipt.

    suppressions -> receipt -> rows of tables hidden -> the graph -> dead letters -> receipt: hidden_at -> (control) purged_at

What has a suppressed key is dropped before it lands, from half a second after the first insert on; what was on its way then is
hidden by control a minute later (pipeline/control/erasing.py). Each step may be done again, and each needs nothing but the keys
in table suppressions: who is killed in between leaves the rest to control.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import asker, one_line
from pipeline.clickhouse.rotating import refuse
from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import EarshotError
from pipeline.privacy.hide import Among, Hiding, of_erasure
from pipeline.privacy.noted import Notes
from pipeline.sinks.changes import Changing
from pipeline.sinks.erasures import receipts, suppress, suppression_rows, write_receipt
from schemas.erasures import HANDLE, Erasure, Keys
from schemas.times import utc_now

TABLES, LETTERS, GRAPH = "tables", "dead_letters", "graph"
"""Parts: the first is done by this module itself, the last by `earshot customers`, which reads table suppressions."""
Part = Callable[[Keys], int | None]
"""Does a part of an erasure, as often as it is asked to, and says how many rows it hid. Raises EarshotError."""
_CUT_OFF = "not known: the command was killed before it wrote the receipt"
_LOST = """
SELECT erasure, min(at) AS asked_at, toUInt32(countIf(kind = 'account')) AS accounts,
    toUInt32(countIf(kind = 'value')) AS addresses
FROM suppressions WHERE erasure != 0 AND erasure NOT IN (SELECT id FROM erasures) GROUP BY erasure"""
log = logging.getLogger("earshot.privacy")


class Erasing:
    """`parts`: what else is to be done, by name; `topics` says until when topics hold records. For one thread."""

    def __init__(
        self,
        client: Client,
        inserter: Inserter,
        changing: Changing,
        parts: Mapping[str, Part],
        topics: Callable[[], Mapping[str, str]],
        notes: Notes | None = None,
    ) -> None:
        self._client, self._inserter, self._parts, self._topics = client, inserter, parts, topics
        self._notes = notes or Notes(None)
        self._hiding, self._ask = Hiding(client, changing), asker(client)

    def begin(self, keys: Keys, by: str, why: str) -> Erasure:
        """Suppresses these accounts and values, and their events as `finish` finds them. Raises EarshotError, also while keys
        are rotated."""
        refuse(self._client, "erase")
        self._hiding.check()
        erasure = Erasure(by, why, accounts=len(keys.accounts), addresses=len(keys.values))
        self._notes.erasure(erasure, keys)
        return self.begin_again(erasure, keys)

    def begin_again(self, erasure: Erasure, keys: Keys) -> Erasure:
        """The same with a receipt that there is: all of it is still to be done. Raises EarshotError."""
        erasure.waits, erasure.hidden_at, erasure.purged_at = (TABLES, *self._parts), None, None
        self._suppress(keys, erasure.id)
        self._write(erasure)
        return erasure

    def finish(self, erasure: Erasure) -> list[str]:
        """Does what is still to be done, and says why the rest could not be. Raises EarshotError without ClickHouse."""
        failed: list[str] = []
        for name in list(erasure.waits):
            try:
                self._part(name, erasure)
            except EarshotError as error:
                failed.append(f"{name}: {error}")
                continue
            erasure.waits = [each for each in erasure.waits if each != name]
            if erasure.waits:
                self._write(erasure)
        if not erasure.waits:  # else nothing is new: control comes again each minute
            erasure.hidden_at = erasure.hidden_at or utc_now()
            self._write(erasure)
        return failed

    def sweep(self, among: Among) -> dict[str, int]:
        """Hides what has come since, as what was on its way; how many rows of each table. The events are of no erasure: their
        letters go here. Raises EarshotError."""
        letters = 0

        def found(events: list[int]) -> None:
            nonlocal letters
            if part := self._parts.get(LETTERS):
                letters = part(Keys(events=events)) or 0
            self._suppress(Keys(events=events), 0)

        hidden = self._hiding.hide(among, found)
        return {**hidden, **({LETTERS: letters} if letters else {})}

    def nobody(self) -> bool:
        """Nobody was ever erased: there is nothing to look for. Raises EarshotError."""
        return not self._ask("SELECT count() AS n FROM suppressions", {}).get_column("n")[0]

    def hide_conversations(self, conversations: Sequence[int]) -> int:
        """As Hiding does."""
        return self._hiding.hide_conversations(conversations)

    def unfinished(self) -> list[Erasure]:
        """Erasures of which something is still to be done, also those of which nothing but the keys was written. Raises
        EarshotError."""
        lost = self._ask(_LOST, {})
        for id_, asked_at, accounts, addresses in lost.iter_rows():
            self._write(Erasure("", _CUT_OFF, asked_at, accounts, addresses, waits=(TABLES, *self._parts), id=id_))
        with one_line(self._client):
            return list(receipts(self._client, "isNull(hidden_at)"))

    def letters(self, erasures: Sequence[Erasure]) -> int:
        """How many dead letters came since, and are hidden; also of events that came since. Raises EarshotError."""
        return self._letters(f"erasure IN ({', '.join(str(each.id) for each in erasures)}, 0)") if erasures else 0

    def all_letters(self) -> int:
        """The same of all erasures. Raises EarshotError."""
        return self._letters("1")

    def _letters(self, where: str) -> int:
        part = self._parts.get(LETTERS)
        return (part(self._keys(where)) or 0) if part else 0

    def keys(self, erasure: int) -> Keys:
        """All that it suppresses. Raises EarshotError."""
        return self._keys(f"erasure = {erasure}")

    def _keys(self, where: str) -> Keys:
        rows = self._ask(
            f"SELECT DISTINCT toString(kind) AS kind, key, value FROM suppressions FINAL WHERE {where} ORDER BY key, value", {}
        )
        numbers, texts = (dict(rows.group_by("kind").agg(column).iter_rows()) for column in ("key", "value"))
        handles = frozenset(rows.filter(kind="account", value=HANDLE).get_column("key"))
        return Keys(numbers.get("account", ()), texts.get("value", ()), numbers.get("event", ()), handles)

    def _part(self, name: str, erasure: Erasure) -> None:
        if name != TABLES:
            if (part := self._parts.get(name)) is None:
                raise EarshotError("this release does not know how")
            self._count(erasure, {name: part(self.keys(erasure.id)) or 0})
            return

        def noted(months: list[int]) -> None:
            if new := set(months) - set(erasure.months):  # nobody finds them once the rows are hidden
                erasure.months = sorted({*erasure.months, *new})
                self._write(erasure)

        among = of_erasure(erasure.id)
        if alone := self._hiding.conversations(among):
            self._notes.conversations(alone)
        hidden = self._hiding.hide(among, lambda found: self._suppress(Keys(events=found), erasure.id), noted, alone)
        self._count(erasure, hidden)
        if alone:  # a case that somebody opened while its thread was still there
            self._count(erasure, {"cases": self._hiding.hide_cases(alone)})
        erasure.events = len(self.keys(erasure.id).events)
        erasure.topics = self._topics()

    @staticmethod
    def _count(erasure: Erasure, hidden: Mapping[str, int]) -> None:
        names = {*erasure.rows, *hidden}
        sums = {name: erasure.rows.get(name, 0) + hidden.get(name, 0) for name in sorted(names)}
        erasure.rows = {name: count for name, count in sums.items() if count}

    def _suppress(self, keys: Keys, erasure: int) -> None:
        if keys.events:
            self._notes.events(erasure, keys.events)
        suppress(self._inserter, suppression_rows(keys, erasure, utc_now()), self._inserter.fence.generation)

    def _write(self, erasure: Erasure) -> None:
        """With what somebody else has written since it was read: a command that takes minutes has control beside it."""
        with one_line(self._client):
            for since in receipts(self._client, f"id = {erasure.id} AND version > {erasure.version}"):
                erasure.months = sorted({*erasure.months, *since.months})
                names = {*erasure.rows, *since.rows}
                erasure.rows = {name: max(erasure.rows.get(name, 0), since.rows.get(name, 0)) for name in sorted(names)}
                erasure.topics, erasure.events = since.topics or erasure.topics, max(erasure.events, since.events)
            write_receipt(self._client, erasure)


def erasures_of(client: Client, accounts: Sequence[int], values: Sequence[str] = ()) -> list[int]:
    """Which erasures suppress these accounts, or hashed addresses and numbers. Raises EarshotError."""
    listed, texts = ", ".join(map(str, accounts)) or "0", ", ".join(map(quoted, values)) or "''"
    found = asker(client)(
        "SELECT DISTINCT erasure FROM suppressions FINAL "
        f"WHERE kind = 'account' AND key IN ({listed}) OR kind = 'value' AND value IN ({texts}) ORDER BY erasure",
        {},
    )
    return found.get_column("erasure").to_list()


def readmit(client: Client, inserter: Inserter, erasures: Sequence[int]) -> Keys:
    """Lifts accounts and values of these erasures: what comes from now on lands. Events that were erased stay so. Returns what
    is lifted. Raises EarshotError, also for one that is not hidden yet: without its keys nobody would find what is left; and
    while keys are rotated, which would suppress them anew by their next hashes."""
    refuse(client, "readmit")
    with one_line(client):
        whole = {each.id for each in receipts(client, "isNotNull(hidden_at)")}
    if open_ := sorted(set(erasures) - whole):
        raise EarshotError(
            f"erasure {open_[0]:016x} is not hidden everywhere yet (`earshot person receipts`): readmit after that"
        )
    rows = asker(client)(
        "SELECT toString(kind) AS kind, key, value, erasure FROM suppressions FINAL "
        f"WHERE kind != 'event' AND erasure IN ({', '.join(map(str, erasures)) or '0'})",
        {},
    )
    lifted = Keys(
        rows.filter(kind="account").get_column("key").unique().sort().to_list(),
        rows.filter(kind="value").get_column("value").unique().sort().to_list(),
    )
    for (erasure,), its in rows.group_by("erasure"):
        accounts, values = its.filter(kind="account").get_column("key"), its.filter(kind="value").get_column("value")
        handles = its.filter(kind="account", value=HANDLE).get_column("key")
        keys = Keys(accounts.to_list(), values.to_list(), handles=frozenset(handles.to_list()))
        suppress(inserter, suppression_rows(keys, int(str(erasure)), utc_now(), lifted=True), inserter.fence.generation)
    if set(erasures_of(client, lifted.accounts, lifted.values)) & set(erasures):
        raise EarshotError("ClickHouse's clock was set back, so the older rows count: readmit again later")
    return lifted
