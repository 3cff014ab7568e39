"""Who is erased is in no table any more, and nobody else is touched: suppressed, hidden, taken up again wherever it was left,
purged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import polars as pl
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse import rotating
from pipeline.config.settings import Settings
from pipeline.errors import ConflictError, EarshotError
from pipeline.privacy import purge as purge_module
from pipeline.privacy.erase import TABLES as OF_TABLES
from pipeline.privacy.erase import Erasing, erasures_of, readmit
from pipeline.privacy.hide import Among
from pipeline.privacy.purge import Purge
from pipeline.sinks.erasures import receipts
from schemas.erasures import Keys
from schemas.times import utc_now
from tests.support.commands import Run
from tests.support.erasing import ANN, BOB, Bench, marked, planted
from tests.support.persons import AT
from tests.support.worker import wait_for


@pytest.fixture
def bench(emptied: Settings) -> Iterator[Bench]:
    with planted(emptied.clickhouse) as bench:
        yield bench


def test_all_of_a_person_goes_from_all_tables_and_all_of_the_others_stays(bench: Bench, stacked: Run) -> None:
    before, others = marked(bench.client, ANN.mark), marked(bench.client, BOB.mark)
    assert before.keys() == others.keys() and "interactions" in before
    letters: list[Keys] = []

    def letters_part(keys: Keys) -> int:
        letters.append(keys)
        return 3

    erasing = bench.erasing(letters=letters_part)
    erasure = bench.begin(erasing)
    asked = replace(erasure)
    assert erasing.finish(erasure) == [] and erasure.hidden_at is not None
    assert marked(bench.client, ANN.mark) == {}
    assert marked(bench.client, BOB.mark) == others
    assert (erasure.rows["interactions"], erasure.rows["letters"], erasure.events) == (4, 3, 4)
    assert set(letters[0].accounts) >= {ANN.bird, ANN.by_handle, ANN.forum, ANN.record} and letters[0].values == [ANN.email]
    assert [rows.get_column("created_at").min() for rows in bench.heard] == [AT], "rollups hear of it"
    assert erasure.months == [int(f"{AT:%Y%m}")]
    assert [(kept.id, kept.by, kept.why, kept.hidden_at, kept.rows) for kept in receipts(bench.client)] == [
        (erasure.id, "ines", "she asked", erasure.hidden_at, erasure.rows)
    ]
    texts = " ".join(str(row) for row in bench.numbers("SELECT * FROM erasures") + bench.numbers("SELECT * FROM suppressions"))
    assert ANN.mark not in texts.replace(ANN.email, ""), "no name and no id"
    again = erasing.finish(erasure)
    assert again == [] and len(bench.heard) == 1, "there is nothing to do"
    beside = replace(asked, topics={})
    assert erasing.finish(beside) == [] and ({**beside.rows, "letters": 3}, beside.months, beside.topics) == (
        erasure.rows, erasure.months, erasure.topics,
    ), "control began it, too, as the command took so long"  # fmt: skip
    deletes = "SELECT table, command FROM system.mutations WHERE database = currentDatabase()"
    assert bench.numbers(f"{deletes} LIMIT 1")
    assert bench.numbers(f"{deletes} AND command LIKE '%SELECT%'") == [], "nobody could read the table before its end"
    bench.client.command("TRUNCATE TABLE dead_letters")  # those of this bench are no real ones
    shown = stacked("person", "show", "--account", f"{ANN.bird:016x}", "--only")
    assert f"erased already, and nothing has come since: receipt {erasure.id:016x} of " in shown.out, shown
    assert "identity_commands" in shown.out and "interactions" not in shown.out, "by keys, what stewards decided"
    assert "erased already" not in stacked("person", "show", "--account", f"{BOB.bird:016x}", "--only").out


def test_what_comes_back_is_hidden_again_by_its_account_its_event_or_its_address(bench: Bench) -> None:
    """As what was on its way: a batch after step privacy, a label, a change that was completed."""
    rows = bench.client.query(f"SELECT * FROM interactions WHERE id LIKE '%{ANN.mark}%'")
    erasing = bench.erasing()
    erasure = bench.begin(erasing)
    erasing.finish(erasure)
    settings = {"insert_deduplication_token": "as other rows"}
    bench.client.insert("interactions", rows.result_rows, column_names=rows.column_names, settings=settings)
    bench.client.command(
        "INSERT INTO interactions (event_key, platform, id, author_id, text, created_at, ingested_at) "
        f"VALUES (77, 'twitter', 'new', '{ANN.id}', '{ANN.mark} new', now(), now())"
    )
    change = f'{{"author_id": "{ANN.id}", "text": "{ANN.mark}"}}'
    waiting = {"event_key": 78, "revision": 1, "platform": "twitter", "arrived_at": utc_now(), "change": change}
    bench.client.insert("pending_changes", [list(waiting.values())], column_names=list(waiting))
    recent = Among(f"(erasure = {erasure.id} OR erasure = 0)", since=AT)
    hidden = erasing.sweep(recent)
    assert (hidden["interactions"], hidden["pending_changes"]) == (5, 1)
    assert marked(bench.client, ANN.mark) == {}
    assert bench.numbers("SELECT erasure FROM suppressions WHERE kind = 'event' AND key = 77") == [(0,)]
    assert erasing.sweep(recent) == {}
    # No account_events say of this row, as when its view failed; each key of each place is looked for.
    bench.client.command(
        "INSERT INTO interactions (event_key, platform, id, author_id, text, created_at) "
        f"VALUES (79, 'twitter', 'old', '{ANN.id}', '{ANN.mark} old', '2020-01-01 00:00:00')"
    )
    bench.client.command("DELETE FROM account_events WHERE event_key = 79")
    assert erasing.sweep(recent) == {}
    assert erasing.sweep(Among("1", thorough=True)) == {"interactions": 1}
    assert marked(bench.client, BOB.mark).keys() >= {"interactions", "orders"}


def test_what_lands_while_rows_are_hidden_is_found_the_next_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """But a case that somebody takes is found at once: the conversation leads to it no more."""
    command, cases = bench.client.command, bench.client.query(f"SELECT * FROM cases WHERE conversation_id LIKE '%{ANN.mark}%'")

    def taken(what: str, *more: object, **named: object) -> object:
        if "DELETE FROM threads" in what:
            assert cases.result_rows and bench.numbers(f"SELECT 1 FROM cases WHERE conversation_id LIKE '%{ANN.mark}%'") == []
            settings = {"insert_deduplication_token": "as another case"}
            bench.client.insert("cases", cases.result_rows, column_names=cases.column_names, settings=settings)
        return command(what, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.client, "command", taken)

    @contextmanager
    def landing(rows: pl.DataFrame) -> Iterator[None]:
        if not bench.heard:
            bench.client.command(
                "INSERT INTO interactions (event_key, platform, id, author_id, text, created_at, ingested_at) "
                f"VALUES (80, 'twitter', 'late', '{ANN.id}', '{ANN.mark} late', now(), now())"
            )
        bench.heard.append(rows)
        yield

    erasing = Erasing(bench.client, bench.inserter, landing, {}, dict)
    erasure = bench.begin(erasing)
    erasing.finish(erasure)
    assert marked(bench.client, ANN.mark) == {"interactions": 1}
    assert erasing.sweep(Among(f"(erasure = {erasure.id} OR erasure = 0)", since=AT)) == {
        "interactions": 1,
        "account_events": 1,
    }
    assert marked(bench.client, ANN.mark) == {}


DIES = {
    "the insert of keys": ("suppressions", 0),
    "the receipt": ("erasures", 0),
    "the keys of events": ("suppressions", 1),
    "the first DELETE": ("DELETE", 0),
    "the DELETE of rows": ("DELETE FROM interactions", 0),
    "a later DELETE": ("DELETE FROM account_events", 0),
    "the receipt of months": ("erasures", 1),
    "the receipt at the end": ("erasures", 2),
}
"""Where it is killed: the statement, and how many of these pass before."""


@pytest.mark.parametrize("place", DIES)
def test_who_is_killed_leaves_the_rest_to_the_next(bench: Bench, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statement, passing = DIES[place]
    seen: list[str] = []

    def watched(call: Callable[..., object]) -> Callable[..., object]:
        def run(what: str, *more: object, **named: object) -> object:
            if statement in what:
                seen.append(what)
            if len(seen) > passing:
                raise KeyboardInterrupt
            return call(what, *more, **named)

        return run

    erasing = bench.erasing()
    with monkeypatch.context() as patched:
        for name in ("command", "insert", "raw_insert"):
            patched.setattr(bench.client, name, watched(getattr(bench.client, name)))
        with pytest.raises(KeyboardInterrupt):
            erasing.finish(bench.begin(erasing))
    for unfinished in erasing.unfinished():
        erasing.finish(unfinished)
    if place == "the insert of keys":
        assert marked(bench.client, ANN.mark) and list(receipts(bench.client)) == [], "nothing was begun"
        return
    assert marked(bench.client, ANN.mark) == {}
    [receipt] = receipts(bench.client)
    assert receipt.hidden_at is not None and receipt.waits == []


def test_a_second_erasure_hides_what_one_left_that_was_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the command runs it again; the first one's months are on its receipt before a row is hidden."""
    erasing = bench.erasing()
    command = bench.client.command

    def killed(what: str, *more: object, **named: object) -> object:
        if "DELETE" in what:
            raise KeyboardInterrupt
        return command(what, *more, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(bench.client, "command", killed)
        with pytest.raises(KeyboardInterrupt):
            erasing.finish(first := bench.begin(erasing))
    with pytest.raises(EarshotError, match=f"{first.id:016x} is not hidden everywhere yet"):
        readmit(bench.client, bench.inserter, [first.id])
    [left] = receipts(bench.client)
    assert left.months == [int(f"{AT:%Y%m}")]
    second = bench.begin(erasing)
    assert erasing.finish(second) == [] and second.events == 4
    assert marked(bench.client, ANN.mark) == {}


def test_a_part_that_fails_waits_and_holds_no_other_back(bench: Bench) -> None:
    def away(keys: Keys) -> int:
        raise EarshotError("customers is away")

    erasing = bench.erasing(graph=away)
    erasure = bench.begin(erasing)
    assert erasing.finish(erasure) == ["graph: customers is away"]
    assert marked(bench.client, ANN.mark) == {}
    [receipt] = receipts(bench.client)
    assert receipt.waits == ["graph"] and receipt.hidden_at is None and OF_TABLES not in receipt.waits
    later = bench.erasing(graph=lambda keys: 2)
    [unfinished] = later.unfinished()
    assert later.finish(unfinished) == []
    [receipt] = receipts(bench.client)
    assert receipt.hidden_at and receipt.rows["graph"] == 2 and receipt.rows["interactions"] == 4


def test_who_is_readmitted_is_not_suppressed_and_what_was_erased_is(bench: Bench) -> None:
    erasing = bench.erasing()
    erasure = bench.begin(erasing)
    erasing.finish(erasure)
    assert erasures_of(bench.client, [ANN.bird]) == [erasure.id] and erasures_of(bench.client, [BOB.bird], [BOB.email]) == []
    assert erasures_of(bench.client, [], [ANN.email]) == [erasure.id], "somebody may be known by an address alone"
    rotating.begin(bench.client)
    with pytest.raises(ConflictError, match="readmit when `earshot keys rotate` has ended"):
        readmit(bench.client, bench.inserter, [erasure.id])
    rotating.end(bench.client)
    lifted = readmit(bench.client, bench.inserter, [erasure.id])
    assert set(lifted.accounts) >= {ANN.bird, ANN.by_handle} and lifted.values == [ANN.email]
    assert bench.numbers("SELECT DISTINCT toString(kind) FROM suppressions FINAL") == [("event",)]
    assert erasures_of(bench.client, [ANN.bird], [ANN.email]) == []


def test_what_is_hidden_leaves_the_files_a_piece_at_a_time_with_rests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def written() -> int:
        return len(bench.numbers("SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND command LIKE '%MASK%'"))

    erasing, now = bench.erasing(), [0.0]
    erasing.finish(bench.begin(erasing))
    assert marked(bench.client, ANN.mark, hidden=True), "the mask hides it"
    monkeypatch.setattr(purge_module, "AT_ONCE", 0)
    before, purge = written(), Purge(bench.client, lambda: now[0])
    purge.forget_old_counts([int(f"{AT:%Y%m}"), 190001])
    assert purge.step() and written() == before + 1
    now[0] = 9.0
    wait_for("the first is written", lambda: purge.step() and not purge._parts)
    now[0] = 17.9
    assert purge.step() and written() == before + 1, "it took nine seconds, and as long it rests"
    now[0] = 18.0
    assert purge.step() and written() == before + 2
    wait_for("no part holds hidden rows", lambda: not purge.step())
    assert marked(bench.client, ANN.mark, hidden=True) == {}
    assert not purge.files_left(AT), "nothing was replaced by then; ClickHouse removes the others within minutes"
    assert marked(bench.client, BOB.mark).keys() >= {"interactions", "orders"}


def test_tables_that_hide_no_rows_are_said_before_anything_is_begun(bench: Bench) -> None:
    """As those of a cluster, which lie in shards."""
    bench.client.command("RENAME TABLE orders TO orders_local")
    bench.client.command("CREATE TABLE orders AS orders_local ENGINE = Merge(currentDatabase(), '^orders_local$')")
    with pytest.raises(EarshotError, match="^rows of orders can't be hidden .*: nothing was begun"):
        bench.begin(bench.erasing())
    assert bench.numbers("SELECT * FROM suppressions") == [] and list(receipts(bench.client)) == []
    bench.client.command("DROP TABLE orders")
    bench.client.command("RENAME TABLE orders_local TO orders")


def test_a_database_that_is_away_is_one_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise ClickHouseError("no route to host")

    erasing = bench.erasing()
    erasure = bench.begin(erasing)
    monkeypatch.setattr(bench.client, "command", away)
    assert erasing.finish(erasure)[0].endswith("no route to host")
