"""The register of tables and topics: complete, and true of the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.privacy import PAGE, PARTS, privacy_page
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import read_migrations
from pipeline.config.keys import DataKeys, HashKeys
from pipeline.config.retention import TABLES as EXPIRES
from pipeline.config.settings import KafkaSettings, Settings
from pipeline.kafka.topics import topic_configs
from pipeline.maintenance.rotation.rotate import works_of
from pipeline.privacy.place import Place, Sets, named_by_others, where
from pipeline.privacy.register import PLACES, TABLES, TOPICS, how_long

PERSONAL = re.compile(r"account|author|email|phone|customer|profile|event_key|^event$|handle")
"""What a column is called that may say who somebody is."""
KEYS = re.compile(r"UInt64|AggregateFunction|String")
"""What keys and hashes are: in a table where rows of a person are found, other columns go with the row."""
ALL = Sets("1", "2", "'3'", "4", "5")
COLUMNS = """
SELECT table, name, type FROM system.columns
WHERE database = currentDatabase() AND default_kind != 'ALIAS' AND table IN
    (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')
ORDER BY table, position"""
TTLS = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"


def missing(tables: set[str]) -> set[str]:
    return tables - set(TABLES)


def unfound(place: Place, columns: dict[str, str]) -> Iterator[str]:
    """The columns that look like a person's, and that neither find a row nor say why not."""
    named = " ".join((*place.accounts, *place.events, *place.values, *place.edges, *place.conversations, *place.others))
    for name, type_ in columns.items():
        looks = PERSONAL.search(name) and (not place.findable or ("UInt64" in type_ and KEYS.search(type_)))
        if looks and not re.search(rf"\b{name}\b", named) and name not in place.apart:
            yield f"{place.name}.{name}"


def test_it_has_each_table_and_topic() -> None:
    ddl = " ".join(statement for migration in read_migrations() for statement in migration.statements)
    made = {"schema_migrations", *re.findall(r"CREATE TABLE(?: IF NOT EXISTS)? (\w+)", ddl)}
    assert missing(made) == set(), "a new table needs a place in pipeline/privacy/places/"
    assert set(TABLES) == made, "this table is gone"
    assert set(TOPICS) == {name.removeprefix("social.") for name in topic_configs(KafkaSettings())}
    assert len(PLACES) == len(TABLES) + len(TOPICS), "twice"
    assert missing({*made, "secrets"}) == {"secrets"}


def test_it_says_of_each_what_goes_and_what_stays() -> None:
    assert [place.name for place in PLACES if place.erase == "none" and not place.goes] == []
    assert [place.name for place in PLACES if place.erase == "retention" and not place.topic] == []
    assert [place.name for place in PLACES if (place.clear or place.hashed or place.findable) and not place.holds] == []
    assert [place.name for place in PLACES if place.erase == "rows" and not place.findable] == []
    assert [place.name for place in PLACES if (place.backup is None) != place.topic] == [], "how does it come back?"
    words = [text for place in PLACES for text in (place.holds, place.goes, place.kept, place.clear)]
    assert [text for text in words if "|" in text or "\n" in text] == [], "it fits into no cell"
    assert set(EXPIRES) <= set(TABLES)
    assert (
        how_long(TABLES["dead_letters"])
        == "400 days after rejection; 90 days if the record does not say whose it is; setting `retention` may say otherwise"
    )


def test_a_rotation_of_keys_knows_each_place_that_a_key_has_made(emptied: Settings) -> None:
    assert [place.name for place in TABLES.values() if bool(place.encrypted) != bool(place.sealed)] == []
    keyed = [place.name for place in TABLES.values() if re.search(r"address|`author\.email`", place.hashed)]
    assert keyed == [place.name for place in TABLES.values() if place.digests]
    digests = {place.name: set(place.digests) for place in TABLES.values() if place.digests}
    with clickhouse_client(emptied.clickhouse) as client:
        works = works_of(client, HashKeys(("hash", "later")), DataKeys(("d" * 64,)))
    assert {work.table: set(work.columns) for work in works if work.key == "hash_key"} == digests
    sealed = {place.name: set(place.sealed) for place in TABLES.values() if place.sealed}
    assert {work.table: set(work.columns) for work in works if work.key == "data_key"} == sealed


def test_the_page_of_privacy_is_current() -> None:
    page = PAGE.read_text()
    assert page == privacy_page(page), "run make docs"
    assert re.findall(r"<!-- made: (\w+) -->", page) == list(PARTS)


def test_a_column_that_looks_like_a_person_s_is_found_or_has_a_reason() -> None:
    assert list(unfound(TABLES["rates"], {"author_email": "String", "rate": "Float64"})) == ["rates.author_email"]
    assert list(unfound(TABLES["orders"], {"account": "UInt64", "other_account": "UInt64"})) == ["orders.other_account"]


def test_what_finds_rows() -> None:
    assert where(TABLES["orders"], ALL) == "account IN (1) OR event IN (2)"
    assert where(TABLES["orders"], Sets("1")) == "account IN (1)"
    assert where(TABLES["orders"], Sets()) == where(TABLES["rates"], ALL) == "0"
    rows = where(TABLES["interactions"], ALL)
    assert rows.endswith("OR (account_key = 0 AND (author_email IN ('3') OR author_phone IN ('3')))"), rows
    assert where(TABLES["alerts"], ALL) == "arrayExists(its -> its IN (2), samples)"
    assert named_by_others(TABLES["assignments"], ALL) == "(customer IN (1)) AND NOT (profile IN (1))"
    assert named_by_others(TABLES["orders"], ALL) == "0"


def test_its_columns_are_those_of_the_tables(emptied: Settings) -> None:
    columns: dict[str, dict[str, str]] = {}
    with clickhouse_client(emptied.clickhouse) as client:
        for table, name, type_ in client.query(COLUMNS).result_rows:
            columns.setdefault(table, {})[name] = type_
        assert set(columns) == set(TABLES)
        assert [each for place in TABLES.values() for each in unfound(place, columns[place.name])] == []
        for place in TABLES.values():
            named = {*place.apart, *place.shown, *([place.time] if place.time else [])}
            assert named <= set(columns[place.name]), f"{place.name} has no such column"
            for sets in (ALL, Sets(*[f"SELECT {value}" for value in ALL])):
                for condition in (where(place, sets), named_by_others(place, sets)):
                    client.query(f"SELECT 1 FROM {place.name} WHERE {condition}")
        for table, engine in client.query(TTLS).result_rows:
            found = re.findall(r"toIntervalDay\((?:if\([^,]+, )?(\d+)(?:, (\d+)\))?\)", engine)
            days = {each for pair in found for each in pair if each}
            assert days == set(re.findall(r"(\d+) days", TABLES[table].kept)), f"{table}: {engine}"
