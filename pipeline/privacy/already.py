"""Who is erased already: another erase would find nothing, and say so by the receipt that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker, one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.privacy.erase import TABLES
from pipeline.privacy.person import Person
from pipeline.privacy.subject import events_of, reader
from pipeline.sinks.erasures import receipts, write_receipt
from schemas.erasures import Erasure


def erased_already(client: Client, person: Person) -> list[Erasure]:
    """The erasures by which all of the person is suppressed, oldest first; none: one of them left rows of tables, or something
    of the person has come since. Raises EarshotError."""
    if events_of(reader(client), person):
        return []
    values = ", ".join(map(quoted, person.hashes)) or "''"
    known = asker(client)(
        "SELECT toString(kind) AS kind, key, value, erasure FROM suppressions FINAL "
        f"WHERE kind = 'account' AND key IN ({', '.join(map(str, person.keys))}) OR kind = 'value' AND value IN ({values})",
        {},
    )
    of_keys, of_values = (
        set(known.filter(kind=kind).get_column(name)) for kind, name in (("account", "key"), ("value", "value"))
    )
    if not (of_keys >= set(person.keys) and of_values >= set(person.hashes)):
        return []
    found = receipts_of(client, known.get_column("erasure").unique().to_list())
    return [] if any(TABLES in each.waits for each in found) else found


def receipts_of(client: Client, erasures: Sequence[int]) -> list[Erasure]:
    """Their receipts, oldest first; one that was killed before it wrote its receipt has none. Raises EarshotError."""
    with one_line(client):
        return list(receipts(client, f"id IN ({', '.join(map(str, erasures)) or '0'})"))


def note_topics(client: Client, erasure: int, topics: Mapping[str, str]) -> Erasure:
    """Its receipt, which says this of topics from now on: read anew, as control goes on with it. Raises EarshotError."""
    with one_line(client):
        [kept] = receipts(client, f"id = {erasure}")
        kept.topics = topics
        write_receipt(client, kept)
    return kept
