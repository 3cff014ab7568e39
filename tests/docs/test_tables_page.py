"""docs/tables.md has each table and column that user analyst reads, with what its comment says."""

from __future__ import annotations

import re
from contextlib import closing

from deploy.tables_reference import PAGE, TABLES, tables_page
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings


def test_the_page_is_current_and_lacks_no_table_and_no_comment(settings: Settings) -> None:
    with closing(clickhouse_client(settings.clickhouse)) as client:
        made = tables_page(client)
        (there,) = client.query(
            "SELECT count() FROM system.columns WHERE database = currentDatabase() AND table IN {tables:Array(String)} "
            "AND table != 'interactions_now'",
            {"tables": TABLES},
        ).result_rows
    parts = re.findall(r"(?m)^## (\w+)\n\n(.*)$", made)
    rows = re.findall(r"(?m)^\| `(\w+)` \| .+? \|(.*)\|$", made)
    assert [name for name, _ in parts] == TABLES
    assert [name for name, says in parts if not re.match(r"[A-Z]", says)] == []
    assert [name for name, says in rows if not says.strip()] == []
    assert len(rows) >= there[0], "interactions_now has two more"
    assert PAGE.read_text() == made, "run python -m deploy.tables_reference where migrate has run"
