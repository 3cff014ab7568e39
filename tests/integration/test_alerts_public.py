"""Alerts by public interfaces alone: events into the topic; a webhook and `earshot alerts list --json` (or `backtest`) out.

One worker, and a control that is killed twice. The clock can't be set, so events make the time: the first control follows
theirs alone, and these come dated half an hour back. Killed then, control was away for all that was dated after. What
goes by the clock (how long ago an event arrived) takes a minute and more, and comes last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from schemas.times import rfc3339
from tests.support import control_without_clock, word_labels
from tests.support.beside import repeated
from tests.support.commands import Run, set_variables
from tests.support.control import COMMAND, Rules, Webhook, controlled, fresh, judged_until, send, start_control
from tests.support.oracle import connect
from tests.support.word_labels import BAD, labelled_later
from tests.support.worker import Worker, wait_for

COUNT: dict[str, Any] = {"type": "threshold", "measure": "count"}
RULES: list[dict[str, Any]] = [
    {"name": "volume", "type": "spike", "brands": ["Spike"]},
    {**COUNT, "name": "less", "below": 1, "window": "10m", "brands": ["Shop"], "platforms": ["shop"], "resolve": "90s"},
    {
        "name": "anger", "type": "threshold", "measure": "negative_share", "above": 0.6, "window": "5m", "min_mentions": 20,
        "resolve": "2s", "brands": ["Angry"],
    },
    {"name": "voice", "type": "reach", "engagement": 5_000, "negative": False},
    {"name": "quiet", "type": "no_data", "of": "source", "names": ["poller", "dead"], "after": "1m"},
    {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}},
]  # fmt: skip
AWAY = {**COUNT, "name": "away", "below": 3, "window": "5m", "brands": ["From"]}
"""Of the second control: the first one sees no post about the brand."""
BACK = timedelta(minutes=25)
"""How far back the events are dated when control is killed."""


def at_second(second: int) -> datetime:
    """The last time that it was this second: minutes of the rules and of the posts lie in the same way in each run."""
    now = datetime.now(UTC)
    return now.replace(second=second, microsecond=0) - timedelta(minutes=now.second < second)


@dataclass
class Story:
    """What happens, in its order. `now` is when it began: all events are dated from there."""

    settings: Settings
    hook: Webhook
    rules: Rules
    folder: Path
    worker: Worker
    control: Worker | None = None
    now: datetime = field(default_factory=lambda: at_second(40))
    numbers: Iterator[int] = field(default_factory=count)

    def post(self, brand: str, minute: float, **more: Any) -> dict[str, Any]:
        """A post of so many minutes after `now`."""
        number = next(self.numbers)
        return {
            "id": f"{brand}-{number}", "platform": "x", "kind": "post", "text": f"said {number}", "language": "en",
            "created_at": rfc3339(self.now + timedelta(minutes=minute)), "brands": [brand], "author": {"id": f"a{number}"},
            **more,
        }  # fmt: skip

    def posts(self, brand: str, minutes: range, each: int, **more: Any) -> list[dict[str, Any]]:
        """So many posts in each of these minutes."""
        return [self.post(brand, minute + n / (each + 1), **more) for minute in minutes for n in range(each)]

    def send(self, *events: dict[str, Any]) -> None:
        send(self.settings, events)

    def change(self, event: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """A change of the event, now."""
        same = {name: event[name] for name in ("id", "platform", "created_at")}
        return {**same, "operation": "update", "occurred_at": rfc3339(datetime.now(UTC)), **changed}

    def fires(self, rule: str, brand: str) -> dict[str, Any]:
        """Waits until the webhook is notified of it; returns the alert."""
        wait_for(f"{rule} fires for {brand}", lambda: bool(self.hook.of(rule, brand)))
        (key,) = self.hook.keys()[rule, brand]
        return next(dict(n.alert) for n in self.hook.of(rule, brand) if n.alert["key"] == key)

    def sources(self, name: str) -> list[dict[str, Any]]:
        """What the webhook was notified of a source."""
        return [dict(notice.alert) for notice in self.hook.notices if notice.alert["source"] == name]

    def landed(self, brand: str, posts: int) -> None:
        """Waits until so many posts about the brand are stored."""
        with connect(self.settings) as client:
            sql = f"SELECT count() FROM interactions FINAL WHERE has(brands, '{brand}')"
            wait_for(f"posts about {brand} land", lambda: int(str(client.command(sql))) >= posts)

    def judged(self) -> None:
        """Returns when control has judged all that was sent before."""
        brand = f"Marker {next(self.numbers)}"
        minute = -BACK / timedelta(minutes=1)
        self.send(*(self.post(brand, minute, text="a recall") for _ in range(16)))  # of every partition
        self.fires("crisis", brand)
        before = judged_until(self.settings)
        wait_for("it is judged", lambda: judged_until(self.settings) > before)

    def kill_control(self) -> None:
        """What it has notified is on record by then: else the next control would have to notify it again."""
        assert self.control
        with connect(self.settings) as client:
            sql = "SELECT uniqExact(alert_key, version) FROM alert_deliveries WHERE sent"
            told = {notice.delivery for notice in self.hook.notices}
            wait_for("all is on record", lambda: int(str(client.command(sql))) >= len(told))
        self.control.kill()

    def start_control(self, command: Sequence[str] = COMMAND) -> None:
        self.control = start_control(self.settings, self.folder / f"control{next(self.numbers)}.log", command)
        self.control.wait_ready()

    def minute(self, time: str) -> float:
        """The time in minutes after `now`."""
        return (datetime.fromisoformat(time) - self.now) / timedelta(minutes=1)


def each_second(send: Callable[[], None]) -> AbstractContextManager[None]:
    """Sends once a second beside what the block does."""
    return repeated(send, 1.0)


@pytest.fixture(scope="module")
def story(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, hook = tmp_path_factory.mktemp("public"), Webhook()
    with fresh(stack, folder) as settings:
        rules = Rules(folder / "alerts.yaml", hook, RULES)
        settings = controlled(settings, rules.path)
        worker = Worker(settings, folder / "worker.log", command=word_labels.COMMAND)
        story = Story(settings, hook, rules, folder, worker)
        try:
            worker.wait_ready()
            with each_second(lambda: story.send(story.post("News", -60, source={"name": "poller"}))):
                yield story
        finally:
            if story.control:
                story.control.close()
            worker.close()
            hook.stop()


@pytest.fixture(scope="module")
def before(story: Story) -> dict[str, Any]:
    """Until 25 minutes ago, some not labelled then. Returns an event of it that changes later, as sent."""
    never = datetime.now(UTC) + timedelta(hours=1)
    old = story.post("Voice", -120)
    calm, later = story.posts("Spike", range(-180, -36), 3), story.posts("Spike", range(-36, -25), 3)
    orders = story.posts("Shop", range(-112, -105), 2, platform="shop")
    angry = story.posts("Angry", range(-42, -36), 10, text=BAD)
    waiting = [story.post("Angry", -36 + n / 10, text=labelled_later(BAD, never) if n % 5 < 2 else BAD) for n in range(110)]
    dead = story.post("News", -60, source={"name": "dead"})
    with each_second(lambda: story.send(story.post("Time", -36.1))):
        story.send(old, dead, *calm, *orders, *angry)
        story.landed("Spike", len(calm))
        story.landed("Angry", len(angry))  # of some of them control would think that they were over before the newest
        story.start_control(control_without_clock.COMMAND)
        story.fires("anger", "Angry")
        # A minute at a time, and what has a label first: did the others land before, fewer than three in five would have one
        # for a while, and did the newest land first, too few would have been angry.
        count = len(angry)
        for start in range(0, len(waiting), 10):
            minute = waiting[start : start + 10]
            for part in ([post for post in minute if post["text"] == BAD], [post for post in minute if post["text"] != BAD]):
                story.send(*part)
                story.landed("Angry", count := count + len(part))
    with each_second(lambda: story.send(story.post("Time", -25))):
        story.send(*later)
        story.fires("less", "Shop")
        story.judged()
        story.kill_control()
    return {"old": old}


def listed(story: Story, run: Run, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[dict[str, Any]]:
    """What `earshot alerts list --json` prints."""
    set_variables(monkeypatch, story.settings)
    done = run("alerts", "list", "--json", *options)
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


# --- until 25 minutes ago, and control is killed ----------------------------------------------------------------------
def test_labels_at_60_percent(story: Story, before: dict[str, Any], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten minutes in which nearly all was negative, two in five texts have no label yet: the alert goes on."""
    (alert,) = listed(story, run, monkeypatch, "--rule", "anger")
    assert alert["state"] == "firing"
    assert not story.hook.of("anger", "Angry", "resolved")


# --- the next control, after 25 minutes -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def after(story: Story, before: dict[str, Any]) -> list[dict[str, Any]]:
    """Twelve minutes with 13 times as many posts came meanwhile, and were over. Returns the newest posts about one brand.

    An hour that begins within a smaller burst takes it for a habit, as three hours of the past say little against it: with five
    times as many there was no alert in one minute of sixty.
    """
    calm = story.posts("Spike", range(-25, 0), 3)
    burst = story.posts("Spike", range(-20, -8), 36)
    about = story.posts("From", range(-75, 20), 3)
    story.send(*calm, *burst, *about)
    story.landed("From", len(about))
    story.rules.write(AWAY)
    story.start_control()
    story.judged()
    return about


def test_a_burst_that_came_and_went_while_control_was_away(story: Story, after: object) -> None:
    alert = story.fires("volume", "Spike")
    assert -20 <= story.minute(alert["since"]) <= -8


def test_below_goes_on_over_a_restart(story: Story, after: object, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last order was so long ago that no memory of control holds it."""
    (alert,) = listed(story, run, monkeypatch, "--rule", "less")
    assert alert["state"] == "firing" and not story.hook.of("less", "Shop", "resolved")
    assert len(story.hook.of("less", "Shop")) == 1


def test_reactions_to_a_post_of_two_hours_ago(story: Story, before: dict[str, Any], after: object) -> None:
    story.send(story.change(before["old"], metrics={"likes": 6_000}))
    assert not story.fires("voice", "Voice")["historical"]


def test_an_edit_that_takes_a_brand_away(story: Story, after: list[dict[str, Any]]) -> None:
    edited = [post for post in after if -16 <= story.minute(post["created_at"]) < -9]
    story.judged()
    assert not story.hook.of("away", "From")
    story.send(*(story.change(post, text="about another", language="en", brands=["To"]) for post in edited))
    alert = story.fires("away", "From")
    assert -14 <= story.minute(alert["since"]) <= -9


# --- summer time: by a back-test, because control is about the last hour ----------------------------------------------
ZONE = ZoneInfo("Europe/Berlin")


def last_change(now: datetime) -> datetime:
    """The midnight (there) before the newest change of the zone's time that a day has followed."""
    midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    days = (midnight - timedelta(days=back) for back in range(2, 250))
    return next(day for day in days if day.utcoffset() != (day + timedelta(days=1)).utcoffset())


def test_summer_time(story: Story, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A brand with opening hours, 9 to 13, for four weeks before a change and the day of it."""
    change = last_change(story.now)
    days = [change + timedelta(days=n) for n in range(-27, 2)]
    times = [
        day.replace(hour=hour) + timedelta(minutes=minute, seconds=7 * n)
        for day in days for hour in range(9, 13) for minute in range(0, 60, 5) for n in range(6)
    ]  # fmt: skip
    story.send(*({**story.post("Calls", 0), "created_at": rfc3339(time)} for time in times))
    story.landed("Calls", len(times))
    for number, (zone, raised) in enumerate((({}, True), ({"zone": ZONE.key}, False))):
        path = tmp_path / f"alerts{number}.yaml"
        rule = {"name": "calls", "type": "spike", "brands": ["Calls"], "min_mentions": 5, **zone}
        path.write_text(yaml.safe_dump({"rules": [rule]}))
        set_variables(monkeypatch, story.settings.model_copy(update={"alerts": path}))
        begin, end = (f"{change + timedelta(days=n):%Y-%m-%d}" for n in (0, 2))
        done = run("alerts", "backtest", "--rule", "calls", "--from", begin, "--to", end, "--json")
        assert done.code == 0, done.err
        assert bool(json.loads(done.out)["alerts"]) is raised, done.out


# --- by the clock -----------------------------------------------------------------------------------------------------
def test_a_poller_that_comes_late_is_no_source_without_data(story: Story, after: object) -> None:
    """Of two sources one sent something at the beginning, the other brings old posts all the time."""
    wait_for("the dead source is missed", lambda: bool(story.sources("dead")), 150)
    assert [alert["state"] for alert in story.sources("dead")] == ["firing"]
    assert not story.sources("poller")


def test_nothing_was_notified_twice(story: Story, after: object) -> None:
    firing = [notice.alert["key"] for notice in story.hook.notices if notice.alert["state"] == "firing"]
    assert len(firing) == len(set(firing)) > 5
