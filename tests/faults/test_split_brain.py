"""Two controls that are cut off from Kafka, from ClickHouse, from both, frozen, or slow, while events land and people command.

Each run is seeded. In the end each alert was notified under one key, none is missing, an acknowledged alert is acknowledged,
and a silenced one was not notified; a change was notified twice only where the leader could not record that it was accepted.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.kafka.group import SESSION_S
from tests.support.beside import repeated
from tests.support.control import (
    TOKEN,
    Notice,
    Rules,
    Webhook,
    controlled,
    event,
    fresh,
    heard_all,
    judged_until,
    on_record,
    open_twice,
    send,
    start_control,
)
from tests.support.forked import NAMES, Forked, forked_stack
from tests.support.link import Link
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.stack

LIMIT = 4
RULES: list[dict[str, Any]] = [
    {"name": "many", "type": "threshold", "measure": "count", "above": LIMIT, "window": "1h", "resolve": "3h"},
    {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "3h"},
    # True of nobody; it makes the brands known that are silenced before anybody has mentioned them.
    {"name": "known", "type": "reach", "followers": 10**9, "brands": [f"Brand {number}" for number in range(3, 800, 4)]},
]
EVERY_S, MOMENT_S, RECORDED_S = 0.7, 0.5, 3.0
LONG_RUN = 120.0


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    with forked_stack(tmp_path_factory.mktemp("forked")) as stack:
        yield stack


# --- faults ----------------------------------------------------------------------------------------------------------
KINDS = ("kafka", "both", "frozen", "clickhouse", "slow")
LOSES_ANSWERS = ("both", "frozen", "clickhouse", "slow")
"""A control that is cut off like this may have notified somebody and be unable to record it."""


class Fault(NamedTuple):
    kind: str
    seconds: float
    of_leader: bool = True
    holds: bool = True
    """What is on its way goes on in the end; else it is lost at once, and both sides know."""
    delay_s: float = 0.0


def any_faults(rng: random.Random) -> list[Fault]:
    """One of each kind; some are over before anybody takes over."""
    return [
        Fault(
            kind,
            rng.choice((rng.uniform(1, 7), rng.uniform(12, 20))),
            rng.random() < 0.8,
            rng.random() < 0.5,
            rng.uniform(0.5, 7),
        )
        for kind in rng.sample(KINDS, len(KINDS))
    ]


# --- two controls -----------------------------------------------------------------------------------------------------
class Control:
    """One of the two, with its own links to Kafka and ClickHouse."""

    def __init__(self, name: str, stack: Forked, settings: Settings, folder: Path) -> None:
        self.name = name
        self.kafka = Link(stack.links[name], stack.behind[name])
        self.clickhouse = Link(free_port(), stack.clickhouse_port)
        self._settings = settings.model_copy(
            update={
                "kafka": settings.kafka.model_copy(update={"bootstrap": f"127.0.0.1:{self.kafka.port}"}),
                "clickhouse": settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{self.clickhouse.port}"}),
                "control": settings.control.model_copy(update={"port": free_port()}),
            }
        )
        self._log = folder / f"{name}.log"
        self._process: Worker | None = None

    def start(self) -> None:
        self._process = start_control(self._settings, self._log)

    @property
    def process(self) -> Worker:
        assert self._process is not None
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.signal(signal.SIGCONT)
            self._process.close()

    def command(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer of the control API; status 0: none within 3 s, and the command may be done all the same."""
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.control.port, timeout=3)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    @property
    def leads(self) -> bool:
        """It takes commands: it says that there is no such alert."""
        return self.command("/alerts/0000000000000000/ack", {})[0] == 404

    @contextmanager
    def cut_off(self, fault: Fault) -> Iterator[None]:
        if fault.kind == "frozen":
            self.process.signal(signal.SIGSTOP)
        elif fault.kind == "slow":
            self.clickhouse.slow(fault.delay_s)
        else:
            for link in self._links(fault.kind):
                (link.hold if fault.holds else link.cut)()
        try:
            yield
        finally:
            self.process.signal(signal.SIGCONT)
            for link in (self.kafka, self.clickhouse):
                link.heal()

    def _links(self, kind: str) -> list[Link]:
        return {"kafka": [self.kafka], "clickhouse": [self.clickhouse], "both": [self.kafka, self.clickhouse]}[kind]


@dataclass
class Run:
    settings: Settings
    hook: Webhook
    controls: list[Control]
    rng: random.Random
    brands: int = 0
    expected: set[tuple[str, str]] = field(default_factory=set)
    acknowledged: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Key -> the version in which it was acknowledged, and when that was answered."""
    silenced: set[str] = field(default_factory=set)
    lossy: list[tuple[float, float]] = field(default_factory=list)
    """From when to when an answer of a receiver may have got lost."""

    # --- what goes on meanwhile ---------------------------------------------------------------------------------------
    def events_and_people(self) -> AbstractContextManager[None]:
        """Another brand's events, an acknowledgement and now and then a silence, again and again beside what the block does."""

        def go_on() -> None:
            self.talk()
            self.acknowledge()

        return repeated(go_on, EVERY_S, "events and people")

    def talk(self) -> None:
        brand = f"Brand {self.brands}"
        self.brands += 1
        if self.brands % 4 == 0 and self._commanded("/silences", {"brand": brand, "minutes": 600}, 201) is not None:
            self.silenced.add(brand)
        elif self.brands % 4 == 0:
            return  # whether it is silenced nobody knows
        many, crisis = self.rng.random() < 0.7, self.rng.random() < 0.5
        count = LIMIT + 1 if many else LIMIT
        texts = ["a recall, they say" if crisis and number == 1 else "nothing much" for number in range(count)]
        send(self.settings, (event(f"{brand}-{number}", brand, text) for number, text in enumerate(texts)))
        self.expected |= {(rule, brand) for rule, true in (("many", many), ("crisis", crisis)) if true}

    def acknowledge(self) -> None:
        """Acknowledges one of the last alerts that nobody has acknowledged."""
        keys = [notice.alert["key"] for notice in self.hook.notices if notice.alert["state"] == "firing"]
        due = [key for key in dict.fromkeys(keys) if key not in self.acknowledged][-3:]
        if due and (done := self._commanded(f"/alerts/{self.rng.choice(due)}/ack", {}, 200)):
            self.acknowledged[done["key"]] = done["version"], time.time()

    def _commanded(self, path: str, body: dict[str, Any], status: int) -> dict[str, Any] | None:
        """What one of them answers that does it."""
        for control in self.rng.sample(self.controls, 2):
            found, answer = control.command(path, body)
            if found == status:
                return answer
        return None

    def leader(self) -> Control:
        """Waits until exactly one leads."""
        found: list[Control] = []

        def one_leads() -> bool:
            found[:] = [control for control in self.controls if control.leads]
            return len(found) == 1

        wait_for("one leads", one_leads, every=0.2)
        return found[0]

    def suffer(self, fault: Fault) -> None:
        leader = self.leader()
        victim = leader if fault.of_leader else next(control for control in self.controls if control is not leader)
        print(f"{time.time() % 1000:.1f} {victim.name}: {fault}")
        began = time.time()
        with victim.cut_off(fault):
            time.sleep(fault.seconds)
            if fault.kind in ("kafka", "both") and fault.seconds > SESSION_S + MOMENT_S:
                assert not victim.leads, f"{victim.name} takes commands and has not heard its group for {fault.seconds:.0f} s"
        if fault.kind in LOSES_ANSWERS:
            self.lossy.append((began - 1, time.time() + RECORDED_S))
        time.sleep(self.rng.uniform(0, 4))

    # --- the end ------------------------------------------------------------------------------------------------------
    @property
    def wanted(self) -> set[tuple[str, str]]:
        return {place for place in self.expected if place[1] not in self.silenced}

    def settle(self) -> None:
        try:
            wait_for("all are notified", lambda: self._alive() and self.wanted <= self.hook.keys().keys(), LONG_RUN, every=0.2)
        except AssertionError as error:
            error.add_note(f"never notified: {sorted(self.wanted - self.hook.keys().keys())}")
            raise
        wait_for("all is heard", lambda: heard_all(self.settings), LONG_RUN, every=0.3)
        for _ in range(2):
            since = judged_until(self.settings)
            wait_for("all is judged", lambda since=since: judged_until(self.settings) > since, every=0.3)  # type: ignore[misc]

    def _alive(self) -> bool:
        for control in self.controls:
            code = control.process.exit_code
            assert code is None, f"{control.name} ended with {code}: {control.process.tail()}"
        return True

    def wrong(self) -> list[str]:
        return [*self._keys(), *self._acknowledgements(), *self._silences(), *self._repetitions(), *self._records()]

    def _keys(self) -> Iterator[str]:
        for place, keys in self.hook.keys().items():
            if len(keys) > 1:
                yield f"{place} was notified under {len(keys)} keys"
        if extra := self.hook.keys().keys() - self.wanted:
            yield f"notified, and never to be: {sorted(extra)}"

    def _acknowledgements(self) -> Iterator[str]:
        now = {row.key: row for row in on_record(self.settings)}
        for key, (version, _) in self.acknowledged.items():
            if now[key].state != "acknowledged":
                yield f"alert {key} was acknowledged in version {version} and is {now[key].state} in {now[key].version}"
        for notice in self.hook.notices:
            version, at = self.acknowledged.get(notice.alert["key"], (0, float("inf")))
            if notice.alert["state"] == "firing" and notice.at > at + MOMENT_S:
                yield f"alert {notice.delivery} fired {notice.at - at:.1f} s after version {version} acknowledged it"

    def _silences(self) -> Iterator[str]:
        for notice in self.hook.notices:
            if notice.alert["brand"] in self.silenced:
                yield f"{notice.about} is silenced and was notified"

    def _repetitions(self) -> Iterator[str]:
        times: defaultdict[str, list[Notice]] = defaultdict(list)
        for notice in self.hook.notices:
            times[notice.delivery].append(notice)
        for delivery, all_notices in times.items():
            first = all_notices[0].at
            if len(all_notices) > 1 and not any(began <= first <= ended for began, ended in self.lossy):
                at = [round(notice.at % 1000, 1) for notice in all_notices]
                yield f"{delivery} was notified {len(all_notices)} times, at {at}"

    def _records(self) -> Iterator[str]:
        rows = on_record(self.settings)
        if twice := open_twice(self.settings):
            yield f"open twice: {twice}"
        if (found := {(row.rule, row.brand) for row in rows}) != self.expected:
            yield f"on record and not true: {sorted(found - self.expected)}; missing: {sorted(self.expected - found)}"


@contextmanager
def running(stack: Forked, seed: int, folder: Path) -> Iterator[Run]:
    hook = Webhook()
    with ExitStack() as closing, fresh(stack, folder) as settings:
        closing.callback(hook.stop)
        settings = controlled(settings, Rules(folder / "alerts.yaml", hook, RULES).path)
        worker = Worker(settings, folder / "worker.log")
        closing.callback(worker.close)
        controls = [Control(name, stack, settings, folder) for name in NAMES]
        for control in controls:
            closing.enter_context(control.kafka)
            closing.enter_context(control.clickhouse)
            closing.callback(control.close)
            control.start()
        worker.wait_ready()
        for control in controls:
            control.process.wait_ready()
        yield Run(settings, hook, controls, random.Random(seed))


def check(run: Run, faults: list[Fault]) -> None:
    with run.events_and_people():
        for fault in faults:
            run.suffer(fault)
        wait_for("a silence is taken", lambda: bool(run.silenced), every=0.2)
    run.settle()
    wrong = run.wrong()
    print(f"{len(run.hook.notices)} notified of {len(run.wanted)} alerts, {len(run.acknowledged)} acknowledged, "
          f"{len(run.silenced)} brands silenced")  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def two(forked: Forked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with running(forked, 0, tmp_path_factory.mktemp("two")) as run:
        yield run


def test_a_control_that_stands_by_says_that_it_could_not_take_over(two: Run) -> None:
    leader = two.leader()
    standby = next(control for control in two.controls if control is not leader)
    with standby.cut_off(Fault("clickhouse", 0, holds=False)):
        standby.process.wait_ready(False)
        assert "clickhouse: " in standby.process.ask("/ready")[1]
        assert leader.process.status("/ready") == 200
    standby.process.wait_ready()


@pytest.mark.timeout(300)
def test_a_control_that_lost_kafka_stops_and_its_heir_goes_on(two: Run) -> None:
    check(two, [Fault("kafka", 14)])


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(1, 21))
def test_two_controls_are_cut_off_from_each_other(forked: Forked, seed: int, tmp_path: Path) -> None:
    with running(forked, seed, tmp_path) as run:
        check(run, any_faults(run.rng))
