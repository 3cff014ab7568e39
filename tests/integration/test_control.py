"""A worker and control as they run, and a webhook: what must raise an alert and what must not, of each kind of rule.

Each case has a brand that its rule fires for and one that it must not. That nothing came is known once a later event of each
partition has raised something, and a whole second of judging has passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.api.client import ControlClient, ask
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.processors.sentiment.memory import label_of
from tests.support.commands import Run, set_variables
from tests.support.control import EAGER_SEARCH, Rules, Webhook, controlled, event, fresh, on_record, send, stamp, start_control
from tests.support.labels import DELAY
from tests.support.oracle import connect
from tests.support.worker import START, Worker, wait_for

LATER = {"resolve": "1h"}
RULES: list[dict[str, Any]] = [
    {"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "5m", "brands": ["Many", "Few"], **LATER},
    {"name": "people", "type": "threshold", "measure": "authors", "above": 5, "brands": ["People", "Person"], **LATER},
    {"name": "anger", "type": "threshold", "measure": "negative_share", "above": 0.6, "brands": ["Bad", "Fair"], **LATER},
    {"name": "crisis", "type": "keyword", "words": {"en": ["recall"], "de": ["rückruf"]}, **LATER},
    {"name": "voice", "type": "reach", "followers": 100_000, **LATER},
    {"name": "copies", "type": "campaign", "accounts": 10, "brands": ["Copied", "Varied"], **LATER},
    {"name": "one", "type": "keyword", "words": {"any": ["firstword"]}, **LATER},
    {"name": "two", "type": "keyword", "words": {"any": ["secondword"]}, **LATER},
    {"name": "three", "type": "keyword", "words": {"any": ["thirdword"]}, **LATER},
    {"name": "crowd", "type": "reach", "engagement": 5_000, "negative": False, **LATER},
    {"name": "brief", "type": "keyword", "words": {"any": ["briefword"]}, "resolve": "2s"},
]  # fmt: skip
INTERVAL = "6s"


@dataclass
class Running:
    settings: Settings
    hook: Webhook
    rules: Rules
    folder: Path
    worker: Worker
    control: Worker
    numbers: Iterator[int] = field(default_factory=count)

    def say(self, brand: str, *texts: str, **more: Any) -> None:
        """Posts of these texts, each by somebody else."""
        self.send(*(event(f"{brand}-{next(self.numbers)}", brand, text, **more) for text in texts))

    def send(self, *events: dict[str, Any]) -> None:
        send(self.settings, events)

    def fires(self, rule: str, brand: str, within_s: float = START) -> None:
        """It is notified, as one alert."""
        wait_for(f"{rule} fires for {brand}", lambda: bool(self.hook.of(rule, brand)), within_s)
        assert len(self.hook.keys()[rule, brand]) == 1

    def judged(self) -> None:
        """Returns when all that was sent before has landed, was heard and judged."""
        brand = f"after {next(self.numbers)}"
        self.send(*(event(f"{brand}-{n}", brand, "recall") for n in range(16)))  # of every partition
        keys = f"SELECT count() FROM interactions FINAL WHERE has(brands, '{brand}')"
        wait_for("all lands", lambda: number(self.settings, keys) == 16)
        self.fires("crisis", brand)
        ticks = self.metric("earshot_alert_evaluation_seconds_count")
        wait_for("it is judged", lambda: self.metric("earshot_alert_evaluation_seconds_count") >= ticks + 2)

    def metric(self, name: str) -> float:
        lines = self.control.ask("/metrics")[1].splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), -1.0)

    def kill_control(self) -> None:
        """SIGKILL, and another one on the same port."""
        self.control.kill()
        self.control = start_control(self.settings, self.folder / f"control{next(self.numbers)}.log", EAGER_SEARCH)
        self.control.wait_ready()


def said(label: str) -> str:
    """A text that the tests' labeller reads like this."""
    return next(text for n in range(3) if label_of(text := f"so they say{'.' * n}") == label)


def number(settings: Settings, sql: str) -> int:
    with connect(settings) as client:
        return int(str(client.command(sql)))


@pytest.fixture(scope="module")
def running(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("control")
    hook = Webhook()
    with fresh(stack, folder) as settings:
        rules = Rules(folder / "alerts.yaml", hook, RULES, INTERVAL)
        settings = controlled(settings, rules.path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(DELAY, "0")
            worker = Worker(settings, folder / "worker.log", command=("-m", "tests.support.labels"))
        control = start_control(settings, folder / "control.log", EAGER_SEARCH)
        running = Running(settings, hook, rules, folder, worker, control)
        try:
            worker.wait_ready()
            control.wait_ready()
            yield running
        finally:
            running.control.close()
            worker.close()
            hook.stop()


# --- each kind of rule ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def told(running: Running) -> Webhook:
    """What of each kind of rule must raise an alert was said, and what must not; the one is notified, the other was judged."""
    twice = event("Few-again", "Few", "hello")
    bad, good = said("negative"), said("positive")
    loud, quiet = ({"id": f"of {n}", "handle": "somebody", "followers": n} for n in (100_000, 99_999))
    random = Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz "
    text = "".join(random.choices(letters, k=100))

    def edited() -> str:
        copy = list(text)
        for place in random.sample(range(100), 5):
            copy[place] = random.choice(letters)
        return "".join(copy)

    running.say("Many", *["hello"] * 21)
    running.say("Few", *["hello"] * 19)
    running.send(twice, twice)
    running.say("People", *["hello"] * 6)
    running.say("Person", *["hello"] * 8, author={"id": "always the same", "handle": "same"})
    running.say("Bad", *[bad] * 9, *[good] * 3)
    running.say("Fair", *[bad] * 6, *[good] * 6)
    running.say("Words", "a recall of the kettle")
    running.say("Wörter", "ein Rückruf, sagt man", language="de")
    running.say("Other", "ein recall, sagt man", language="de")
    running.say("Ours", "a recall, we regret", direction="outbound")
    running.say("Heard", bad, author=loud)
    running.say("Praised", good, author=loud)
    running.say("Unheard", bad, author=quiet)
    running.say("Copied", *(edited() for _ in range(10)))
    running.say("Varied", *("".join(random.choices(letters, k=100)) for _ in range(10)))
    running.say("Old", "a recall", created_at=stamp(timedelta(hours=2)))
    running.say("Late", "a recall", created_at=stamp(timedelta(minutes=50)))
    for rule, brand in RAISED:
        running.fires(rule, brand)
    wait_for("it is on record", lambda: bool(on_record(running.settings, "brand = 'Old'")))
    running.judged()
    return running.hook


RAISED = (
    ("many", "Many"), ("people", "People"), ("anger", "Bad"), ("crisis", "Words"), ("crisis", "Wörter"), ("voice", "Heard"),
    ("crisis", "Late"), ("copies", "Copied"),
)  # fmt: skip
NOT_RAISED = (
    ("many", "Few"), ("people", "Person"), ("anger", "Fair"), ("crisis", "Other"), ("crisis", "Ours"), ("voice", "Praised"),
    ("voice", "Unheard"), ("crisis", "Old"), ("copies", "Varied"),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "brand"), RAISED)
def test_what_a_rule_is_true_of_is_notified_once(told: Webhook, rule: str, brand: str) -> None:
    assert len(told.keys()[rule, brand]) == 1


@pytest.mark.parametrize(("rule", "brand"), NOT_RAISED)
def test_what_it_is_not_true_of_is_not(told: Webhook, rule: str, brand: str) -> None:
    assert not told.of(rule, brand)


def test_what_is_old_is_on_record(running: Running, told: Webhook) -> None:
    assert [row.historical for row in on_record(running.settings, "brand IN ('Old', 'Late') ")].count(True) == 1


def test_a_post_that_finds_its_crowd_or_a_word_after_two_hours_is_notified_once(running: Running) -> None:
    """Whether its source sends changes, or the whole post again each time; one that had its crowd before stays on record."""
    rounds = 6_000, 7_000
    then = stamp(timedelta(hours=2))
    posts = {name: event(f"{name}-crowd", name, "of the kettle", created_at=then) for name in ("Changed", "Resent", "Archived")}

    def counted(name: str, likes: int) -> None:
        more: dict[str, Any] = {"metrics": {"likes": likes}}
        if name == "Changed":
            more |= {"operation": "update", "occurred_at": stamp()}
        running.send(posts[name] | more)

    edited, well = (event(f"{name}-edited", name, "all is well", created_at=then) for name in ("Edited", "Well"))
    running.send(*posts.values(), posts["Archived"] | {"metrics": {"likes": 6_000}, "id": "archived before"}, edited, well)
    running.judged()
    for likes in rounds:
        change = {"operation": "update", "occurred_at": stamp()}
        running.send(edited | change | {"text": "a recall after all"}, well | change)
        for name in ("Changed", "Resent"):
            counted(name, likes)
        running.send(posts["Archived"] | {"metrics": {"likes": likes}, "id": "archived before"})
        running.judged()
        running.fires("crowd", "Changed")
        running.fires("crowd", "Resent")
        running.fires("crisis", "Edited")
    assert len(running.hook.of("crisis", "Edited")) == 1 and not running.hook.of("crisis", "Well")
    assert len(running.hook.of("crowd", "Changed")) == len(running.hook.of("crowd", "Resent")) == 1
    assert not running.hook.of("crowd", "Archived")
    assert [row.historical for row in on_record(running.settings, "brand = 'Archived' AND rule = 'crowd'")] == [True]


# --- what becomes of an alert -----------------------------------------------------------------------------------------
def test_what_follows_within_the_interval_is_told_together(running: Running) -> None:
    running.say("Grouped", "firstword")
    running.fires("one", "Grouped")
    running.say("Grouped", "secondword thirdword")
    running.say("Apart", "secondword")
    running.fires("two", "Apart")
    running.fires("three", "Grouped")
    first, *later = (running.hook.of(rule, "Grouped")[0].message for rule in ("one", "two", "three"))
    assert len(set(later)) == 1 and later[0] > first
    assert running.hook.of("two", "Apart")[0].message not in (first, *later)


def test_an_end_is_told_where_it_ended(running: Running) -> None:
    running.say("Over", "briefword")
    running.say("Lasting", "firstword")
    running.fires("brief", "Over")
    running.fires("one", "Lasting")
    wait_for("the end is notified", lambda: bool(running.hook.of("brief", "Over", "resolved")))
    assert running.hook.of("brief", "Over", "resolved")[0].alert["key"] == running.hook.of("brief", "Over")[0].alert["key"]
    assert not running.hook.of("one", "Lasting", "resolved")


def test_a_test_alert_is_told_and_marked(running: Running, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    running.say("Drill", "a word that no rule knows")
    running.judged()
    set_variables(monkeypatch, running.settings)
    done = run("alerts", "test", "crisis", "--brand", "Drill")
    assert done.code == 0, done.err
    assert run("alerts", "test", "no-such-rule").code == 1
    wait_for("it is notified", lambda: bool(running.hook.of("crisis", "Drill")))
    assert running.hook.of("crisis", "Drill")[0].alert["test"]
    assert not [notice for notice in running.hook.notices if notice.alert["rule"] == "no-such-rule"]


def test_what_people_said_outlives_a_kill(running: Running) -> None:
    running.say("Looked after", "firstword")
    running.say("Nobody's", "firstword")
    running.fires("one", "Looked after")
    running.fires("one", "Nobody's")
    key = running.hook.of("one", "Looked after")[0].alert["key"]
    ask(running.settings, "control", "POST", f"/alerts/{key}/ack", {"comment": "on it"})
    with pytest.raises(EarshotError, match="there is no brand 'Hushed', neither in the files nor in stored events"):
        ask(running.settings, "control", "POST", "/silences", {"brand": "Hushed", "minutes": 60})
    running.say("Hushed", "a word that no rule knows")
    running.judged()
    ask(running.settings, "control", "POST", "/silences", {"brand": "Hushed", "minutes": 60, "comment": "a drill"})
    running.say("Hushed", "firstword")
    wait_for("it is on record", lambda: bool(on_record(running.settings, "brand = 'Hushed'")))

    running.kill_control()
    running.say("Hushed", "secondword")
    running.say("Not hushed", "secondword")
    running.say("Looked after", "firstword once more")
    running.fires("two", "Not hushed")
    wait_for("two are on record", lambda: len(on_record(running.settings, "brand = 'Hushed'")) == 2)
    running.judged()
    assert all(row.muted.startswith("silence ") for row in on_record(running.settings, "brand = 'Hushed'"))
    assert not [notice for notice in running.hook.notices if notice.alert["brand"] == "Hushed"]
    rows = on_record(running.settings, "rule = 'one' AND brand IN ('Looked after', 'Nobody\\'s')")
    assert {(row.brand, row.state, row.actor) for row in rows} == {
        ("Looked after", "acknowledged", "ines"),
        ("Nobody's", "firing", ""),
    }
    assert len(running.hook.of("one", "Looked after")) == 1
    with pytest.raises(EarshotError, match="there is no alert"):
        ask(running.settings, "control", "POST", f"/alerts/{'0' * 16}/ack", {})


def test_who_has_a_conversation_and_who_acted_outlive_a_kill(running: Running) -> None:
    """By the console's client, for two persons."""
    with connect(running.settings) as client:
        client.command(
            "INSERT INTO threads (brand, opened, conversation, conversation_id, platform, version) "
            "VALUES ('Waited', now64(3), xxh3('trustpilot:r-1'), 'r-1', 'trustpilot', 1)"
        )
    console, of = ControlClient(running.settings), {"brand": "Waited", "platform": "trustpilot", "conversation_id": "r-1"}
    taken = console.take("Zoë", of, "I call her")
    running.kill_control()
    assert console.cases("lars") == [taken]
    with pytest.raises(ConflictError, match="Zoë has it since"):
        console.take("lars", of)
    assert console.hand_over("Zoë", of, "lars")["owner"] == "lars"
    assert console.done("lars", of)["state"] == "done" and console.cases("lars") == []
    silence = console.silence("lars", {"rule": "one"}, 5, "a drill")
    assert silence["actor"] == "lars" and console.silences("lars")[-1]["id"] == silence["id"]
    assert console.lift("Zoë", silence["id"])["actor"] == "Zoë"
    with pytest.raises(UnknownName, match="there is no alert"):
        console.acknowledge("Zoë", "0" * 16)
    with pytest.raises(UnknownName, match="there is no rule"):
        console.test("Zoë", "nothing")
    with connect(running.settings) as client:
        acts = client.query(
            "SELECT actor, act, outcome = 'done' FROM acts FINAL WHERE way = 'console' ORDER BY at, id", tz_mode="aware"
        ).result_rows
    assert acts == [
        ("Zoë", "take", 1), ("lars", "take", 0), ("Zoë", "hand over", 1), ("lars", "done", 1), ("lars", "silence", 1),
        ("Zoë", "lift", 1), ("Zoë", "acknowledge", 0), ("Zoë", "test", 0),
    ]  # fmt: skip


def test_a_platform_is_silenced_for_what_is_said_there_alone(running: Running) -> None:
    running.say("Everywhere", "a word that no rule knows", platform="quietly")
    running.judged()
    silence = ask(running.settings, "control", "POST", "/silences", {"platform": "quietly", "minutes": 60})
    try:
        running.say("Everywhere", "firstword", platform="quietly")
        wait_for("it is on record", lambda: bool(on_record(running.settings, "brand = 'Everywhere'")))
        assert on_record(running.settings, "brand = 'Everywhere'")[0].muted == f"silence {silence['id']}"
        assert not running.hook.of("one", "Everywhere")
        running.kill_control()  # where its events are is on record
        running.judged()
        assert not running.hook.of("one", "Everywhere")
        running.say("Everywhere", "firstword again")
        running.fires("one", "Everywhere")
        (notice,) = running.hook.of("one", "Everywhere")
        assert notice.alert["platforms"] == ["quietly", "x"]
    finally:
        ask(running.settings, "control", "DELETE", f"/silences/{silence['id']}")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/silences", {"brand": "many", "minutes": 5}, "there is no brand 'many', .*did you mean 'Many'"),
        ("/silences", {"rule": "manny", "minutes": 5}, "there is no rule 'manny', did you mean 'many'"),
        ("/silences", {"platform": "y2k", "minutes": 5}, "there is no platform 'y2k'"),
        ("/test", {"rule": "crisiss"}, "there is no rule 'crisiss', did you mean 'crisis'"),
        ("/test", {"rule": "crisis", "brand": "Dril"}, "there is no brand 'Dril'"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(running: Running, path: str, body: dict[str, Any], says: str) -> None:
    with pytest.raises(EarshotError, match=says):
        ask(running.settings, "control", "POST", path, body)


def test_other_rules_are_taken_over_and_broken_ones_are_not(running: Running) -> None:
    def stale(value: float) -> bool:
        return running.metric("earshot_rules_stale") == value

    def says(words: str) -> bool:
        return running.worker.said(words) and running.control.said(words)

    running.say("Reloaded", "fourthword")
    running.judged()
    assert not running.hook.of("four", "Reloaded")
    running.rules.write({"name": "four", "type": "keyword", "words": {"any": ["fourthword"]}, **LATER})
    wait_for("the new rule", lambda: says(f"{len(running.rules.rules)} rules are active"))
    running.say("Reloaded", "fourthword once more")
    running.fires("four", "Reloaded")

    running.rules.replace("rules: [{name: four, type: keyword, words: {any: []}}]")
    wait_for("it says so", lambda: says("the last good rules stay active: ") and stale(1))
    running.say("Still there", "fourthword")
    running.fires("four", "Still there")

    running.rules.write()
    wait_for("it is mended", lambda: stale(0))
    running.say("Mended", "fourthword")
    running.fires("four", "Mended")
    good = hashlib.sha256(running.rules.path.read_bytes()).hexdigest()
    newest = "SELECT argMax(hash, since) FROM files_in_force WHERE file = 'alerts.yaml'"
    with connect(running.settings) as client:
        wait_for("it is on record", lambda: client.command(newest) == good)
    of_brands = "SELECT count() FROM files_in_force FINAL WHERE file = 'brands.yaml'"
    assert number(running.settings, of_brands) == 1, "a kill makes no other file of it"
