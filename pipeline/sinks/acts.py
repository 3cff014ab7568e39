"""Table `acts`: every act of a person, in the console, by an API or by a command.

An act is on record before anybody is told that it is done. One whose record failed may have been done: whoever did it is told
so, and looks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.errors import EarshotError, UnreachableError, reason
from pipeline.fence import INSERT_MAX_S
from schemas.acts import COLUMNS, STOPPED, Act
from schemas.times import utc_now

_AGAIN_S = (0.2, 1.0)
"""After a failed try."""
log = logging.getLogger("earshot.acts")


def record(client: Client, act: Act) -> None:
    """Writes the act: read with FINAL it is there once, however often it is tried. Blocks for some seconds at most.

    Raises UnreachableError if it is not known to be on record.
    """
    for number, pause in enumerate((*_AGAIN_S, None)):
        # Each try has a token of its own: a server that is killed may know one and not have its row.
        token = f"acts-{act.id:016x}" + f"+{number}" * bool(number)
        settings = {"insert_deduplication_token": token, "max_execution_time": f"{INSERT_MAX_S:g}"}
        try:
            client.insert("acts", [act.row()], column_names=COLUMNS, settings=settings)
            return
        except (ClickHouseError, OSError) as error:
            if pause is None:
                raise UnreachableError(f"{act.act} {act.subject}: {act.outcome}, and not on record: {reason(error)}") from None
        time.sleep(pause)


@contextmanager
def acting(client: Client, act: Act) -> Iterator[Act]:
    """Records what the block does: at its end, or when it fails, with the reason. What it did stands in `act`.

    Raises what the block raises, and UnreachableError if what is done is not on record.
    """
    try:
        yield act
    except BaseException as error:
        act.outcome, act.at = failed(error), utc_now()
        try:
            record(client, act)
        except UnreachableError as unrecorded:  # the reader is told of the first error
            log.warning("%s", unrecorded)
        raise
    act.at = utc_now()
    record(client, act)


def failed(error: BaseException) -> str:
    """The outcome of an act that raised this."""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    return str(error) if isinstance(error, EarshotError) else f"it failed: {type(error).__name__}"
