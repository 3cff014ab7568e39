"""A person's accounts and keys, and what is there of them, in tables that hold two persons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, SettingsError, UnknownName
from pipeline.privacy.person import Person
from pipeline.privacy.place import where
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import find, sets_of
from tests.support.persons import Planted, plant

ANN, BOB = Planted("annmark"), Planted("bobmark")
NOBODY = "nothing is known of it: no event, no link, no record of a CRM"


def check_accounts(person: Person) -> None:
    assert person.customer == ANN.bird
    named = {each.name: each for each in person.accounts}
    assert set(named) == {"twitter:annmark-id", "forum:@annmark_owl", "crm:annmark-crm"}
    bird = named["twitter:annmark-id"]
    assert (bird.key, bird.handles, bird.handle_keys, bird.shared) == (ANN.bird, (ANN.handle,), (ANN.by_handle,), ())
    assert person.keys == tuple(sorted((ANN.bird, ANN.by_handle, ANN.forum, ANN.record)))
    assert (person.hashes, [each.type for each in person.values]) == ((ANN.email,), ["email"])


def check_names(client: Client) -> None:
    """Each name of the customer means it; one account alone has to be asked for."""
    whole = find(client, customer="twitter:annmark-id")
    for name in ("forum:@ANNMARK_owl", "crm:annmark-crm", f"{ANN.forum:016x}"):
        assert find(client, customer=name) == whole
    others = "also (crm:annmark-crm|twitter:@ANNMARK_BIRD|twitter:annmark-id)"
    with pytest.raises(
        EarshotError, match=f"its customer has 3 accounts, {others}, .*; --customer .* --only is this one alone"
    ):
        find(client, account="forum:@annmark_owl")
    one = find(client, account="forum:@annmark_owl", only=True)
    assert ([each.key for each in one.accounts], len(one.left)) == ([ANN.forum], 2)
    assert one.hashes == (), "the customer's other accounts have the address, too"
    with pytest.raises(UnknownName, match=f"^twitter:nobody: {NOBODY}; a handle has an @ before it: twitter:@nobody$"):
        find(client, customer="twitter:nobody")
    with pytest.raises(UnknownName, match=f"^forum:@nobody: {NOBODY}$"):
        find(client, account="forum:@nobody")
    with pytest.raises(EarshotError, match="is several profiles: "):
        find(client, customer=f"twitter:@{ANN.handle}")
    for both in (None, "crm:1"):
        with pytest.raises(SettingsError, match="give one of --customer and --account"):
            find(client, customer=both, account=both)
    with pytest.raises(SettingsError, match="names no profile"):
        find(client, customer="ann")


def check_rows(client: Client, person: Person) -> None:
    """In each place rows of hers are found, and none of his."""
    sets = sets_of(client, person)
    for place in TABLES.values():
        if place.findable:
            found = client.query(f"SELECT toString(tuple(*)) FROM {place.name} WHERE {where(place, sets)}").result_rows
            assert found, place.name
            assert not any(BOB.mark in row for (row,) in found), place.name


def check_shared(client: Client) -> None:
    """A handle that another account bore, and an address that another one has, find nothing."""
    plant(client, replace(ANN, mark="cat"))
    client.command(
        "INSERT INTO interactions (event_key, platform, id, author_id, author_handle, author_email, created_at, version) "
        f"VALUES (1, 'twitter', 'x', 'other', '{ANN.handle}', '{ANN.email}', '2026-11-03', 1)"
    )
    person = find(client, customer="twitter:annmark-id")
    bird = next(each for each in person.accounts if each.platform == "twitter")
    assert (bird.shared, bird.handle_keys, person.hashes) == ((ANN.handle,), (), ())
    assert [each.shared for each in person.values] == [True]
    assert ANN.by_handle not in person.keys


def test_a_person_is_found_with_all_that_is_theirs(emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        plant(client, ANN, BOB)
        person = find(client, customer="twitter:annmark-id")
        check_accounts(person)
        check_names(client)
        check_rows(client, person)
        check_shared(client)
