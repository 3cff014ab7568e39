"""A worker and control as they run, and a webhook: what must raise an alert and what must not, of each kind of rule.

Each case has a brand that its rule fires for and one that it must not. That nothing came is known once a later event of each
partition has raised something, and a whole second of judging has passed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from pipeline.api.client import ControlClient, ask
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.errors import ConflictError, EarshotError, UnknownName
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.campaign_search import CampaignFinder
from pipeline.processors.alerts.evaluator import IDLE, Evaluator
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.sentiment.memory import label_of
from pipeline.queries.alerts import Filter, newest, show
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert, State, alert_rows
from schemas.signals import Candidate, Signal
from tests.support.commands import Run, set_variables
from tests.support.control import EAGER_SEARCH, Rules, Webhook, controlled, event, fresh, on_record, send, stamp, start_control
from tests.support.labels import DELAY
from tests.support.load import WORDS
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


# --- a clock that is set: what takes minutes, or weeks of history -----------------------------------------------------
NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


COLUMNS = (
    "event_key", "revision", "version", "id", "platform", "kind", "direction", "visibility", "created_at", "text", "brands",
    "ingested_at", "author_id",
)  # fmt: skip


class Bench:
    """The evaluator of control over the tables of a test; the time is what the test says it is."""

    def __init__(self, settings: Settings, *rules: dict[str, Any]) -> None:
        self._settings, self._config = settings, Alerts.model_validate({"rules": rules})
        self._client = clickhouse_client(settings.clickhouse)
        self._keys = count(1)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def start(self, now: datetime) -> None:
        """As after a kill: another one begins with what is in the tables."""
        self._fence = Fence(lambda: 0.0)  # nobody polls here
        self.evaluator = Evaluator(AlertTables(Inserter(self._client, self._fence, Vitals(), "alerts")), self._config)
        self.evaluator.start(now, 0)
        self._finder = CampaignFinder()

    def rewrite(self, alert: Alert) -> None:
        """The table holds this alert, and no other."""
        self._client.command("TRUNCATE TABLE alerts")
        rows = alert_rows([alert])
        self._client.insert("alerts", rows.rows(), column_names=rows.columns)

    def land(
        self,
        brand: str,
        at: datetime,
        mentions: int = 1,
        platform: str = "x",
        text: str = "what is said of it",
        arrived: datetime | None = None,
    ) -> None:
        """So many mentions at this time, each by somebody else; they arrive at once, or at `arrived`."""
        keys = [next(self._keys) for _ in range(mentions)]
        rows = [
            (key, key, key, str(key), platform, "post", "inbound", "public", at, at, text, [brand], arrived or at, f"a{key}")
            for key in keys
        ]
        columns = (
            "event_key revision version id platform kind direction visibility created_at occurred_at text brands ingested_at "
            "author_id"
        )
        self._client.insert("interactions", rows, columns.split())

    def history(self, brand: str, platform: str, mentions: int, days: int = 2) -> None:
        """About so many mentions in each five minutes before NOON."""
        self._client.command(
            "INSERT INTO interactions (event_key, revision, version, id, platform, kind, direction, created_at, text, brands) "
            f"SELECT cityHash64('{brand}{platform}', number), number, 1, toString(number), '{platform}', 'post', 'inbound', "
            f"toDateTime64({NOON.timestamp()}, 3, 'UTC') - INTERVAL (1 + intDiv(number, {mentions}) * 300 + "
            f"sipHash64(number) % 300) SECOND, 'what was said ever since', ['{brand}'] FROM numbers({days * 288 * mentions})"
        )

    def hear(self, at: datetime, *brands: str, now: datetime | None = None) -> list[Alert]:
        """A signal: of this minute, these brands were touched. Judged at once, or late."""
        self._fence.polled()
        minute, now = at.replace(second=0, microsecond=0), now or at
        self.evaluator.ingest([Signal(newest=at, touched={minute: brands})], now)
        return self.tick(now)

    def hear_of(self, now: datetime, rule: str, brand: str, created: datetime) -> list[Alert]:
        """A candidate, always of the same event."""
        self._fence.polled()
        candidate = Candidate(rule, brand, "x", "en", 7, created, created, 1.0, ("recall",))
        return self.evaluator.ingest([Signal(newest=now, candidates=(candidate,))], now)

    def move(self, brand: str, to: str) -> None:
        """New versions of this brand's mentions, about another one. Nobody signals it, as after a rematch."""
        self._client.command(
            "INSERT INTO interactions (event_key, revision, version, id, platform, kind, direction, created_at, text, brands) "
            "SELECT event_key, revision, version + 1000000, id, platform, kind, direction, created_at, text, "
            f"['{to}'] FROM interactions FINAL WHERE has(brands, '{brand}')"
        )

    def forget_events(self) -> None:
        self._client.command("TRUNCATE TABLE alert_events")

    def tick(self, now: datetime) -> list[Alert]:
        self._fence.polled()
        return self.evaluator.tick(now)

    def look(self, now: datetime) -> list[Alert]:
        """All searches for campaigns that are due, as control has them on a thread of its own."""
        ask = asker(self._client)

        def query(sql: str) -> pl.DataFrame:
            return ask(sql, {})

        found = list[Alert]()
        while (due := self.evaluator.campaigns_due()) is not None:
            found += self.evaluator.raise_campaigns(self._finder.search(query, due), now)
        return found


def scopes(alerts: Iterable[Alert], state: State = State.FIRING) -> set[tuple[str, str, str]]:
    return {(alert.rule, alert.scope.brand, alert.scope.platform) for alert in alerts if alert.state is state}


def seconds(after: float) -> datetime:
    return NOON + timedelta(seconds=after)


def test_a_source_that_stops_talking(emptied: Settings) -> None:
    def silent(now: float, state: State = State.FIRING) -> set[str]:
        return {platform for _, _, platform in scopes(bench.tick(seconds(now)), state)}

    with Bench(emptied, {"name": "quiet", "type": "no_data", "of": "platform", "after": "1m"}) as bench:
        bench.land("Acme", seconds(-30), platform="x")
        bench.land("Acme", seconds(-8 * 86_400), platform="forgotten")
        bench.start(NOON)
        bench.land("Acme", seconds(40), platform="reddit")
        assert silent(61) == {"x"}
        bench.land("Acme", seconds(100), platform="x")
        bench.land("Acme", seconds(100), platform="reddit")
        assert silent(122, State.RESOLVED) == {"x"}
        bench.land("Acme", seconds(170), platform="reddit")
        assert silent(183) == {"x"}, "it fell silent again"


def test_an_open_alert_of_a_rule_type_that_had_another_name_goes_on_after_an_upgrade(emptied: Settings) -> None:
    """The type no_data was named silence: an alert that was raised then is not raised again, and ends when data comes."""
    with Bench(emptied, {"name": "quiet", "type": "no_data", "of": "platform", "after": "1m"}) as bench:
        bench.land("Acme", seconds(-30), platform="x")
        bench.start(NOON)
        (raised,) = bench.tick(seconds(61))
        bench.rewrite(replace(raised, type="silence"))
        bench.start(seconds(70))
        assert [alert.type for alert in bench.evaluator.lifecycle.open] == ["silence"]
        assert not scopes(bench.tick(seconds(131)))
        bench.land("Acme", seconds(180), platform="x")
        (over,) = bench.tick(seconds(200))
        assert (over.key, over.type, over.state) == (raised.key, "silence", State.RESOLVED)
        with clickhouse_client(emptied.clickhouse) as client:
            assert newest(client, Filter(), 10) == [over]
            assert {alert.type for alert in show(client, raised.key).history} == {"silence"}


def test_more_and_less_than_is_expected_and_what_a_whole_brand_says_for_its_platforms(emptied: Settings) -> None:
    rules = (
        {"name": "volume", "type": "spike"},
        {"name": "platforms", "type": "spike", "by": ["platform"]},
        {"name": "drop", "type": "spike", "direction": "below"},
    )
    with Bench(emptied, *rules) as bench:
        for brand in ("Loud", "Calm", "Gone"):
            bench.history(brand, "x", 20)
        bench.history("Moved", "x", 20)
        bench.history("Moved", "reddit", 2)
        bench.start(NOON)
        bench.land("Loud", seconds(1), 300)
        bench.land("Calm", seconds(1), 22)
        bench.land("Moved", seconds(1), 50, platform="reddit")
        changes = bench.hear(seconds(10), "Calm", "Loud", "Moved")
        assert scopes(changes) == {("volume", "Loud", ""), ("platforms", "Loud", "x"), ("platforms", "Moved", "reddit")}
        whole, part, moved = (next(a for a in changes if (a.rule, a.scope.brand) == each) for each in (
            ("volume", "Loud"), ("platforms", "Loud"), ("platforms", "Moved")
        ))  # fmt: skip
        assert part.muted == f"inhibited by {whole.hex}"
        assert not whole.muted and not moved.muted and whole.expected and whole.expected < 100

        drops = set[str]()
        for minute in range(1, 90):
            for brand in ("Calm", "Loud"):
                bench.land(brand, seconds(60 * minute), 4)
            changes = bench.hear(seconds(60 * minute + 15), "Calm", "Loud")
            drops |= {brand for rule, brand, _ in scopes(changes) if rule == "drop"}
            if len(drops) > 1:
                break
        assert drops == {"Gone", "Moved"}


def test_a_spike_that_came_and_went_while_no_control_ran_is_found_where_it_was(emptied: Settings) -> None:
    with Bench(emptied, {"name": "volume", "type": "spike"}) as bench:
        bench.history("Acme", "x", 50)
        bench.history("Bolt", "x", 50)
        times = [NOON + timedelta(minutes=minute) for minute in range(50)]
        for minute, at in enumerate(times):
            bench.land("Acme", at, 60 if 10 <= minute < 20 else 10)
            bench.land("Bolt", at, 60 if minute >= 45 else 10)
        now = times[-1] + timedelta(minutes=2)
        bench.start(now - IDLE)
        begins = {alert.scope.brand: alert.since for alert in bench.tick(now) if alert.state == State.FIRING}
        assert times[10] <= begins["Acme"] < times[15] and begins["Bolt"] >= times[45]


def test_what_was_read_before_a_kill_counts_after_it(emptied: Settings) -> None:
    """The watermark is kept every ten seconds: what came after it and was committed is in no signal any more."""
    with Bench(emptied, {"name": "many", "type": "threshold", "measure": "count", "above": 60, "window": "3m"}) as bench:
        bench.start(NOON)
        bench.hear(seconds(55))  # kept
        for brand in ("Many", "Few"):
            bench.land(brand, seconds(61), 50)
        assert not bench.hear(seconds(62), "Few", "Many")
        bench.start(seconds(110))
        bench.land("Many", seconds(121), 11)
        bench.land("Few", seconds(121), 10)
        assert scopes(bench.hear(seconds(122), "Few", "Many")) == {("many", "Many", "")}


@pytest.mark.parametrize("behind", [0, 300], ids=["in time", "events come five minutes late"])
def test_mentions_that_a_rematch_takes_away_do_not_count_any_more(emptied: Settings, behind: int) -> None:
    """However old their minutes are: as long as a window holds them."""
    with Bench(emptied, {"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "10m"}) as bench:
        bench.start(NOON)

        def hear(at: float, *brands: str) -> list[Alert]:
            return bench.hear(seconds(at), *brands, now=seconds(at + behind))

        for brand in ("Acme", "Stays"):
            bench.land(brand, seconds(1), 15)
        assert not hear(2, "Acme", "Stays")
        for second in range(62, 400, 60):
            bench.land("Other", seconds(second))
            assert not hear(second, "Other")
        bench.move("Acme", "Bolt")
        for second in range(401, 470, 4):
            assert not hear(second, "Other")
        for brand in ("Acme", "Stays", "Bolt"):
            bench.land(brand, seconds(471), 10)
        assert scopes(hear(472, "Acme", "Stays", "Bolt")) == {("many", "Stays", ""), ("many", "Bolt", "")}


def test_of_two_candidates_of_an_event_the_one_that_matched_last_counts(emptied: Settings) -> None:
    """A change that reaches the limit, and the next one, which reaches it no more than the first, in whatever signals."""
    rule = {"name": "voice", "type": "reach", "engagement": 100, "negative": False}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        old = Candidate("voice", "Acme", "x", "en", 7, seconds(-9_000), seconds(1), 100.0)
        first = replace(old, matched_at=seconds(1))
        signals = [Signal(newest=seconds(2), candidates=(each,)) for each in (first, old)]
        assert scopes(bench.evaluator.ingest(signals, seconds(3))) == {("voice", "Acme", "")}
        assert not bench.evaluator.ingest([signals[0]], seconds(4)), "a redelivery"


def test_rules_that_came_while_another_process_led(emptied: Settings) -> None:
    rule = {"name": "many", "type": "threshold", "measure": "count", "above": 3, "brands": ["Old"]}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        bench.evaluator.stop()
        bench.evaluator.use(Alerts.model_validate({"rules": [rule | {"brands": ["New"]}]}))
        bench.evaluator.start(seconds(1), 0)
        for brand in ("Old", "New"):
            bench.land(brand, seconds(2), 4)
        assert scopes(bench.hear(seconds(3), "New", "Old")) == {("many", "New", "")}


def test_an_event_that_was_not_on_record_when_its_alert_was(emptied: Settings) -> None:
    """Killed between the two inserts: it is heard again, and is no other alert, nor counted twice, even when that is over."""
    rule = {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "10s"}

    def hear(now: float) -> list[Alert]:
        bench.forget_events()
        bench.start(seconds(now))
        return bench.hear_of(seconds(now), "crisis", "Acme", seconds(1))

    with Bench(emptied, rule) as bench:
        assert scopes(hear(2)) == {("crisis", "Acme", "")}
        assert not hear(3)
        assert [alert.observed for alert in bench.evaluator.lifecycle.open] == [1]
        assert scopes(bench.tick(seconds(40)), State.RESOLVED) == {("crisis", "Acme", "")}
        assert not hear(50)
        assert not bench.evaluator.lifecycle.open


def test_a_campaign_that_was_heard_of_before_a_kill_is_found_after_it(emptied: Settings) -> None:
    rule = {"name": "copies", "type": "campaign", "accounts": 10}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        bench.hear(seconds(1), "Early")
        bench.land("Copied", seconds(2), 10, text="buy the kettle of your dreams at half the price today")
        for n in range(10):
            bench.land("Varied", seconds(2), text=" ".join(Random(n).sample(WORDS, 12)))
        bench.hear(seconds(3), "Copied", "Varied")
        bench.start(seconds(20))
        assert not bench.look(seconds(20))  # the watermark that was kept is from before it
        bench.tick(seconds(30))
        assert scopes(bench.look(seconds(30))) == {("copies", "Copied", "")}
        assert not bench.look(seconds(31))
