"""Half of many persons are erased while workers, control and customers are killed, and all of the topic is read again: no
marker and no key of theirs is left in tables, in their files, in logs, but where the register says that it stays; nobody else
loses anything."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
BRANDS = "brands: [{name: Acme, keywords: [acme]}]"
FIELDS = ("id", "name", "email", "phone", "accounts")
IMPORT = ("crm", "import", *(f"--map={name}={name}" for name in FIELDS), "--basis", "given")
AT_ONCE = 4
"""Commands."""
ANSWERS = {0, 200, 404, 503}
"""To who takes a conversation: control is away, it is taken, there is none, control does not lead yet."""


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


LONG = Size(50, 134_400, 2, 3, 90)
"""A quarter of the events change others: 100,000 interactions."""
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
    send(story.settings, [*events(persons, 0, count), *(each for person in persons for each in person.waiting(before=True))])
    send_raw(story.settings, [each for person in persons for each in (*person.letters(), *person.unreadable())])
    plant(client, story.settings, persons)
    story.say("sent")
    crm_file(crm, persons)
    code, said = story.run(*IMPORT, str(crm))
    assert code == 0, said
    for person in persons:
        link = {"action": "link", "a": f"{person.bird:016x}", "b": f"{person.record:016x}", "confirm": True}
        story.decide(link | {"why": f"{person.mark} why"})
    story.say("imported and linked")
    story.settle()
    story.say("all has landed")
    for person in persons:
        for conversation in (f"{person.mark}-talk-0", f"{person.mark}-shared-0"):
            assert story.take(person, conversation) == 200


def erase(story: Story, client: Client, erased: list[Person], size: Size) -> None:
    """Some at a time. Colleagues take their conversations meanwhile, and processes are killed."""
    cut_off, statuses = set(story.rng.sample(erased, size.cut_off)), Counter[int]()

    def one(person: Person) -> None:
        ended, first = threading.Event(), f"{person.mark}-talk-1"
        wait_for("the first is taken", lambda: story.take(person, first) == 200, PATIENCE, every=0.2)
        with beside(lambda: statuses.update(story.taken(person, ended)), "takes"):
            try:
                story.erase(person, killed=person in cut_off)
            finally:
                ended.set()
        story.say(f"the erase of {person.number} {'was killed' if person in cut_off else 'has ended'}")

    with story.killing(size.kills, size.seconds), ThreadPoolExecutor(AT_ONCE) as commands:
        for each in [commands.submit(one, person) for person in erased]:
            each.result()
    for person in cut_off:
        story.erase(person)
    assert set(statuses) <= ANSWERS, statuses
    wait_for("all is hidden", lambda: all(each.hidden_at for each in receipts(client)), PATIENCE, every=1.0)
    story.say(f"hidden; answers to who took a conversation meanwhile (0: control was away): {dict(statuses)}")


def there_is(story: Story, client: Client, data: Path, size: Size, crm: Path) -> Before:
    """Starts the processes and plants the persons, in every table where the register finds one, and in its files."""
    persons = [Person(number) for number in range(size.persons)]
    erased = sorted(story.rng.sample(persons, size.persons // 2), key=lambda person: person.number)
    for kind in START:
        story.start(kind)
    for process in story.running.values():
        process.wait_ready()
    story.say("started")
    fill(story, client, persons, size.first, crm)
    story.say("conversations taken")
    others = not_of(erased)
    values, keys = marks.marked(client, {}, others, final=True), theirs(client, erased, size.each)
    there = {found.table for found in (*values, *marks.keyed(client, keys, {}))}
    planted = {place.name for place in TABLES.values() if place.findable}
    assert planted <= there, planted - there
    on_disk, numbers = marks.in_files(client, data, keys)
    assert on_disk["interactions"] >= {person.number for person in persons}, "markers are found in files"
    assert set(map(keys.get, numbers["interactions"])) >= {person.number for person in erased}, "keys, too"
    return Before(persons, erased, [person for person in persons if person not in erased], keys, values, others)


def again(story: Story, persons: list[Person], crm: Path) -> None:
    """All that was sent comes once more, and what waited for it."""
    send(story.settings, [each for person in persons for each in person.waiting(before=False)])
    send_raw(story.settings, [each for person in persons for each in person.letters()])
    story.read_again()
    story.run(*IMPORT, str(crm))
    story.say("sent again")
    story.settle()


def rows(client: Client) -> int:
    """Of the newest versions."""
    return int(str(client.command("SELECT count() FROM interactions FINAL")))


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_left_of_half(story: Story, client: Client, stack: Stack, size: Size, tmp_path: Path) -> None:
    kafka, crm = story.settings.kafka, tmp_path / "crm.csv"
    before = there_is(story, client, stack.data_dir, size, crm)
    story.say(f"planted, {rows(client)} interactions")
    with beside(lambda: send(story.settings, events(before.persons, size.first, size.each)), "feed"):
        erase(story, client, before.erased, size)
    ends = {name: topics.end_offsets(kafka, kafka.topic(name)) for name in TOPICS}
    again(story, before.persons, crm)
    story.say(f"read again, {rows(client)} interactions")
    check_tables(client, before)
    story.say("tables looked through")
    story.purge(client)
    story.say("purged")
    check_tables(client, before, hidden=True)
    story.say("tables looked through, with hidden rows")
    check_files(story, client, stack.data_dir, before)
    story.say("files looked through")
    check_topics(story, {name: {part: end for part, (_, end) in each.items()} for name, each in ends.items()}, before, client)
    check_commands(story, before)
    story.say("topics looked through, and asked")
