"""A restore leaves out who was erased: by the suppressions of the backup and of the database, and by the notes of setting
privacy.erasures_file, which know of those after the backup. All of it may be done again."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import one_line
from pipeline.customers.state import State
from pipeline.errors import EarshotError
from pipeline.fence import OpenFence
from pipeline.identity.rules_file import Hashes
from pipeline.monitoring.health import Vitals
from pipeline.privacy.erase import Erasing, readmit
from pipeline.privacy.hide import Among
from pipeline.privacy.noted import Noted
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.erased_customers import suppressed
from pipeline.sinks.erasures import receipts, suppress, suppression_rows, write_receipt
from schemas.erasures import Keys
from schemas.hashes import STORED
from schemas.times import utc_now

_TERM = "SELECT max(term) AS term FROM leaders WHERE name = 'customers'"


def erase_again(client: Client, erasing: Erasing, noted: Noted, hashes: Hashes) -> int:
    """Erases from the restored tables, and whatever else the database holds; returns how many rows are hidden. Raises
    EarshotError."""
    inserter = Inserter(client, OpenFence(), Vitals(), "restore")
    with one_line(client):
        known = {each.id: each for each in receipts(client)}
    for id_, events in noted.events.items():
        suppress(inserter, suppression_rows(Keys(events=events), id_, utc_now()))
    for id_, (erasure, keys) in noted.erasures.items():
        if id_ not in known:
            erasing.begin_again(erasure, keys._replace(values=hashes(STORED, keys.values)))
    rows, graph = 0, _graph(inserter, hashes)
    for erasure in erasing.unfinished():
        if failed := erasing.finish(erasure):
            raise EarshotError(f"erasure {erasure.id:016x} is not whole: {'; '.join(failed)}")
        rows += sum(erasure.rows.values())
    swept = sum(erasing.sweep(Among("1", thorough=True)).values()) + erasing.hide_conversations(sorted(noted.conversations))
    swept += erasing.all_letters()  # those of ClickHouse's own RESTORE
    if swept or graph:
        _purge_again(client)
    return rows + swept + graph


def readmit_again(client: Client, noted: Noted) -> None:
    """Once all of it is hidden: what comes from now on of persons who were readmitted lands. Of an erasure that is neither in
    the backup nor noted nothing is suppressed. Raises EarshotError."""
    with one_line(client):
        known = {each.id for each in receipts(client)}
    readmit(client, Inserter(client, OpenFence(), Vitals(), "restore"), sorted(noted.readmitted & known))


def _graph(inserter: Inserter, hashes: Hashes) -> int:
    """As `earshot customers` does when it leads; none runs. What counts for limits stays, without the person."""
    profiles = suppressed(inserter.query)
    if not len(profiles):
        return 0
    state = State(CustomerTables(inserter), hashes)
    state.start(int(inserter.query(_TERM).get_column("term")[0]), inserter.fence.generation)
    return state.suppress(profiles, again=True)


def _purge_again(client: Client) -> None:
    """What came back with the backup is hidden, and in the files: control purges it with the next ones."""
    with one_line(client):
        for erasure in list(receipts(client, "isNotNull(purged_at)")):
            erasure.purged_at = None
            write_receipt(client, erasure)
