"""Workers and customers are killed while evidence flows and stewards decide: in the end all is as the rules say.

What that is, pure functions say: the evidence of all rows at once, who bore the claimed handles, the commands on record.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.config.settings import PrivacySettings, Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support import topics
from tests.support.beside import beside
from tests.support.control import send
from tests.support.customers_process import (
    State,
    ask,
    commands,
    differences,
    start_customers,
    state,
    stewarded,
    taken_all,
    told,
)
from tests.support.identity_world import Step, World, expected
from tests.support.letters import DATA_KEY
from tests.support.oracle import connect
from tests.support.worker import Worker, wait_for

LONG_RUN = 240.0
"""Claimed handles are looked up once a minute."""
PIECES = 50
REVIEW = """
SELECT edge FROM identity_queue FINAL WHERE is_deleted = 0 AND reason = 'suggestion'
    AND edge IN (SELECT edge FROM identity_edges WHERE type = 'phone') ORDER BY edge LIMIT {reviews}"""


class Size(NamedTuple):
    persons: int
    events: int
    commands: int
    seconds: float
    kills: int


SHORT, LONG = Size(120, 3_000, 12, 20, 4), Size(720, 20_000, 120, 240, 40)
SIZES = [
    pytest.param(SHORT, marks=pytest.mark.faults, id="short"),  # two minutes, which CI has not
    pytest.param(LONG, marks=pytest.mark.faults, id="long"),
    pytest.param(LONG._replace(kills=0), marks=pytest.mark.faults, id="uninterrupted"),
]


@dataclass
class Scenario:
    """Processes over one database and its topics."""

    settings: Settings
    folder: Path
    world: World
    workers: list[Worker] = field(default_factory=list)
    customers: list[Worker] = field(default_factory=list)
    started: int = 0

    def start(self, count: int) -> None:
        """So many of each."""
        for _ in range(count):
            self.start_worker()
            self.start_customers()
        for process in (*self.workers, *self.customers):
            process.wait_ready()

    def start_worker(self) -> None:
        self.workers = [*self.workers, Worker(self.settings, self._log("worker"))]

    def start_customers(self) -> None:
        self.customers = [*self.customers, start_customers(self.settings, self._log("customers"))]

    def _log(self, name: str) -> Path:
        self.started += 1
        return self.folder / f"{name}{self.started}.log"

    def replace(self, victim: Worker) -> None:
        """SIGKILL, and another one like it. A list changes as a whole: stewards read it on another thread."""
        victim.kill()
        if victim in self.workers:
            self.workers = [worker for worker in self.workers if worker is not victim]
            self.start_worker()
        else:
            self.customers = [process for process in self.customers if process is not victim]
            self.start_customers()

    def post(self, seconds: float) -> None:
        """The busy persons post, over this time."""
        size = -(-len(self.world.busy) // PIECES)
        for start in range(0, len(self.world.busy), size):
            send(self.settings, self.world.busy[start : start + size])
            time.sleep(seconds / PIECES)

    def decide(self, seconds: float) -> None:
        """Stewards decide, over this time."""
        steps = [*self.world.steps, *self._reviews()]
        for step in steps:
            ask(lambda: self.customers, self.settings, step.body)
            time.sleep(seconds / len(steps))

    def _reviews(self) -> Iterator[Step]:
        """Suggestions about the quiet persons: all are there before the others post."""
        with connect(self.settings) as client:
            edges = client.query(REVIEW.format(reviews=len(self.world.steps) // 4)).result_rows
        for number, (edge,) in enumerate(edges, 1_000):
            yield Step(number, {"action": "reject" if number % 3 == 0 else "accept", "a": f"{edge:016x}"})

    def settle(self) -> None:
        """Returns when all has landed and was taken."""
        wait_for("all has landed", lambda: not topics.lag(self.settings.kafka), LONG_RUN, every=0.3)
        wait_for("all evidence is taken", lambda: taken_all(self.settings), LONG_RUN, every=0.3)

    def check(self, right: State) -> None:
        """All is as it has to be, once handles are looked up, and stays so."""
        try:
            wait_for("all is as it has to be", lambda: state(self.settings) == right, LONG_RUN, every=1.0)
        except AssertionError as error:
            error.add_note(f"{differences(state(self.settings), right)}")
            raise
        moved = {profile: customer for profile, customer in right["assignments"] if profile != customer}
        assert told(self.settings) == moved, "who gave the id has not moved"

    def close(self) -> None:
        for process in (*self.workers, *self.customers):
            process.close()


@pytest.fixture
def scenario(kafka: Stack, settings: Settings, size: Size, tmp_path: Path) -> Iterator[Scenario]:
    migrate(settings)
    hashed = settings.model_copy(update={"privacy": PrivacySettings(hash_key="key", data_key=DATA_KEY)})
    scenario = Scenario(stewarded(hashed), tmp_path, World(18, size.persons, size.events, size.commands))
    try:
        yield scenario
    finally:
        scenario.close()


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("size", SIZES)
def test_killed_processes_change_nothing(scenario: Scenario, size: Size, rng: random.Random) -> None:
    scenario.start(2 if size.kills else 1)
    send(scenario.settings, scenario.world.quiet)
    scenario.settle()
    with beside(lambda: scenario.post(size.seconds), "posts"), beside(lambda: scenario.decide(size.seconds), "stewards"):
        for number in range(size.kills):
            time.sleep(size.seconds / size.kills * rng.uniform(0.3, 1.3))
            # In turns: else a run of chance might spare one kind.
            scenario.replace(rng.choice((scenario.workers, scenario.customers)[number % 2]))
    scenario.settle()
    made = commands(scenario.settings)
    assert len(made) >= size.commands
    scenario.check(expected(scenario.world, made))
