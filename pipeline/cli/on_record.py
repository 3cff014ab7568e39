"""Commands that change something without an API go on record: table `acts`, as the user who runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.settings import Settings
    from schemas.acts import Act


@contextmanager
def on_record(settings: Settings, act: str, subject: str = "", dry_run: bool = False) -> Iterator[Act]:
    """Records what the block does, or why it fails; the block says in `after` what came of it. A dry run is no act.

    Raises UnreachableError before it begins where ClickHouse does not answer, and if what was done is not on record.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.embedded.token import actor
    from pipeline.sinks.acts import acting
    from schemas.acts import Act

    done = Act(actor(), "command line", act, subject)
    if dry_run:
        yield done
        return
    with clickhouse_client(settings.clickhouse) as client, acting(client, done):
        yield done
