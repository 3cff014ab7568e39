"""Step identity: whose customer an author is, which edges go, which have gone already."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.identity.own import RULE
from pipeline.identity.rules_file import OfPlatform, RulesFile
from pipeline.processors.completion import Completion
from pipeline.processors.identity import Identity, Sent
from pipeline.processors.key_map import KeyMap
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import account_key, edge_keys
from tests.support.hot_path import PathRun

NONE = np.zeros(0, np.uint64)
ANN, BOB = account_key("forum", "ann"), account_key("forum", "bob")
LATER, EARLIER = "2026-09-02T00:00:00Z", "2026-08-02T00:00:00Z"


class Run(PathRun):
    """The steps of a worker up to identity, over tables in memory."""

    def __init__(self, most_sent: int = 1_000) -> None:
        self.table = MemoryTable()
        self.identity = Identity(KeyMap(), most_sent)
        super().__init__(MemoryLanding(self.table), Completion(self.table, 1e9), after=[self.identity])
        self._memories.append(self.identity)
        self.use(self.index)
        self._ids = 0

    def post(self, author: dict[str, Any] | None = None, at: str = "2026-09-01T00:00:00Z", **more: Any) -> dict[str, Any]:
        self._ids += 1
        return {
            "id": str(self._ids),
            "platform": "forum",
            "kind": "post",
            "text": "hi",
            "created_at": at,
            "author": author,
            **more,
        }

    def edges(self, *records: dict[str, Any]) -> set[tuple[str, int, str]]:
        """What a landed batch of these records sends: rule, profile, basis."""
        return sent(self.landed(*records))


def sent(batch: EventBatch) -> set[tuple[str, int, str]]:
    assert batch.evidence is not None and batch.evidence.schema == EVIDENCE_COLUMNS
    assert batch.evidence.get_column("edge").to_list() == edge_keys(batch.evidence).to_list()
    return set(batch.evidence.select("rule", "a", "basis").rows())


def mail(name: str) -> dict[str, Any]:
    return {"id": name, "email": f"{name}@example.org"}


def customers(batch: EventBatch) -> list[int]:
    return batch.events.get_column("customer_key").to_list()


def test_the_customer_is_the_one_known_now_the_profile_itself_or_nobody() -> None:
    run = Run()
    by_handle = {"handle": "@Eve"}
    records = [
        run.post({"id": "ann"}),
        run.post({"id": "bob", "handle": "Bob"}),
        run.post(by_handle),
        run.post(),
        run.post({"name": "?"}),
    ]
    assert customers(run.landed(*records)) == [ANN, BOB, account_key("forum", None, "eve"), 0, 0]
    run.identity.customers.put(np.array([BOB], np.uint64), np.array([ANN], np.uint64))
    assert customers(run.landed(run.post({"id": "bob"}))) == [ANN]
    edit = {"id": "2", "platform": "forum", "operation": "update", "occurred_at": LATER, "text": "hi again"}
    assert customers(run.landed(edit)) == [ANN], "a change lands with the customer of now"
    delete = {"id": "2", "platform": "forum", "operation": "delete", "occurred_at": "2026-09-03T00:00:00Z"}
    assert customers(run.landed(delete)) == [0], "a tombstone has no author"
    assert customers(run.feed()) == []


def test_an_edge_goes_once_and_an_older_one_again() -> None:
    run = Run()
    assert run.edges(run.post(mail("ann")), run.post(mail("ann"), LATER), run.post({"id": "bob"})) == {
        ("email", ANN, "unknown")
    }
    assert run.edges(run.post(mail("ann"), LATER), run.post(mail("bob"))) == {("email", BOB, "unknown")}
    older = run.landed(run.post(mail("ann"), EARLIER))
    assert sent(older) == {("email", ANN, "unknown")}
    assert older.evidence is not None and older.evidence.get_column("at").to_list() == [1_785_628_800_000]
    assert run.edges(run.post(mail("ann"), EARLIER)) == set()


def test_another_basis_or_another_process_sends_it_again() -> None:
    run, other = Run(), Run()
    run.edges(run.post(mail("ann")))
    run.identity.use(RulesFile(platforms={"forum": OfPlatform(given=("email",))}), 2)
    batch = run.landed(run.post(mail("ann")))
    assert sent(batch) == {("email", ANN, "given")}
    assert batch.evidence is not None and batch.evidence.get_column("rule_version").to_list() == [2]
    assert other.edges(other.post(mail("ann"))) == {("email", ANN, "unknown")}


def test_what_authors_say_again_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address on every row cost three CPU seconds a million rows, whether it was known or not."""
    run, looked_at = Run(), list[int]()
    evidence_of = run.identity.evidence_of

    def counted(rows: pl.DataFrame) -> pl.DataFrame:
        looked_at.append(rows.height)
        return evidence_of(rows)

    monkeypatch.setattr(run.identity, "evidence_of", counted)
    ann = run.post(mail("ann"))
    run.landed(ann, run.post(mail("bob")), run.post(), run.post({"name": "nobody"}))
    assert looked_at == [2]
    run.landed(run.post(mail("ann"), LATER), run.post({**mail("bob"), "handle": "b"}, LATER), run.post(mail("kim")))
    assert looked_at == [2, 2], "bob has a handle now, and kim is new"
    again = run.post({**mail("ann"), "accounts": ["vk:1"]}, LATER)
    assert run.edges(again) == {("login", ANN, "unknown")} and looked_at[-1] == 1
    run.identity.use(RulesFile(), 1)
    run.landed(run.post(mail("ann"), LATER), run.post(mail("kim")))
    assert looked_at[-1] == 2, "under other rules it may be another basis"


def test_own_accounts_are_named_once_and_give_no_other_evidence() -> None:
    run = Run()
    of_staff = run.post({**mail("ann"), "kind": "staff"})
    outbound = run.post(mail("bob"), direction="outbound")
    bots = [run.post({"id": "eve", "kind": "bot", "bio": "I am x.com/eve"}) for _ in range(3)]
    nobody = run.post({"kind": "bot"})
    batch = run.landed(of_staff, outbound, *bots, nobody, run.post({"id": "kim", "kind": "person"}))
    assert sent(batch) == {(RULE, key, "given") for key in (ANN, BOB, account_key("forum", "eve"))}
    assert batch.evidence is not None
    assert set(batch.evidence.select("kind", "type", "a_platform", "claimed").rows()) == {("value", "handle", "forum", "")}
    assert batch.evidence.get_column("a").equals(batch.evidence.get_column("b"))
    assert run.edges(run.post(mail("bob"), LATER, direction="outbound")) == set()


def test_that_a_profile_whose_handle_is_known_is_our_own_is_news() -> None:
    """Both say that the profile is known, by one edge; the leader has to hear of both."""
    run = Run()
    run.identity.use(RulesFile(platforms={"forum": OfPlatform(given=("handle",))}), 1)
    eve, author = account_key("forum", None, "eve"), {"handle": "eve", "bio": "also vk.com/id15"}
    assert ("bears", eve, "given") in run.edges(run.post(author))
    assert run.edges(run.post({**author, "kind": "staff"}, LATER)) == {(RULE, eve, "given")}
    assert run.edges(run.post({**author, "kind": "staff"}, LATER)) == set()


def test_of_a_batch_that_was_given_up_everything_goes_again() -> None:
    run = Run()
    first, second = run.feed(run.post(mail("ann"))), run.feed(run.post(mail("ann"), EARLIER))
    assert sent(first) == sent(second) == {("email", ANN, "unknown")}
    run.identity.given_up(second)
    run.identity.given_up(first)
    assert sent(run.feed(run.post(mail("ann")))) == {("email", ANN, "unknown")}
    # A batch of another generation: those of before are never written, even if nobody has said so yet.
    late = run.post(mail("ann"))
    batch = run.feed(run.post(mail("bob")))
    batch.generation = 1
    run.identity.process(batch)
    run.flying.clear()
    again = run.feed(late)
    again.generation = 1
    assert sent(run.identity.process(again)) == {("email", ANN, "unknown")}


def test_evidence_of_rows_that_clickhouse_refused_does_not_go() -> None:
    run = Run()
    first = run.feed(run.post(mail("ann")), run.post(mail("ann"), LATER), run.post(mail("bob")))
    second = run.feed(run.post(mail("bob"), LATER))
    assert sent(second) == set(), "the batch before has it"
    first.events = first.events.filter(pl.col("author_id") == "ann")[1:]
    going = run.identity.to_send(first)
    assert going.select("a", "at").rows() == [(ANN, 1_788_307_200_000)], "of the row that landed"
    assert run.identity.to_send(second).get_column("a").to_list() == [BOB]
    run.land()
    assert run.edges(run.post(mail("ann"))) == {("email", ANN, "unknown")}, "an older one"


@pytest.mark.parametrize("most", [10, 1_000])
def test_the_memory_is_bounded_and_forgets_the_oldest(most: int) -> None:
    sent = Sent(most)
    keys, at = np.arange(1_000, 2_000, dtype=np.uint64), np.full(1_000, 5, np.uint64)
    for key in keys:
        sent.remember(np.array([key]), at[:1])
    held = ~sent.older(keys, at)
    assert held[-most // 2 :].all() and held.sum() <= most + 1
    sent.forget(keys)
    assert sent.older(keys, at).all()


def test_an_absence_note_makes_nobody_an_own_account() -> None:
    """Its sender's address can be forged, and who is away stays a customer."""
    run = Run()
    assert sent(run.landed(run.post({"id": "ann@example.org", "kind": "bot"}, platform="email"))) == set()
    of_staff = run.post({"id": "ben@example.org", "kind": "staff"}, platform="email")
    assert sent(run.landed(of_staff)) == {(RULE, account_key("email", "ben@example.org"), "given")}
