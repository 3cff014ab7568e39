"""Whose turn it is: the prompt table's running quarter in time, all else together for a twentieth of the time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace

import polars as pl
import pytest

from pipeline.errors import EarshotError
from pipeline.rollups import job as module
from pipeline.rollups import table
from pipeline.rollups.asked import Asked
from pipeline.rollups.job import Job, Statements
from pipeline.rollups.reader import Heard
from pipeline.rollups.rollup import QUARTER_S, Span
from pipeline.rollups.sweep import Fill, Sweep
from pipeline.rollups.table import ENDS_S, TIDY_S, TIDY_SOON_S
from pipeline.rollups.versions import Versions
from pipeline.rollups.waiting import DAY, SETTLE_S
from schemas.signals import Signal
from schemas.times import utc_now

BEGIN = 2_000_000 * QUARTER_S


class Named:
    """A rollup of which only its turn matters: the statement is its name."""

    rules = ""

    def __init__(self, name: str, prompt: bool = False) -> None:
        self.name, self.prompt = name, prompt

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        return self.name

    def differences(self, spans: Sequence[Span]) -> str:
        return ""


class NoSignals:
    """Those come from the test."""

    revoked: Callable[[], None]

    def read(self, timeout_s: float) -> list[Heard]:
        return []


def unasked(sql: str, more: object) -> pl.DataFrame:
    """No statement of these tests asks."""
    raise AssertionError(sql)


class World:
    """A job, and a clock that its statements move on by `takes` seconds: by the name of the table. `broken`: what fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, takes: dict[str, float], prompt: str = "prompt") -> None:
        self.now, self.ran, self.asked, self.broken = float(BEGIN), list[tuple[str, float]](), Asked(), set[str]()
        for each in (module, table):
            monkeypatch.setattr(each, "steady", lambda: self.now)

        def write(statement: str) -> None:
            self.ran.append((statement, self.now))
            self.now += takes.get(statement, 0.1)
            if statement in self.broken:
                raise EarshotError("no memory")

        rollups = [Named(name, prompt=name == prompt) for name in takes]
        both = Statements(write, unasked)
        self.job = Job(rollups, NoSignals(), both, both, Versions(1), self.asked)  # type: ignore[arg-type]
        self.job._clock = lambda: self.now
        self.tables = {each.name: each for each in self.job._tables}
        for each_table in self.job._tables:
            each_table._clock = self.job._clock

    def work(self, seconds: float) -> float:
        """Events come all the time; how late the prompt table's running quarter was at the worst."""
        worst, until = 0.0, self.now + seconds
        while self.now < until:
            for each in self.tables.values():
                since = each.waiting.since(lambda quarter: True) if each.prompt else None
                worst = max(worst, self.now - (since or self.now))
                each.waiting.touch(int(self.now) // QUARTER_S, 0, self.now)
            if not self.job._turn():
                self.now += 0.2
        return worst


def test_tables_that_are_not_prompt_share_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each took a twentieth for its running quarter, and the prompt one waited for six of them."""
    names = [f"slow {number}" for number in range(6)]
    world = World(monkeypatch, {**dict.fromkeys(names, 2.0), "prompt": 0.5})
    assert world.work(3_000) < 15
    turns = Counter(name for name, _ in world.ran)
    assert 2.0 * sum(turns[name] for name in names) < 0.055 * 3_000
    assert min(turns[name] for name in names) >= max(turns[name] for name in names) - 1 > 5, "they take turns"


def test_little_work_is_not_done_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred events a second touch the running quarter all the time: each table made it anew every ten seconds."""
    world = World(monkeypatch, {"prompt": 0.02, "a": 0.02, "b": 0.02})
    assert world.work(1_200) < 15
    turns = Counter(name for name, _ in world.ran)
    assert min(turns["a"], turns["b"]) > 1_200 / 50 and max(turns["a"], turns["b"]) < 1_200 / 25
    slow, old = world.tables["a"].waiting, BEGIN // QUARTER_S - 300
    slow.touch(old, 0, world.now)
    world.work(SETTLE_S + 5)
    assert old not in slow, "others wait no longer than before"


def test_what_was_there_is_filled_where_events_come_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter that has changed always waited when a table had its turn, so nothing of before was ever filled."""
    world = World(monkeypatch, dict.fromkeys(("prompt", "a", "b", "c", "d", "e"), 0.5))
    for each in world.tables.values():
        each.fill = Fill(Sweep(1, 2 * 96))
    world.work(1_000)
    assert [each.fill for each in world.tables.values()] == [None] * 6
    turns = Counter(name for name, _ in world.ran)
    assert min(turns[name] for name in "abcde") > 5, "nor are changes forgotten for it"


def test_a_quarter_that_can_not_be_filled_holds_no_older_one_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table had nothing of what was before it, for ever. A restart comes back to it: the note stays above it."""
    world = World(monkeypatch, {"prompt": 0.1, "a": 0.1})
    spans, marks = list[Span](), list[int]()

    def rebuild(wanted: Sequence[Span], version: int) -> str:
        spans.extend(wanted)
        return "broken" if any(span.first <= 50 <= span.last for span in wanted) else "a"

    slow = world.tables["a"]
    monkeypatch.setattr(slow.rollup, "rebuild", rebuild)
    monkeypatch.setattr(slow, "_mark", lambda quarter, version: marks.append(quarter))
    world.broken = {"broken"}
    slow.fill = Fill(Sweep(1, 60))
    world.work(3_000)
    assert Span(50, 50) in spans and min(span.first for span in spans) == 1
    assert set(marks) == {51} | set(range(51, 61)) & set(marks) and 51 in marks, "below it nothing counts as filled"
    world.broken = set()
    world.work(2_000)
    assert marks[-1] == 0 and slow.fill is None


def test_the_running_quarter_comes_first_while_a_person_has_all_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the tables did a piece before it was looked at again."""
    world = World(monkeypatch, {"prompt": 0.5, **dict.fromkeys("abcde", 4.0)})
    world.asked.ask(Span(1, 5 * 96))
    assert world.work(200) < 15
    assert world.asked.progress().left == 0 and world.asked.progress().failed == ""


def test_what_a_person_had_made_anew_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an import of two months and a rebuild of them, all their quarters waited once more, for hours: the lag grew, and
    what came late had its turn among them. What changed after the rebuild had begun still waits."""
    world = World(monkeypatch, {"prompt": 0.1, "a": 0.1})
    for each in world.tables.values():
        for quarter in range(1, 60 * 96):
            each.waiting.touch(quarter, 7, world.now)
        each.waiting.upcoming(3, 8, world.now + 1_000)
        each.fill = Fill(Sweep(60 * 96, 60 * 96 + 5))
        each.waiting.touch(60 * 96, 9, world.now)
        assert each.filling() is not None
    assert world.job._asked.ask(Span(1, 60 * 96 - 1)).left
    while world.asked.progress().left:
        world.job._turn()
    assert [(len(each.waiting), each.waiting.offset()) for each in world.tables.values()] == [(1, 7)] * 2, "it has not settled"


def test_a_rebuild_says_at_its_end_which_table_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others went on, and a moment later it had failed nowhere."""
    world = World(monkeypatch, {"prompt": 0.5, "a": 0.5})
    world.broken = {"a"}
    world.asked.ask(Span(1, 2_000 * 96))
    world.work(100)
    assert world.asked.progress().left == 0 and world.asked.progress().failed == "table a: no memory"
    assert not world.tables["prompt"].asked, "the other one is made anew"


def test_the_mark_of_other_rules_goes_before_a_quarter_is_made_by_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that were there for a minute made some quarters anew; then the ones of before counted as having filled them."""
    world, stop = World(monkeypatch, {"a": 0.1}), threading.Event()
    stop.set()
    no_marks = pl.DataFrame(schema={"name": pl.String, "rules": pl.String, "seconds": pl.Int64})
    monkeypatch.setattr(world.job, "_ask", lambda sql, more: no_marks)
    world.job.run(stop, lambda: None)
    assert [statement[:24] for statement, _ in world.ran] == ["INSERT INTO rollup_marks"]
    assert world.tables["a"].others_end_at == BEGIN + ENDS_S, "a statement of the control before may still run"


def test_who_waits_is_counted_for_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a replay of years 70,000 quarters of six tables wait: to look at them each second took 0.3 s of it."""
    world, stop, settled = World(monkeypatch, {"a": 0.1}), threading.Event(), list[float]()
    monkeypatch.setattr(world.job, "_ask", lambda sql, more: pl.DataFrame())
    monkeypatch.setattr(world.job, "_begin", lambda marks: None)

    def read(timeout_s: float) -> list[object]:
        world.now += 0.2
        stop.set() if world.now > BEGIN + 300 else None
        return []

    def settle() -> None:
        settled.append(world.now)
        world.now += 1.0

    monkeypatch.setattr(world.job, "_reader", SimpleNamespace(read=read, lost=False))
    monkeypatch.setattr(world.job, "_settle", settle)
    world.job.run(stop, lambda: None)
    assert 10 < len(settled) <= 16


def test_a_slow_running_quarter_leaves_the_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 3 s pauses for less than the others had to rest after it: they had no turn as long as events came."""
    for takes in (2.0, 3.0, 4.0):
        world = World(monkeypatch, {"prompt": takes, "a": 0.5, "b": 0.5})
        assert world.work(1_000) < 15
        turns = Counter(name for name, _ in world.ran)
        assert 0.05 / 5 * 1_000 / 0.5 / 2 - 1 <= turns["a"] <= 50, takes


def test_a_running_quarter_that_takes_all_the_time_leaves_the_others_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 6.5 s on it had no pause: on a busy ClickHouse no other table was made anew, nor what a person asked for."""
    world = World(monkeypatch, {"prompt": 7.0, "a": 0.5})
    world.asked.ask(Span(1, 96))
    assert world.work(1_000) < 16
    assert Counter(name for name, _ in world.ran)["a"] > 10 and not world.asked.progress().left


def test_who_sends_events_of_a_thousand_days_does_not_keep_today_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is not prompt went by the day that waits longest alone: an hour's conversations came hours later."""
    now, spans = [float(BEGIN)], list[Span]()
    monkeypatch.setattr(table, "steady", lambda: now[0])

    class Noted(Named):
        def rebuild(self, spans_: Sequence[Span], version: int) -> str:
            spans.extend(spans_)
            return ""

    slow = table.Table(Noted("threads"), lambda statement: None, unasked, Versions(1))
    slow._clock = lambda: now[0]
    today = BEGIN // QUARTER_S
    for back in range(1, 1_000):
        slow.waiting.touch(today - back * DAY, 0, now[0] - 60)
    slow.waiting.touch(today, 0, now[0] - 30)
    assert slow.older(()) is not None and slow.older(()) is not None
    assert Span(today, today) in spans
    for _ in range(998):
        slow.older(())
    assert not len(slow.waiting), "nor does today keep them waiting"


def test_to_look_for_work_takes_a_twentieth_of_the_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 300,000 quarters that wait it takes some tenths of a second, of the interpreter that judges the alerts."""
    world, looked = World(monkeypatch, {"slow": 1.0}), list[float]()

    def look(*_: object) -> list[int]:
        looked.append(world.now)
        world.now += 0.5
        return []

    monkeypatch.setattr(world.tables["slow"].waiting, "older", look)
    world.work(200)
    assert 0 < 0.5 * len(looked) <= 0.055 * 200


def test_a_running_quarter_is_made_by_minutes_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """First all of it, then the minutes that changed; again all of it after it was made as a whole, and at last as a whole."""
    now, made = [float(BEGIN)], list[object]()
    monkeypatch.setattr(table, "steady", lambda: now[0])

    class Noted(Named):
        def rebuild(self, spans: Sequence[Span], version: int) -> str:
            made.extend(spans)
            return ""

        def rebuild_minutes(self, minutes: Sequence[int], begin: Sequence[int], version: int) -> str:
            made.append(([each % 15 for each in minutes], [each - BEGIN // QUARTER_S for each in begin]))
            return ""

        def add_up(self, spans: Sequence[Span], version: int) -> str:
            made.append(("added up", *spans))
            return ""

        def minutes_left(self, before: int) -> str:
            return ""

        def drop_minutes(self, spans: Sequence[Span], hidden: bool) -> str:
            return ""

    fails = [False]

    def write(statement: str) -> None:
        if fails[0]:
            raise OSError("no")

    prompt = table.Table(Noted("quarters", prompt=True), write, unasked, Versions(1))
    prompt._clock = lambda: now[0]
    running = BEGIN // QUARTER_S
    every = list(range(15))

    def change(minute: int) -> None:
        now[0] += 20
        prompt.waiting.touch(running, 0, now[0], {minute})
        assert prompt.running([running]) is not None

    def whole() -> None:
        """It made it anew, where adding up would not do."""
        assert running in prompt.waiting
        now[0] += 40
        assert prompt.older([running + 1]) is not None and made.pop() == Span(running, running) and not len(prompt.waiting)

    change(0)
    change(1)
    assert made == [(every, [0]), ([1], [])]
    prompt.asked = Sweep(running - 1, running)
    assert prompt.asked_for() is not None
    change(2)
    assert made[2:] == [Span(running - 1, running), (every, [0])]
    now[0] += 900
    assert prompt.running([running + 1]) is not None and prompt.running([running + 1]) is None
    assert made[4:] == [("added up", Span(running, running))] and not len(prompt.waiting)

    change(3)
    prompt.waiting.upcoming(running, 1, now[0], {4})
    assert prompt.running([running + 1]) is None, "something may have changed"
    whole()
    prompt.others_end_at = now[0] + 30
    change(5)
    now[0] += 900
    assert prompt.running([running + 1]) is None, "another control may have written since"
    whole()
    change(5)
    fails[0] = True
    change(7)
    fails[0] = False
    now[0] += 40
    change(8)
    assert prompt.running([running + 1]) is None, "what failed here may have gone on there"
    whole()
    change(6)
    fails[0] = True
    assert prompt.running([running + 1]) is not None and made.pop() == ("added up", Span(running, running))
    fails[0] = False
    whole()
    change(9)
    prompt.asked, fails[0] = Sweep(running - 1, running), True
    assert prompt.asked_for() is not None and made.pop() == Span(running - 1, running)
    fails[0] = False
    whole()


def test_what_is_by_minutes_goes_when_it_is_known_to_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a control before had begun to make whole is made anew: nobody knows whether it came to the end of it."""
    now, ran, left, fails = [0.0], list[object](), dict[int, tuple[bool, bool]](), [False]
    monkeypatch.setattr(table, "steady", lambda: now[0])
    running = BEGIN // QUARTER_S

    class Noted(Named):
        def rebuild(self, spans: Sequence[Span], version: int) -> str:
            ran.extend(spans)
            return ""

        def rebuild_minutes(self, minutes: Sequence[int], begin: Sequence[int], version: int) -> str:
            ran.append(("begun", *begin))
            return ""

        def add_up(self, spans: Sequence[Span], version: int) -> str:
            return ""

        def minutes_left(self, before: int) -> str:
            return str(before)

        def drop_minutes(self, spans: Sequence[Span], hidden: bool) -> str:
            ran.append((hidden, *spans))
            return ""

    def ask(sql: str, more: object) -> pl.DataFrame:
        if fails[0]:
            raise OSError("no")
        rows = [(quarter, *flags) for quarter, flags in left.items() if quarter < int(sql)]
        return pl.DataFrame(rows, {"quarter": pl.Int64, "counts": pl.Boolean, "hides": pl.Boolean}, orient="row")

    prompt = table.Table(Noted("quarters", prompt=True), lambda statement: None, ask, Versions(1))
    prompt._clock = lambda: BEGIN + now[0]
    prompt.others_end_at = BEGIN + TIDY_SOON_S + 100

    def tidied(after: float) -> list[object]:
        """What it does then, and no sooner."""
        now[0] += after - 1
        assert prompt.tidy([running, begun]) is None
        now[0] += 1
        ran.clear()
        assert prompt.tidy([running, begun]) is not None
        return ran

    begun = running - 1
    left |= {running - 9: (False, False), running - 5: (False, True), running - 3: (True, True)}
    left |= {begun: (True, False), running: (True, False)}
    prompt.waiting.touch(running, 0, prompt._clock(), {1})
    assert prompt.running([running, begun]) is not None and ran == [("begun", running)]
    fails[0] = True
    assert prompt.tidy([running, begun]) is not None and prompt.failure
    fails[0] = False
    assert tidied(TIDY_SOON_S) == [] and len(prompt.waiting) == 4 and running not in prompt.waiting
    assert prompt.running([running, begun]) is not None and ran == [("begun", begun)]
    prompt.waiting.failed([running - 3], prompt._clock() + 10_000)
    assert prompt.older([running, begun]) is None, "another control may still write"
    now[0] += 100
    assert prompt.older([running, begun]) is not None and prompt.older([running, begun]) is None
    assert ran[1:] == [Span(running - 9, running - 9)], "they have their turns one after the other"
    now[0] += SETTLE_S
    assert prompt.older([running, begun]) is not None and ran[2:] == [Span(running - 5, running - 5)]

    whole = [(True, Span(running - 5, running - 5)), (False, Span(running - 9, running - 9))]
    assert tidied(TIDY_SOON_S - 100 - SETTLE_S) == whole, "one fails: what there is of it stays"
    assert tidied(TIDY_S) == whole


def test_before_an_ended_quarter_is_made_anew_the_running_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it is as late as its pause and that statement take together."""
    monkeypatch.setattr(table, "steady", lambda: BEGIN)
    made = list[Span]()

    class Noted(Named):
        def rebuild(self, spans: Sequence[Span], version: int) -> str:
            made.extend(spans)
            return ""

    prompt = table.Table(Noted("quarters", prompt=True), lambda statement: None, unasked, Versions(1))
    prompt._clock, running = lambda: float(BEGIN), BEGIN // QUARTER_S
    for _ in range(2):
        prompt.waiting.touch(running, 1, BEGIN - 1.0)
        prompt.running([running])
    assert made == [Span(running, running)], "it has its pause"
    prompt.waiting.touch(running - 9, 0, BEGIN - 20.0)
    assert prompt.older([running]) is not None and made[1:] == [Span(running, running), Span(running - 9, running - 9)]


def test_the_running_quarter_has_its_turns_while_another_table_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter-hour of 1,500,000 words took its statements 80 s. A signal that comes meanwhile waits for that table: the first
    statement may have read before."""
    turns, quarter = threading.Semaphore(0), int(utc_now().timestamp()) // QUARTER_S
    signal = Signal(utc_now(), 1, touched={datetime.fromtimestamp(quarter * QUARTER_S, UTC): ("Acme",)})

    def write(statement: str) -> None:
        turns.release()

    def write_slowly(statement: str) -> None:
        assert turns.acquire(timeout=60) and turns.acquire(timeout=60), "the running quarter waits"

    heard = iter(range(7, 1_000))
    reader = SimpleNamespace(read=lambda _: [Heard(next(heard), 0.0, signal)])
    monkeypatch.setattr(table, "RUNNING_LEAST_S", 0.0)
    at_once, slow = Statements(write, unasked), Statements(write_slowly, unasked)
    job = Job([Named("prompt", True), Named("slow")], reader, at_once, slow, Versions(1), Asked())  # type: ignore[arg-type]
    waiting = job._tables[1].waiting
    waiting.touch(quarter - 1, 6, 0.0)

    assert job._tables[1].older(()) is not None and not job._tables[1].failure
    assert not len(waiting) and [each.offset for each in job._heard_meanwhile][:2] == [7, 8]


def test_few_signals_wait_in_memory_for_the_end_of_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage of hours thousands a second are read. Who reads nothing for five minutes is sent out of its group, and
    begins again: a quarter-hour of millions of words took so long."""
    world, heard = World(monkeypatch, {"prompt": 0.1, "slow": 0.1}), Heard(7, float(BEGIN), Signal(utc_now(), 1))
    asked_for = list[int]()

    def read(timeout_s: float, most: int = 2) -> list[Heard]:
        asked_for.append(most)
        return [heard] * most

    monkeypatch.setattr(module, "MOST_HEARD", 3)
    monkeypatch.setattr(world.job, "_reader", SimpleNamespace(read=read))
    for _ in range(5):
        world.job._between()
    assert asked_for == [2, 2, 1, 1, 1] and len(world.job._heard_meanwhile) == 7


def test_what_another_table_fails_with_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, {"prompt": 1.0, "slow": 1.0})
    world.broken.add("slow")
    world.tables["slow"].waiting.touch(1, 0, 0.0)
    assert world.tables["slow"].older(()) is not None
    assert world.tables["slow"].failure == "no memory" and not world.tables["prompt"].failure
