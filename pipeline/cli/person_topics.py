"""What `earshot person erase --topics delete` says before, and does after."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.cli.on_record import on_record

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from pipeline.config.settings import Settings
    from schemas.erasures import Erasure


class Topics(StrEnum):
    """What to do with records of topics."""

    DELETE = "delete"


def said_before(settings: Settings) -> Iterator[str]:
    """What would go of topics, of everybody, and what stays. Raises as `plan`."""
    from pipeline.privacy.page import plain
    from pipeline.privacy.topic_records import plan

    cuts, stays = plan(settings.kafka)
    yield "of topics all goes that has been read, of everybody, not of this person alone: no replay brings it back"
    for cut in cuts:  # whoever may read names their group as they like
        held = f"; {cut.left:,} stay, not read yet by {', '.join(map(plain, cut.held))}" if cut.left else ""
        yield f"{cut.topic}: {cut.records:,} records{held}"
    for topic, why in stays.items():
        yield f"{topic} stays: {why}"


def delete_records(settings: Settings, client: Client, erasure: Erasure) -> Erasure:
    """Deletes what has been read by now, on record; returns the receipt, which says it. Raises EarshotError, UnreachableError:
    run it again then."""
    from pipeline.privacy.already import note_topics
    from pipeline.privacy.topic_records import delete, plan, told
    from pipeline.privacy.topic_times import held_until
    from schemas.times import utc_now

    with on_record(settings, "delete records of topics", f"{erasure.id:016x}") as act:
        these = plan(settings.kafka).cuts
        act.after = {cut.topic: cut.records for cut in these}
        delete(settings.kafka, these)
        return note_topics(client, erasure.id, told(held_until(settings.kafka), these, utc_now()))


def said_after(erasure: Erasure) -> Iterator[str]:
    """What the receipt says of topics."""
    from pipeline.privacy import page

    yield page.until(erasure.topics)
    yield "the broker's files keep deleted records until it begins a new segment (segment.ms, segment.bytes)"
