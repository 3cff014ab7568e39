"""What erases a person besides the tables: where each part of an erasure is done."""

from __future__ import annotations

from functools import partial

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence, OpenFence
from pipeline.monitoring.health import Vitals
from pipeline.privacy.erase import GRAPH, LETTERS, Erasing, Part
from pipeline.privacy.graph import PATIENCE_S, await_graph
from pipeline.privacy.letters import hide_letters
from pipeline.privacy.noted import Notes
from pipeline.privacy.topic_times import held_until
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.changes import Changes
from schemas.contacts import DEFAULT


def parts_of(settings: Settings, client: Client, patience_s: float = PATIENCE_S) -> dict[str, Part]:
    """Each part by its name, as receipts have it; so long it waits for `earshot customers`."""
    keys = settings.privacy.hash_keys
    hashes = Pseudonymise(keys, settings.privacy.region, DEFAULT).hashes if keys else None
    return {LETTERS: lambda keys: hide_letters(client, keys, hashes), GRAPH: lambda keys: await_graph(client, keys, patience_s)}


def erasing_of(settings: Settings, client: Client, vitals: Vitals, fence: Fence | None = None) -> Erasing:
    """For a command, which has no fence, or for a process. Raises UnreachableError for a command where Kafka is away, or lacks
    the topics: nothing has begun then."""
    changes = Changes(settings.kafka, "erasing", fence)
    inserter = Inserter(client, fence or OpenFence(), vitals, "erasing")
    topics = partial(held_until, settings.kafka)
    notes = Notes(settings.privacy.erasures_file)
    patience_s = PATIENCE_S if fence is None else 0  # a process comes again, and has others to look after
    parts = parts_of(settings, client, patience_s)
    return Erasing(client, inserter, changes.changing, parts, topics, notes)
