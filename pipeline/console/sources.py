"""How the sources are, for page Operations: the same as `earshot source list` says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pipeline.config.settings import Settings
from pipeline.console.reads import Reads
from pipeline.listen import costs, status
from pipeline.listen.status import Standing
from schemas.times import utc_now


@dataclass(frozen=True, slots=True)
class Standings:
    """All sources of the file, in its order, and the query that says how they are."""

    standings: list[Standing]
    sql: str
    costs: dict[str, str] = field(default_factory=dict)
    """By source, of those whose platform bills what it delivers: what is spent and left, until when, and the pace."""
    costs_sql: str = ""


async def standings(settings: Settings, reads: Reads) -> Standings | None:
    """None: there is no file of sources. Raises ReadFailed, SettingsError for a file that is wrong."""
    if settings.sources is None:
        return None
    sources = await asyncio.to_thread(status.sources_of, settings)
    answer = await reads.ask(status.HEALTH, keep_s=1.0)
    known = {str(row["source"]): row for row in answer.rows}
    found = status.standings_of(sources, known, utc_now())
    if not any(source.cost for source in sources.sources):
        return Standings(found, answer.sql)
    spent = await reads.ask(costs.COSTS, keep_s=1.0)
    figures = costs.costs_of(sources.sources, {str(row["source"]): str(row["spent"]) for row in spent.rows})
    return Standings(found, answer.sql, {name: costs.line_of(each) for name, each in figures.items()}, spent.sql)
