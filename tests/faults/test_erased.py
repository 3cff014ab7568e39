"""Half of many persons are erased while workers, control and customers are killed, and all of the topic is read again: no
marker and no key of theirs is left in tables, in their files, in logs, but where the register says that it stays; nobody else
loses anything."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from pipeline.privacy.register import TABLES, TOPICS
from pipeline.sinks.erasures import receipts
from tests.support import marks, topics
from tests.support.beside import beside
from tests.support.control import controlled, send
from tests.support.customers_process import stewarded
from tests.support.erased_checks import Before, check_commands, check_files, check_tables, check_topics, not_of, theirs
from tests.support.erased_story import PATIENCE, START, Story, crm_file, plant, send_raw
from tests.support.erased_world import SHAPES, Person, events
from tests.support.worker import wait_for

RULES = "rules: [{name: far, type: reach, followers: 1000000, negative: false}]"
IMPORT = (
    "crm",
    "import",
    *(f"--map={name}={name}" for name in ("id", "name", "email", "phone", "accounts")),
    "--basis",
    "given",
)
BRANDS = "brands: [{name: Acme, keywords: [acme]}]"
FIELDS = ("id", "name", "email", "phone", "accounts")
IMPORT = ("crm", "import", *(f"--map={name}={name}" for name in FIELDS), "--basis", "given")


class Size(NamedTuple):
    persons: int
    events: int
    kills: int
    """Of each kind of process."""
    cut_off: int
    """Commands that are killed, too."""
    seconds: float

    @property
    def each(self) -> int:
        """Events of a person."""
        return self.events // self.persons

    @property
    def first(self) -> int:
        """Those that are there before the first is erased."""
        return self.each * 7 // 10 // SHAPES * SHAPES


LONG = Size(50, 100_000, 2, 3, 90)
SIZES = [
    pytest.param(Size(6, 2_000, 1, 1, 15), marks=pytest.mark.faults, id="short"),
    pytest.param(LONG, marks=pytest.mark.faults, id="long"),
    pytest.param(LONG, marks=pytest.mark.faults, id="another"),
]


@pytest.fixture
def story(kafka: Stack, settings: Settings, rng: random.Random, tmp_path: Path) -> Iterator[Story]:
    (tmp_path / "alerts.yaml").write_text(RULES)
    (tmp_path / "brands.yaml").write_text(BRANDS)
    migrate(settings)
    privacy = settings.privacy.model_copy(update={"erasures_file": tmp_path / "logs" / "erasures"})
    own = controlled(stewarded(settings), tmp_path / "alerts.yaml")
    own = own.model_copy(update={"brands": tmp_path / "brands.yaml", "privacy": privacy})
    (tmp_path / "logs").mkdir()
    story = Story(own, tmp_path / "logs", rng)
    try:
        yield story
    finally:
        story.close()


@pytest.fixture
def client(story: Story) -> Iterator[Client]:
    with clickhouse_client(story.settings.clickhouse) as client:
        marks.plain_files(client)
        yield client


def fill(story: Story, client: Client, persons: list[Person], count: int, crm: Path) -> None:
    """Everything that is there before the first is erased."""
    send(story.settings, events(persons, 0, count))
    for person in persons:
        send(story.settings, person.waiting(before=True))
        send_raw(story.settings, (*person.letters(), *person.unreadable()))
        plant(client, story.settings, person, person.letters(), person.unreadable())
    crm_file(crm, persons)
    code, said = story.run(*IMPORT, str(crm))
    assert code == 0, said
    for person in persons:
        link = {"action": "link", "a": f"{person.bird:016x}", "b": f"{person.record:016x}", "confirm": True}
        story.decide(link | {"why": f"{person.mark} why"})
    story.settle()
    for person in persons:
        for conversation in (f"{person.mark}-talk-0", f"{person.mark}-shared-0"):
            assert story.take(person, conversation) == 200


def erase(story: Story, client: Client, erased: list[Person], size: Size) -> None:
    """Colleagues take their conversations meanwhile, and processes are killed."""
    cut_off = story.rng.sample(range(len(erased)), size.cut_off)
    with story.killing(size.kills, size.seconds):
        for place, person in enumerate(erased):
            with beside(lambda who=person: story.take(who, f"{who.mark}-talk-1"), "takes"):  # type: ignore[misc]
                story.erase(person, killed=place in cut_off)
    for place in cut_off:  # one that was killed before it began
        story.erase(erased[place], killed=False)
    wait_for("all is hidden", lambda: all(each.hidden_at for each in receipts(client)), PATIENCE, every=1.0)


def there_is(story: Story, client: Client, data: Path, size: Size, crm: Path) -> Before:
    """Starts the processes and plants the persons, in every table where the register finds one, and in its files."""
    persons = [Person(number) for number in range(size.persons)]
    erased = sorted(story.rng.sample(persons, size.persons // 2), key=lambda person: person.number)
    for kind in START:
        story.start(kind)
    for process in story.running.values():
        process.wait_ready()
    fill(story, client, persons, size.first, crm)
    rows = not_of(erased)
    values, keys = marks.marked(client, {}, rows, final=True), theirs(client, erased, size.each)
    there = {found.table for found in (*values, *marks.keyed(client, keys, {}))}
    planted = {place.name for place in TABLES.values() if place.findable}
    assert planted <= there, planted - there
    on_disk, numbers = marks.in_files(client, data, keys)
    assert on_disk["interactions"] >= {person.number for person in persons}, "markers are found in files"
    assert set(map(keys.get, numbers["interactions"])) >= {person.number for person in erased}, "keys, too"
    return Before(persons, erased, [person for person in persons if person not in erased], keys, values, rows)


def again(story: Story, persons: list[Person], crm: Path) -> None:
    """All that was sent comes once more, and what waited for it."""
    for person in persons:
        send(story.settings, person.waiting(before=False))
        send_raw(story.settings, person.letters())
    story.read_again()
    story.run(*IMPORT, str(crm))
    story.settle()


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_left_of_half(story: Story, client: Client, stack: Stack, size: Size, tmp_path: Path) -> None:
    began, kafka, crm = time.monotonic(), story.settings.kafka, tmp_path / "crm.csv"

    def say(what: str) -> None:
        rows = client.command("SELECT count() FROM interactions FINAL")
        print(f"{time.monotonic() - began:.0f} s: {what}, {rows} interactions, {story.kills} kills")

    before = there_is(story, client, stack.data_dir, size, crm)
    say("planted")
    with beside(lambda: send(story.settings, events(before.persons, size.first, size.each)), "feed"):
        erase(story, client, before.erased, size)
    say("erased")
    ends = {name: topics.end_offsets(kafka, kafka.topic(name)) for name in TOPICS}
    again(story, before.persons, crm)
    say("read again")
    check_tables(client, before)
    story.purge(client)
    say("purged")
    check_tables(client, before, hidden=True)
    check_files(story, client, stack.data_dir, before)
    check_topics(story, {name: {part: end for part, (_, end) in each.items()} for name, each in ends.items()}, before, client)
    check_commands(story, before)
