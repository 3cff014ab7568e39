"""The changes and deliveries of one alert, `{key:UInt64}`: all, or the newest ones. Pure."""

from __future__ import annotations

from pipeline.notify.delivery_log import Delivery
from schemas.alerts import COLUMNS

_LOOKS = "state, severity, muted, actor, comment, escalated_at"


def changes_sql(most: int) -> str:
    """COLUMNS of its changes, oldest first. `most`: only the newest so many, and of earlier ones the first of each state,
    severity and so on; 0: all. An alert that is open for a week has ten thousand."""
    where = "alert_key = {key:UInt64}"
    if most:
        newest = f"SELECT term, version FROM alerts WHERE {where} ORDER BY term DESC, version DESC LIMIT {most:d}"
        first = f"SELECT term, version FROM alerts WHERE {where} ORDER BY term, version LIMIT 1 BY {_LOOKS} LIMIT {most:d}"
        where += f" AND (term, version) IN (SELECT * FROM ({newest}) UNION ALL SELECT * FROM ({first}))"
    return f"SELECT {', '.join(COLUMNS)} FROM alerts WHERE {where} ORDER BY term, version"


def deliveries_sql(most: int) -> str:
    """Each try to tell a receiver, newest first; `most`: so many, 0: all."""
    order = "ORDER BY tried_at DESC, receiver DESC, attempt DESC" + (f" LIMIT {most:d}" if most else "")
    return f"SELECT {', '.join(Delivery._fields)} FROM alert_deliveries WHERE alert_key = {{key:UInt64}} {order}"
