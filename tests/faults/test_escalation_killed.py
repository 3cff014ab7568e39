"""Control is killed while alerts escalate: the next receivers are notified of each once, and a receiver out of its hours of
nothing but the alerts that its `always` names."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pipeline.api.client import ask
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.errors import EarshotError
from pipeline.migrate import migrate
from tests.support.control import Webhook, controlled, event, leading, send, start_another
from tests.support.oracle import connect
from tests.support.worker import Worker, wait_for

AFTER = timedelta(seconds=3)
LONG_RUN = 120.0
BRANDS, KILLS = 160, 8
WORDS = {"crisis": "recall", "hushed": "secretword"}


About = tuple[str, str]
"""A rule and a brand."""


class Change(NamedTuple):
    """A change in table alerts."""

    rule: str
    brand: str
    key: str
    state: str
    muted: str
    changed_at: datetime
    raised_at: datetime
    escalated_at: datetime | None


@dataclass
class Duty:
    """A worker, a control that leads and one that stands by, and three receivers: one at once, one by escalation, and one whose
    hours begin at `begins`."""

    settings: Settings
    folder: Path
    begins: datetime
    chat: Webhook = field(default_factory=Webhook)
    pager: Webhook = field(default_factory=Webhook)
    office: Webhook = field(default_factory=Webhook)
    controls: dict[Worker, Settings] = field(default_factory=dict)
    """And the settings that reach it."""
    started: int = 0

    def __post_init__(self) -> None:
        self.rules(*WORDS, "voice")
        self.settings = controlled(self.settings, self.folder / "alerts.yaml")
        self.worker = Worker(self.settings, self.folder / "worker.log")
        for _ in range(2):
            self.start_control()
        for process in (self.worker, *self.controls):
            process.wait_ready()

    def rules(self, *names: str) -> None:
        """alerts.yaml with these rules, in one move."""
        end = self.begins + timedelta(hours=6)
        hooks = {"chat": self.chat, "pager": self.pager, "office": self.office}
        hours = {
            "when": {"hours": f"{self.begins:%H:%M}-{end:%H:%M}"},
            "always": {"rules": ["voice"]} if "voice" in names else {"severity": 10},
        }
        receivers = [
            {"name": name, "type": "webhook", "url": f"http://127.0.0.1:{hook.port}/", "allow": ["127.0.0.1"], "timeout": "5s"}
            | (hours if name == "office" else {})
            for name, hook in hooks.items()
        ]  # fmt: skip
        shared = {"resolve": "3h", "escalate": {"after": f"{AFTER.seconds}s", "to": ["pager"]}}
        types: dict[str, dict[str, Any]] = {"voice": {"type": "reach", "followers": 100_000, "negative": False}}
        types |= {name: {"type": "keyword", "words": {"any": [word]}} for name, word in WORDS.items()}
        rules = [{"name": name, **types[name], **shared} for name in names]
        new = self.folder / "alerts.new"
        new.write_text(yaml.safe_dump({"receivers": receivers, "group": {"interval": "0s"}, "rules": rules}))
        new.rename(self.folder / "alerts.yaml")

    def start_control(self) -> None:
        self.started += 1
        control, reached = start_another(self.settings, self.folder / f"control{self.started}.log")
        self.controls[control] = reached

    def command(self, path: str, body: dict[str, Any]) -> None:
        """To the leader, whoever that is."""
        deadline = time.monotonic() + LONG_RUN
        while True:
            try:
                ask(self.controls[leading(self.controls)], "control", "POST", path, body)
                return
            except EarshotError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def kill_leader(self) -> None:
        leader = leading(self.controls)
        leader.kill()
        del self.controls[leader]
        self.start_control()

    def say(self, *brands: str) -> None:
        """Of each brand an event that every rule is true of."""
        loud = {"id": "loud", "handle": "loud", "followers": 100_000}
        send(self.settings, [event(f"post of {brand}", brand, " ".join(WORDS.values()), author=loud) for brand in brands])

    def history(self) -> dict[About, list[Change]]:
        """The changes of each alert, oldest first, by rule and brand."""
        columns = "rule, brand, lower(leftPad(hex(alert_key), 16, '0')), state, muted, changed_at, raised_at, escalated_at"
        with connect(self.settings) as client:
            rows = client.query(
                f"SELECT {columns} FROM alerts ORDER BY term, version", query_tz="UTC", tz_mode="aware"
            ).result_rows
        found: dict[About, list[Change]] = {}
        for row in rows:
            found.setdefault((row[0], row[1]), []).append(Change(*row))
        return found

    def escalated(self) -> set[About]:
        return {about for about, changes in self.history().items() if changes[-1].escalated_at}

    def to_notify(self) -> set[About]:
        """Of which the pager must be notified: what escalated. What was acknowledged right after it, before the pager was
        notified, fires no more; so it may, or may not."""
        return {about for about, changes in self.history().items() if changes[-1].escalated_at and not acknowledged(changes)}

    def close(self) -> None:
        for process in (self.worker, *self.controls):
            process.close()
        for hook in (self.chat, self.pager, self.office):
            hook.stop()


@pytest.fixture
def duty(kafka: Stack, settings: Settings, tmp_path: Path) -> Iterator[Duty]:
    """The hours of the office begin while it runs."""
    migrate(settings)
    ahead = timedelta(minutes=5)
    duty = Duty(settings, tmp_path, datetime.now(UTC) + ahead)
    try:
        yield duty
    finally:
        duty.close()


def heard(hook: Webhook, state: str = "") -> set[About]:
    return {notice.about for notice in hook.notices if state in ("", notice.alert["state"])}


def acknowledged(changes: list[Change]) -> list[datetime]:
    return [change.changed_at for change in changes if change.state == "acknowledged"]


def escalations(history: dict[About, list[Change]]) -> set[About]:
    """Checks what is on record: an alert escalates once, unless it is acknowledged before or muted."""
    due = set()
    for about, changes in history.items():
        assert len({change.key for change in changes}) == 1, f"{about} was raised as two"
        times = {change.escalated_at for change in changes if change.escalated_at}
        assert len(times) <= 1, f"{about} escalated twice"
        stops = acknowledged(changes)
        if all(change.muted for change in changes):
            assert not times, f"{about} is muted, and escalated"
        else:
            assert times or stops, f"{about} did not escalate"
            assert all(changes[0].raised_at + AFTER <= at <= min(stops, default=at) for at in times)
            due |= {about for _ in times}
    return due


def say_and_acknowledge(duty: Duty, brands: list[str]) -> None:
    """Every sixth crisis is acknowledged, as soon as somebody is notified."""
    duty.say(*brands)
    crises = {("crisis", brand) for brand in brands}
    wait_for("they are notified", lambda: crises <= heard(duty.chat), LONG_RUN)
    for brand in brands[::6]:
        (key,) = duty.chat.keys()["crisis", brand]
        duty.command(f"/alerts/{key}/ack", {"comment": "on it"})


def kill_when_one_escalates(duty: Duty, before: int) -> None:
    wait_for("one escalates", lambda: len(duty.pager.notices) > before, LONG_RUN, every=0.002)
    duty.kill_leader()


@pytest.mark.faults  # in make test: test_control_killed.py, and restarts in tests/notify/test_escalation.py
@pytest.mark.timeout(1800)
def test_each_escalation_is_notified_once_through_kills_of_control(duty: Duty, rng: random.Random) -> None:
    duty.command("/silences", {"rule": "hushed", "minutes": 60})
    brands = [f"Brand {number}" for number in range(BRANDS)]
    part = BRANDS // KILLS
    for kill in range(KILLS):
        before = len(duty.pager.notices)
        say_and_acknowledge(duty, brands[kill * part : (kill + 1) * part])
        if kill % 3 < 2:
            kill_when_one_escalates(duty, before)
        else:
            time.sleep(rng.uniform(0, 4))
            duty.kill_leader()
    voices, crises = ({(rule, brand) for brand in brands} for rule in ("voice", "crisis"))
    sure = voices | {("crisis", brand) for number, brand in enumerate(brands) if number % part % 6}
    wait_for("all escalate", lambda: duty.escalated() >= sure, LONG_RUN, 0.2)
    wait_for("all are notified", lambda: heard(duty.pager, "firing") >= duty.to_notify(), LONG_RUN, 0.2)
    assert heard(duty.office) == voices, "it is out of its hours"
    wait_for("the hours begin", lambda: datetime.now(UTC) > duty.begins, 300.0)
    wait_for("somebody is notified", lambda: heard(duty.office) > voices, LONG_RUN, 0.002)
    duty.kill_leader()
    wait_for("the office is notified", lambda: heard(duty.office) == voices | crises, LONG_RUN, 0.2)
    assert all(len({notice.delivery for notice in duty.office.notices if notice.about == about}) == 1 for about in crises)

    history = duty.history()
    due = escalations(history)
    assert history.keys() == voices | crises | {("hushed", brand) for brand in brands}
    paged = heard(duty.pager, "firing")
    assert heard(duty.chat) == voices | crises and due >= paged >= duty.to_notify() and paged >= sure
    for about in paged:
        notices = duty.pager.of(*about)
        assert len({notice.delivery for notice in notices}) == 1, "a repetition after a kill has the same name"
        assert all(notice.alert["escalated_at"] for notice in notices)

    # The rules are taken out: the end goes to those who were notified of the beginning.
    duty.rules("hushed")
    wait_for("chat is notified of the end", lambda: heard(duty.chat, "resolved") == voices | crises, LONG_RUN, 0.2)
    wait_for("the pager, too", lambda: heard(duty.pager, "resolved") >= paged, LONG_RUN, 0.2)
    assert heard(duty.pager) == paged
