"""When all of a topic has landed, as the benchmark sees it."""

from __future__ import annotations

from benchmarks.ground import wait_for_rows
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from schemas import events


def test_labels_and_merges_change_nothing_in_what_has_landed(emptied: Settings) -> None:
    """A label is another version of its row, and a merge leaves the newest alone."""
    version = 1_790_000_000_000 << events.TIME_SHIFT
    with clickhouse_client(emptied.clickhouse) as client:

        def insert(*rows: tuple[int, int]) -> None:
            client.insert("interactions", rows, ["event_key", "version"])

        insert((1, version), (2, version))
        insert((1, version + events.LABEL_STEP))
        looks = wait_for_rows(client, 3)
        assert (next(looks), next(looks)) == (3, 3), "three rows are two events"
        insert((3, version))
        insert((2, version + events.LABEL_STEP), (3, version + events.LABEL_STEP))
        client.command("OPTIMIZE TABLE interactions FINAL")
        assert list(looks)[-1] == 3
