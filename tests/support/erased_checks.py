"""What is looked for after half of many persons were erased, and what the register says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson
from clickhouse_connect.driver.client import Client

from pipeline.privacy.register import TOPICS
from pipeline.sinks.erasures import receipts
from schemas.identity import account_key
from tests.support import marks
from tests.support.erased_story import PATIENCE, Story
from tests.support.erased_world import UNREADABLE, Person
from tests.support.marks import Found, Stays, Values
from tests.support.worker import wait_for

PLATFORMS = ("twitter", "forum", "form")
ALERTS = Stays(frozenset({"terms"}))
STAYS = {
    "alerts": ALERTS,
    "alerts_now": ALERTS,
    "acts": Stays(frozenset({"subject", "comment", "before", "after"})),
    "source_cursors": Stays(frozenset({"record"})),
    "dead_letters": Stays(frozenset({"raw"}), "form = 0 AND unreadable = 1"),
}
"""Beside what others wrote."""
KEYS_STAY = {
    "suppressions": frozenset({"key"}),
    "alerts": frozenset({"samples"}),
    "alerts_now": frozenset({"samples"}),
    "identity_commands": frozenset({"a", "b"}),
    "assignment_changes": frozenset({"profile", "before", "after"}),
    "relations": frozenset({"target_key"}),
}


DECIDED = {"identity_commands", "assignment_changes"}
"""By keys."""


class Before(NamedTuple):
    """What there was."""

    persons: list[Person]
    erased: list[Person]
    kept: list[Person]
    keys: dict[int, int]
    """Of the erased: key -> whose."""
    values: Values
    """Of rows that are not of the erased: what these said of the others goes with them."""
    not_theirs: dict[str, str]
    """The rows of a table that are not of the erased."""


def theirs(client: Client, persons: list[Person], count: int) -> dict[int, int]:
    """Each key of their accounts, events and edges, and whose it is."""
    keys = {key: person.number for person in persons for key in person.accounts}
    for person in persons:
        edges = f"SELECT DISTINCT edge FROM identity_edges WHERE a IN {person.accounts}"
        keys |= dict.fromkeys(client.query(edges).result_columns[0], person.number)
        for number in (*range(count), 800_000, 900_000):
            keys |= {account_key(platform, f"{person.mark}-{number}"): person.number for platform in PLATFORMS}
    return keys


def not_of(erased: list[Person]) -> dict[str, str]:
    """The rows of each table in which persons name each other, without those of the erased."""
    listed = ", ".join(str(key) for person in erased for key in person.accounts)
    columns = {"interactions": "account_key", "relations": "account", "identity_edges": "a"}
    return {table: f"{column} NOT IN ({listed})" for table, column in columns.items()}


def others(persons: list[Person], erased: list[Person]) -> dict[str, Stays]:
    """STAYS, and what the others wrote about the erased."""
    kept = [key for person in persons if person not in erased for key in person.accounts]
    listed = ", ".join(map(str, (account_key("twitter", "acme"), *kept)))
    words = "SELECT platform, conversation_id FROM interactions WHERE account_key"
    of_others = f"(platform, conversation_id) IN ({words} IN ({listed}))"
    return STAYS | {
        "interactions": Stays(
            frozenset({"text", "mentions", "conversation_id", "in_reply_to", "target", "author_url"}),
            f"account_key IN ({listed})",
        ),
        "relations": Stays(frozenset({"target"}), f"account IN ({listed})"),
        "threads": Stays(frozenset({"conversation_id"}), of_others),
        "cases": Stays(
            frozenset({"conversation_id", "comment"}),
            f"(platform, conversation_id) IN ({words} IN ({', '.join(map(str, kept))}))",
        ),
    }


def of(found: Mapping[Found, object], persons: list[Person]) -> list[str]:
    """Those of these persons: each table and column once."""
    numbers = {person.number for person in persons}
    places = sorted({f"{each.table}.{each.column}" for each in found if each.number in numbers})
    return [
        f"{place} {sorted(numbers.intersection(each.number for each in found if f'{each.table}.{each.column}' == place))}"
        for place in places
    ]


def lost(before: Values, after: Values, persons: list[Person]) -> list[str]:
    """What these persons had before and have no more. A change that waited has landed."""
    numbers = {person.number for person in persons}
    kept = {each: values for each, values in before.items() if each.number in numbers and each.table != "pending_changes"}
    return [
        f"{each}: {len(left)} of {len(values)}" for each, values in kept.items() if (left := values - after.get(each, set()))
    ]


def none(what: str, look: Callable[[], list[str]]) -> None:
    """Waits until a look finds nothing; what it finds is printed at once. Control looks again each second."""
    seen: list[str] = []

    def nothing() -> bool:
        if (found := look()) and found != seen:
            print(f"{what} still finds", *found, sep="\n    ", flush=True)
        seen[:] = found
        return not found

    try:
        wait_for(what, nothing, PATIENCE, every=2.0)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None


def check_tables(client: Client, before: Before, hidden: bool = False) -> None:
    """No marker and no key of the erased, but where they stay; all markers of the others."""
    stays = others(before.persons, before.erased)

    def look() -> list[str]:
        texts, numbers = marks.marked(client, stays, hidden=hidden), marks.keyed(client, before.keys, KEYS_STAY, hidden)
        return [*of(texts, before.erased), *(f"keys: {each}" for each in of(numbers, before.erased))]

    none(f"a scan of tables{', with hidden rows,' if hidden else ''}", look)
    gone = lost(before.values, marks.marked(client, {}, before.not_theirs, final=True), before.kept)
    assert not gone, f"what others have no more: {gone}"


def check_files(story: Story, client: Client, data: Path, before: Before) -> None:
    """Those of the server, logs of all processes, the notes of erasures."""
    numbers = {person.number for person in before.erased}

    def look() -> list[str]:
        found, with_keys = marks.in_files(client, data, before.keys)
        texts = {f"markers in {name}": there & numbers for name, there in found.items() if name not in STAYS}
        keys = {
            f"keys in {name}": {before.keys[each] for each in there}
            for name, there in with_keys.items()
            if name not in KEYS_STAY
        }
        return [f"{what}: {sorted(whose)}" for what, whose in (texts | keys).items() if whose]

    none("a scan of files", look)
    assert not (named := marks.in_texts(story.folder.rglob("*"))), f"logs name nobody: {named}"


def check_topics(story: Story, ends: Mapping[str, Mapping[int, int]], before: Before, client: Client) -> None:
    """What holds a marker is said in each receipt; what was made after the erasures holds none."""
    numbers, said = {person.number for person in before.erased}, [set(each.topics) for each in receipts(client) if each.events]
    wrong = []
    for name, place in TOPICS.items():
        topic = story.settings.kafka.topic(name)
        found = marks.in_topic(story.settings.kafka, topic, numbers)
        if found and not (place.clear and (place.erase == "none" or all(topic in each for each in said))):
            wrong.append(f"{topic}: {found[0]}, and no receipt says it")
        since = [each for each in found if each.offset >= ends[name].get(each.partition, 0)]
        if name not in ("events", "cursors"):
            wrong += [f"{topic}, made since: {each}" for each in since if not _stays(name, each.content, numbers, before.keys)]
    assert not wrong, "\n".join(wrong[:5])


def _stays(topic: str, content: bytes, erased: set[int], keys: Mapping[int, int]) -> bool:
    """A record that does not say whose it is; what a page of somebody else claims."""
    if topic != "identity":
        return topic == "dead-letter" and b"-%d" % UNREADABLE in content
    edges = orjson.loads(content)["edges"]
    claimed = [number for text in edges["claimed"] for number in marks.named_in(text.encode())]
    everywhere = [number for number in marks.named_in(content) if number in erased]
    return len(everywhere) == len([each for each in claimed if each in erased]) and not [a for a in edges["a"] if a in keys]


def check_commands(story: Story, before: Before) -> None:
    """Of the erased nothing is known but the receipt, and by keys what was decided; the others are exported whole."""
    for person in before.erased[:3]:
        code, said = story.run("person", "show", "--customer", person.name)
        shown = set(re.findall(r"(?m)^│ (\w+) +│ +\d", said))
        assert code == 0 and "erased already, and nothing has come since: receipt " in said and shown <= DECIDED, said
    person = before.kept[0]
    code, said = story.run("person", "export", "export", "--customer", person.name)
    assert code == 0, said
    texts = marks.in_texts((story.folder / "export").iterdir())
    assert person.number in texts["interactions.json"] and person.number in texts["person.txt"]
