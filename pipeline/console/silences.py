"""The silences that have not ended."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.console.reads import Reads

MOST = 500
_SQL = """
SELECT leftPad(lower(hex(silence_id)), 16, '0') AS id, rule, brand, platform, starts_at, ends_at, actor, comment
FROM (SELECT * FROM alert_silences ORDER BY silence_id, version DESC LIMIT 1 BY silence_id)
WHERE ends_at > now64(3)
ORDER BY ends_at, id"""


@dataclass(frozen=True, slots=True)
class Silences:
    """Those that end first come first."""

    rows: list[dict[str, object]]
    sql: str
    cut: bool


async def silences(reads: Reads) -> Silences:
    """Raises ReadFailed."""
    answer = await reads.ask(_SQL.strip(), most=MOST)
    return Silences(answer.rows, answer.sql, answer.cut)
