"""A person's accounts and keys, what is there of them, and what they take along, in tables that hold two persons."""

from __future__ import annotations

import json
import re
import resource
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, SettingsError, UnknownName
from pipeline.privacy import export
from pipeline.privacy.held import held
from pipeline.privacy.person import Person
from pipeline.privacy.place import where
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import events_of, find, reader, sets_of
from pipeline.privacy.topic_times import NOT_KNOWN, held_until
from tests.support.commands import Run
from tests.support.persons import AT, DATA_KEY, Planted, Row, plant

ANN, BOB = Planted("annmark"), Planted("bobmark")
FILLED = {"account_events", "alerts_now"}
"""By views, from what is planted."""
TAKEN_OVER, DELETED = 7_001, 7_002
"""Events: hers before they were his, and hers before they were deleted."""
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
    with pytest.raises(SettingsError, match="^--only goes with --account"):
        find(client, customer="crm:annmark-crm", only=True)
    with pytest.raises(SettingsError, match="names no profile"):
        find(client, customer="ann")
    later = f"2-{'0' * 64}"
    client.insert("raised_hashes", [(ANN.email, later, 2)], column_names=["old", "new", "generation"])
    assert set(find(client, customer="twitter:annmark-id").hashes) == {ANN.email, later}, "the hash key is being changed"
    assert find(client, account="forum:@annmark_owl", only=True).hashes == (), "one is others', so both are"
    client.command("TRUNCATE TABLE raised_hashes")


def check_addresses(client: Client) -> None:
    """An address names the customer who has it, or somebody without an account, as who fills in a form; not two customers."""

    def hashes(column: str, values: Sequence[str]) -> list[str]:
        assert column == "author_email"
        return [{"ann@mail.example": ANN.email, "form@mail.example": "form-hash"}.get(value, "nobody's") for value in values]

    assert find(client, customer=" Ann <ann@mail.example>", hashes=hashes) == find(client, customer="twitter:annmark-id")
    columns = ["event_key", "platform", "author_email", "created_at"]
    client.insert("interactions", [[9_001, "webform", "form-hash", AT]], column_names=columns)
    alone = find(client, customer="form@mail.example", hashes=hashes)
    assert (alone.keys, alone.hashes, events_of(reader(client), alone)) == ((), ("form-hash",), [9_001])
    sets = sets_of(client, alone)
    assert [(each.place.name, each.rows) for each in held(client, sets)] == [("interactions", 1)]
    with pytest.raises(UnknownName, match=r"^typo@mail\.example: nothing is known of it: no row, no link and no record "):
        find(client, customer="typo@mail.example", hashes=hashes)
    with pytest.raises(SettingsError, match="names no profile"):
        find(client, account="ann@mail.example", hashes=hashes)
    two = [[key, "forum", "form-hash", AT, f"a{key}"] for key in (9_002, 9_003)]
    client.insert("interactions", two, column_names=[*columns, "author_id"])
    with pytest.raises(EarshotError, match=r"^form@mail\.example is several customers': .*forum:.*name the one that is meant"):
        find(client, customer="form@mail.example", hashes=hashes)


def check_rows(client: Client, person: Person, planted: dict[str, list[Row]]) -> None:
    """In each place rows of hers are found, and none of his."""
    sets = sets_of(client, person)
    events = set(events_of(reader(client), person))
    assert events == {DELETED, *(ANN.event(number) for number in range(4))}, "also the one without an author"
    assert str(ANN.event(0)) not in sets.events, "a machine's account may have a million, and no statement lists them"
    for place in TABLES.values():
        if place.findable and (place.name in planted or place.name in FILLED):
            found = client.query(f"SELECT toString(tuple(*)) FROM {place.name} WHERE {where(place, sets)}").result_rows
            assert found, place.name
            both = place.name in ("alerts", "alerts_now", "identity_commands")
            assert both or not any(BOB.mark in row for (row,) in found), place.name


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
    whole = find(client, customer="twitter:annmark-id", shared=True)
    assert (whole.hashes, whole.keys) == ((ANN.email,), person.keys), "the officer knows whose it is"
    rows = where(TABLES["interactions"], sets_of(client, whole))
    assert client.query(f"SELECT 1 FROM interactions WHERE author_id = 'other' AND ({rows})").result_rows == []


def marks(planted: dict[str, list[Row]]) -> set[str]:
    """What an export has to hold: each text that was planted, but for those that are of colleagues or of others."""
    found = set()
    for table, rows in planted.items():
        shown = {name for name, sql in TABLES[table].shown.items() if not sql}
        for name, value in (pair for row in rows for pair in row.items() if pair[0] not in shown):
            if isinstance(value, str) and ANN.mark in value.lower() and name != "change":
                found.add(value)
    return found


def check_export(run: Run, folder: Path, planted: dict[str, list[Row]]) -> None:
    """All that was planted of her, nothing of his, and what a colleague said of two persons is not told."""
    done = run("person", "export", str(folder), "--customer", "twitter:annmark-id")
    assert done.code == 0, done.err
    files = {file.name: file.read_text() for file in folder.iterdir()}
    whole = "".join(files.values())
    assert BOB.mark not in whole.lower()
    there = FILLED.union(planted)
    assert {name.removesuffix(".json") for name in files} == {"person.txt", *there}
    assert {text for text in marks(planted) if text not in whole} == set()
    rows = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    times = [row["created_at"] for row in rows["interactions.json"]]
    assert len(times) == 4 and times == sorted(times)
    [record] = rows["customers.json"]
    assert (record["name"], record["email"]) == ("annmark name", "annmark email"), "in clear"
    letters = [letter["raw"] for letter in rows["dead_letters.json"]]
    assert letters[0] == "annmark was rejected" and "annmark before" in letters[1], "one of before they were encrypted, too"
    assert record["profile"] == str(ANN.record)
    assert [each["samples"] for each in rows["alerts.json"]] == [[str(ANN.event(0))]] * 2, "and none of his posts"
    assert {each["why"] for each in rows["identity_commands.json"]} == {"annmark why 0", "annmark why 1", ""}
    page = files["person.txt"]
    assert "All times are UTC." in page and re.search(r"\d\d UTC  not taken: .*\n    annmark was rejected\n", page)
    assert re.search(r"\d\d UTC  record annmark-crm\n    name: annmark name\n    e-mail address: annmark email\n", page)
    assert re.search(r"\d\d UTC  twitter post annmark id 0, by @ANNMARK_BIRD \(annmark author_name 0\)\n", page)
    assert all(letter["rejected_at"].endswith("Z") for letter in rows["dead_letters.json"])
    assert "customer " in page and "interactions.json: 4 rows: " in page and "\n    annmark text 0" in page
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"{folder}: {sum(map(len, rows.values())):,} rows of {len(rows)} tables\n" == done.out


def check_refusals(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is there, another key, a full disk: one line, and nothing that looks whole."""
    again = ("person", "export", str(folder), "--customer", "twitter:annmark-id")
    assert run(*again).err.splitlines()[-1] == f"earshot: {folder} is there already: name a folder that is not"
    new = folder.with_name("new")
    new.with_name("new.part").mkdir()
    (new.with_name("new.part") / "customers.json").write_text("[")  # a run was killed
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        full = run("person", "export", str(new), "--customer", "twitter:annmark-id")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.code == 1
    assert full.err.splitlines()[-1] == f"earshot: {new}: File too large; nothing was exported"
    monkeypatch.setenv("EARSHOT_PRIVACY__DATA_KEY", "cd" * 32)
    other = run("person", "export", str(new), "--account", "crm:annmark-crm", "--only")
    assert other.code == 1 and "privacy.data_key is another key" in other.err
    assert sorted(each.name for each in folder.parent.iterdir() if each.name.startswith("new")) == []


def check_traces(client: Client, settings: Settings) -> None:
    """Neither the record of acts nor the query log names her, and topics of which the broker says nothing stop nobody."""
    acts = client.query("SELECT subject, outcome FROM acts WHERE act = 'export person'").result_rows
    assert {(f"{ANN.bird:016x}", "done"), (f"{ANN.bird:016x}", "nothing was exported")} == set(acts)
    assert reader(client)("SELECT toInt32(getSetting('log_queries')) AS logged").item() == 0
    held = held_until(settings.kafka.model_copy(update={"topic_prefix": "strange"}))
    assert held and all(at.startswith(f"{NOT_KNOWN} (") for at in held.values())


def check_show(run: Run) -> None:
    done = run("person", "show", "--customer", "twitter:annmark-id")
    assert done.code == 0, done.err
    assert "annmark text" not in done.out and BOB.mark not in done.out
    assert f"customer {ANN.bird:016x}\n" in done.out
    assert f"account twitter:annmark-id, key {ANN.bird:016x}, handles @annmark_bird\n" in done.out
    assert f"    named annmark author_name 1, 2 events, from {AT:%Y-%m-%d} to {AT:%Y-%m-%d}\n" in done.out
    assert re.search(r"topics may hold records of the person: \S+\.\S+ no date, ", done.out)
    assert "rows of others that name the person: interactions 1, relations 1: they are theirs, and stay" in done.out
    assert re.search(r"interactions +│ +4 │ .* │ erased", done.out)
    nobody = run("person", "show", "--account", "forum:@nobody")
    assert (nobody.code, nobody.err) == (1, f"earshot: forum:@nobody: {NOBODY}\n")


def plant_others(client: Client) -> None:
    """What is of both, or of him and about her."""
    columns = ["event_key", "platform", "author_id", "created_at", "mentions", "text"]
    mention = [BOB.event(80), "twitter", BOB.id, AT, [ANN.handle], f"{BOB.mark} asks @{ANN.handle}"]
    client.insert("interactions", [mention], column_names=columns)
    columns = ["event_key", "platform", "author_id", "created_at", "version", "is_deleted"]
    versions = [(TAKEN_OVER, ANN.id, 1, 0), (TAKEN_OVER, BOB.id, 2, 0), (DELETED, ANN.id, 1, 0), (DELETED, "", 2, 1)]
    rows = [[key, "twitter", author, AT, version, gone] for key, author, version, gone in versions]
    client.insert("interactions", rows, column_names=columns)
    columns = ["action", "a", "b", "sequence", "why"]
    client.insert("identity_commands", [["never", ANN.bird, BOB.bird, 1, f"{BOB.mark} is her brother"]], column_names=columns)
    columns = ["alert_key", "version", "changed_at", "samples", "terms"]
    client.insert("alerts", [[99, 1, AT, [ANN.event(0), BOB.event(0)], [f"{BOB.mark} said"]]], column_names=columns)
    client.insert("relations", [[BOB.bird, ANN.bird, f"{BOB.mark} follows"]], column_names=["account", "target_key", "target"])


def test_a_person_is_found_with_all_that_is_theirs(
    emptied: Settings, stacked: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_PRIVACY__DATA_KEY", DATA_KEY)
    monkeypatch.setattr(export, "PIECE", 3)
    with clickhouse_client(emptied.clickhouse) as client:
        planted = plant(client, ANN, BOB)
        plant_others(client)
        person = find(client, customer="twitter:annmark-id")
        check_accounts(person)
        check_names(client)
        check_rows(client, person, planted)
        check_show(stacked)
        check_export(stacked, tmp_path / "ann", planted)
        check_refusals(stacked, tmp_path / "ann", monkeypatch)
        check_traces(client, emptied)
        check_addresses(client)
        check_shared(client)
