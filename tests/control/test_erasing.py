"""The leader ends erasures that were left, hides what came since, and purges all of a day together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from pipeline.config.settings import Settings
from pipeline.control.erasing import LATE, RECENT, SETTLED, Erasures
from pipeline.errors import EarshotError
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import erasing_metrics as metrics
from pipeline.monitoring.health import Vitals
from pipeline.sinks.erasures import receipts
from schemas.erasures import Erasure, Keys
from schemas.times import utc_now
from tests.support.erasing import ANN, BOB, Bench, marked, planted
from tests.support.worker import wait_for

DAY = timedelta(hours=24)


@pytest.fixture
def bench(emptied: Settings) -> Iterator[Bench]:
    with planted(emptied.clickhouse) as bench:
        yield bench


def keeper(
    bench: Bench, now: list[datetime], counted: Callable[[datetime], bool] = lambda at: True, **parts: object
) -> Erasures:
    leader = Leader("control", "evaluating", bench.client, Vitals())
    return Erasures(leader, bench.client, bench.erasing(**parts), DAY, lambda: now[0], counted)  # type: ignore[arg-type]


def check() -> None:
    """This process leads."""


def lands(bench: Bench, key: int) -> None:
    """A batch that had passed step privacy before."""
    bench.client.command(
        "INSERT INTO interactions (event_key, platform, id, author_id, text, created_at, ingested_at) "
        f"VALUES ({key}, 'twitter', '{key}', '{ANN.id}', '{ANN.mark} again', now(), now())"
    )


def receipt(bench: Bench) -> Erasure:
    [found] = receipts(bench.client)
    return found


def test_an_erasure_that_was_left_is_ended_and_what_comes_since_is_hidden(bench: Bench) -> None:
    def away(keys: Keys) -> int:
        raise EarshotError("customers is away")

    begun = bench.begin(bench.erasing(graph=away))
    now = [begun.asked_at + LATE / 2]
    control = keeper(bench, now, graph=away)
    control.step(check)
    assert receipt(bench).hidden_at is None and "tables" in receipt(bench).waits, "its command goes on with it"
    assert marked(bench.client, ANN.mark), "and counts what it hides, and hides letters by the events that it finds"
    now[0] = begun.asked_at + LATE
    control.step(check)
    assert receipt(bench).events == 4
    assert receipt(bench).waits == ["graph"] and marked(bench.client, ANN.mark) == {}
    assert metrics.OPEN.labels("hide")._value.get() == 1
    control = keeper(bench, now, graph=lambda keys: 2)
    control.step(check)
    assert receipt(bench).hidden_at is not None and receipt(bench).rows["graph"] == 2

    for minute in (1, 2):
        lands(bench, minute)
        now[0] += timedelta(minutes=1)
        control.step(check)
        assert marked(bench.client, ANN.mark) == {}, minute
    now[0] += 2 * RECENT
    control.step(check)
    lands(bench, 3)
    now[0] += timedelta(minutes=1)
    control.step(check)
    assert marked(bench.client, ANN.mark), "long after it nothing is looked for each minute"
    now[0] += RECENT
    control.step(check)
    assert marked(bench.client, ANN.mark) == {}
    assert metrics.OPEN.labels("hide")._value.get() == 0 and metrics.OPEN.labels("purge")._value.get() == 1
    assert metrics.AGE._value.get() == (now[0] - begun.asked_at).total_seconds()


def test_all_of_a_day_are_purged_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    erasing = bench.erasing()
    first = bench.begin(erasing)
    erasing.finish(first)
    now = [utc_now() + DAY - timedelta(minutes=5)]
    letters: list[Keys] = []
    asked: list[datetime] = []

    def counted(at: datetime) -> bool:
        return len(asked.append(at) or asked) > 2  # type: ignore[func-returns-value]

    control, left = keeper(bench, now, counted, dead_letters=lambda keys: letters.append(keys)), [True]
    monkeypatch.setattr(control._purge, "files_left", lambda before: left[0])
    control.step(check)
    assert marked(bench.client, ANN.mark, hidden=True) and not asked, "not yet"
    now[0] += timedelta(minutes=5)
    control.step(check)
    assert asked == [now[0] - SETTLED, now[0] - DAY] and letters == [], "old counts are the only ones yet"

    def masked() -> bool:
        control.step(check)
        return not marked(bench.client, ANN.mark, hidden=True)

    wait_for("nothing is left in the parts", masked)
    assert [keys.values for keys in letters] == [[ANN.email]], "those that came since are looked for once more"
    assert receipt(bench).purged_at is None, "files of replaced parts are there for some minutes"
    left[0] = False
    control.step(check)
    purged = receipt(bench).purged_at
    assert purged is not None and abs(purged - now[0]) < timedelta(seconds=1)
    assert metrics.AGE._value.get() == 0
    lands(bench, 1)
    now[0] += 2 * RECENT
    wait_for("what comes after the purge leaves the parts, too", masked)
    assert [list(keys.events) for keys in letters[1:]] == [[1]], "and the letters of that event, whoever wrote them"
    assert marked(bench.client, BOB.mark, hidden=True).keys() >= {"interactions", "orders"}


def test_an_erasure_that_can_t_be_ended_holds_no_look_back(bench: Bench) -> None:
    """As a thousand that wait for the graph, or one that fails as nobody thought of."""

    def broken(keys: Keys) -> int:
        raise RuntimeError("nobody thought of it")

    erasing = bench.erasing()
    erasing.finish(begun := bench.begin(erasing))
    bench.erasing(graph=broken).begin(Keys([BOB.bird]), "ines", "he asked")
    lands(bench, 1)
    with pytest.raises(RuntimeError):
        keeper(bench, [begun.asked_at + 2 * LATE], graph=broken).step(check)
    assert marked(bench.client, ANN.mark) == {}


def test_who_leads_no_more_begins_nothing(bench: Bench) -> None:
    def ended() -> None:
        raise GivenUp

    begun = bench.begin(bench.erasing())
    with pytest.raises(GivenUp):
        keeper(bench, [begun.asked_at + DAY]).step(ended)
    assert receipt(bench).hidden_at is None
