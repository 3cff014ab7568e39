"""Who has which conversation: commands to a leader over the real table, and what a second leader and a stale one do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.control.cases import CaseCommands, Changed
from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.sinks.cases import Case, CaseTable, Conversation

OF = Conversation("Acme", "trustpilot", "it's r-1")
OTHER = Conversation("Acme", "trustpilot", "r-2")
ROWS = "SELECT toString(state), owner, actor, comment FROM cases FINAL ORDER BY conversation_id"


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        for brand, platform, conversation in (OF, OTHER):
            client.command(
                "INSERT INTO threads (brand, opened, conversation, conversation_id, platform, version) "
                "SELECT {b:String}, now64(3), xxh3(concat({p:String}, ':', {c:String})), {c:String}, {p:String}, 1",
                parameters={"b": brand, "p": platform, "c": conversation},
            )
        yield client


@contextmanager
def leading(client: Client, term: int) -> Iterator[CaseCommands]:
    leader = Leader("control", "", client, Vitals())
    leader.lease.assigned(True)
    leader.lease.confirmed(leader.lease.now(), 600)
    client.command(f"INSERT INTO leaders (name, term, holder, changed_at) VALUES ('control', {term}, {term}, now64(3))")
    leader.inserter.begin("control", term)
    with leader.serving(leader.lease.generation):
        yield CaseCommands(leader, CaseTable(leader.inserter))


async def test_a_conversation_is_of_one_person_until_they_are_done(client: Client) -> None:
    with leading(client, 1) as cases:
        taken = await cases.take(OF, "ines", "mine")
        assert taken.before is None and (taken.after.state, taken.after.owner) == ("taken", "ines")
        again = await cases.take(OF, "ines", "still")
        assert again.after.since == taken.after.since and again.after.version > taken.after.version
        for refused in (cases.take(OF, "lars", ""), cases.done(OF, "lars", "")):
            with pytest.raises(ConflictError, match=r"^ines has it since 20\d\d-"):
                await refused
        given = await cases.hand_over(OF, "lars", "ines", "his")
        assert (given.before, given.after.owner, given.after.actor) == (again.after, "lars", "ines")
        assert await cases.taken() == [given.after]
        assert (await cases.done(OF, "lars", "called her")).after.state == "done"
        assert await cases.taken() == []
        assert client.query(ROWS).result_rows == [("done", "lars", "lars", "called her")]
        assert (await cases.take(OF, "ines", "")).before is not None, "what is done is anybody's"
        assert (await cases.hand_over(OF, "", "lars", "")).after.state == "free"
        assert (await cases.done(OTHER, "ines", "")).after.owner == "ines", "nobody had it"


async def test_what_is_no_conversation_has_no_case(client: Client) -> None:
    with leading(client, 1) as cases:
        for of in (OF._replace(brand="Brio"), OF._replace(platform="x"), OF._replace(conversation_id="' OR 1 = 1 --")):
            with pytest.raises(UnknownName, match="^there is no such conversation on [a-z]+ about [A-Z][a-z]+$"):
                await cases.take(of, "ines", "")
    assert client.command("SELECT count() FROM cases") == 0


async def test_a_case_of_a_person_who_is_erased_at_this_moment_is_not_left(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erase has looked for cases before this one was there, and then hidden the conversation."""
    with leading(client, 1) as cases:
        await cases.take(OTHER, "ines", "")
        case_of = CaseTable.case

        def meanwhile(table: CaseTable, of: Conversation) -> Case | None:
            client.command("DELETE FROM threads WHERE conversation_id != 'r-2'")
            return case_of(table, of)

        monkeypatch.setattr(CaseTable, "case", meanwhile)
        with pytest.raises(UnknownName, match="^there is no such conversation on [a-z]+ about [A-Z][a-z]+$"):
            await cases.take(OF, "ines", "of her")
        assert [case.owner for case in await cases.taken()] == ["ines"]
        assert client.query(ROWS).result_rows == [("taken", "ines", "ines", "")], "that of another conversation"


async def test_of_two_who_take_it_at_once_one_has_it(client: Client) -> None:
    with leading(client, 1) as cases:
        people = [f"person {number}" for number in range(8)]
        done = await asyncio.gather(*(cases.take(OF, each, "") for each in people), return_exceptions=True)
        won = [each for each in done if isinstance(each, Changed)]
        assert len(won) == 1 and sum(isinstance(each, ConflictError) for each in done) == 7
        assert [case.owner for case in await cases.taken()] == [won[0].after.owner]


async def test_another_leader_knows_them_and_a_stale_one_writes_nothing(client: Client) -> None:
    with leading(client, 1) as stale:
        first = await stale.take(OF, "ines", "")
        with leading(client, 2) as cases:
            assert await cases.taken() == [first.after]
            assert (await cases.hand_over(OF, "lars", "ines", "")).after.version > first.after.version
            with pytest.raises(EarshotError, match="does not lead any more"):
                await stale.hand_over(OF, "zoe", "zoe", "")
            assert [case.owner for case in await cases.taken()] == ["lars"]
    with pytest.raises(EarshotError, match="does not lead: it is starting"):
        await stale.taken()
