"""An engine with our tables that has read deploy/clickhouse/ as a server's users.d: `python -m tests.support.roles_engine DIR`.

It has the disk for backups of docs/sre.md. It answers the statements on standard input, one a line as JSON, with a line each:
the rows, or the error's text. The engine answers as nobody but `default`; but a view made with DEFINER and SQL SECURITY DEFINER
reads with that user's rights.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from chdb import _chdb as _module

from pipeline.clickhouse.migrations import RECORDS, read_migrations
from pipeline.clickhouse.query_views import made_by
from schemas.queries import named_queries
from tests.support.isolation import ROOT

_chdb: Any = _module  # a compiled module without stubs
_CONFIG = "<clickhouse><timezone>UTC</timezone><users_config>users.xml</users_config>{}</clickhouse>"
_USER = """<{0}><password>x</password><profile>{1}</profile><quota>default</quota><networks><ip>::/0</ip></networks>
    <grants><query>GRANT {0}</query></grants></{0}>"""
_USERS = f"""<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
    <default><password/><profile>default</profile><quota>default</quota><networks><ip>::/0</ip></networks>
        <access_management>1</access_management></default>
    {_USER.format("writer", "default")}{_USER.format("admin", "default")}</users></clickhouse>"""


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "users.d").mkdir()
    for file in (ROOT / "deploy/clickhouse").glob("*.xml"):
        if file.name != "logs.xml":
            shutil.copy(file, folder / "users.d")
    os.chdir(folder)
    disk = re.findall(r"(?s)```xml\n<clickhouse>\n(.*?)</clickhouse>", (ROOT / "docs/sre.md").read_text())[0]
    Path("engine.xml").write_text(_CONFIG.format(disk.replace("/backups/", f"{folder}/backups/")))
    Path("users.xml").write_text(_USERS)
    _chdb.set_signal_handlers_enabled(0)
    connection = _chdb.connect("engine?config-file=engine.xml")
    tables = [text for migration in read_migrations() for text in migration.statements if not text.startswith("SELECT")]
    views = [made_by(query) for query in named_queries().values()]
    for text in ["CREATE DATABASE earshot", "USE earshot", RECORDS, *tables, *views]:
        connection.query(text.replace("{credentials}", "").replace("{database}", "earshot"), "Null", params={})
    for line in sys.stdin:
        try:
            answer = connection.query(json.loads(line), "TabSeparatedRaw", params={}).bytes().decode().strip()
        except RuntimeError as error:
            answer = str(error).replace("\n", " ")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
