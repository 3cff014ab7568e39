"""Earshot's tables for a ClickHouse cluster, as statements to read and run: `earshot migrate --cluster NAME --print`.

They are the migrations' own. A table whose key has the event's key lies in shards by it: NAME_local on each, replicated, and
NAME (Distributed) in front of them; so all versions of a row meet in one shard. Any other table is whole on every node, so that
dictionaries and joins read it there. Nothing is run or asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.clickhouse.migrations import RECORDS, Migration
from pipeline.clickhouse.row_versions import quoted

TOKENS_S = 7 * 24 * 3600
"""How long a shard remembers the tokens of inserts: a worker repeats one until its result is known."""
_NAMED = re.compile(
    r"(?P<what>CREATE (?:OR REPLACE )?(?:TABLE|DICTIONARY|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?|ALTER TABLE )"
    r"(?P<name>\w+)"
)
_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+).*^ORDER BY ([^\n;]+)", re.DOTALL | re.MULTILINE)
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\(([^)]*)\))?")
_WINDOW = re.compile(r"non_replicated_deduplication_window = (\d+)")
_COLUMNS = re.compile(r"\b(?:ADD|DROP|MODIFY|RENAME|COMMENT) COLUMN\b")
_HEAD = """\
-- Earshot's tables on cluster {cluster}, database {database}. Made from its migrations and parsed, never run on a cluster:
-- docs/sre.md, "A cluster of ClickHouse", says what else it needs. Each node needs the macros shard and replica.
CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER {cluster};

USE {database};
"""


class Cluster:
    """Writes statements for a cluster of this name; `user` is whom dictionaries read their rows as."""

    def __init__(self, name: str, database: str, user: str) -> None:
        self._on = f"ON CLUSTER {_identifier(name)}"
        self._cluster, self._database, self._user = name, database, user
        self._sharded: frozenset[str] = frozenset()

    def script(self, migrations: Sequence[Migration], views: Sequence[str]) -> Iterator[str]:
        """All statements in order, each with its `;`: those of one migration stand below its name, `views` come last."""
        texts = [text for migration in migrations for text in migration.statements]
        self._sharded = frozenset(table for table, key in map(_key, texts) if "event_key" in key)
        yield _HEAD.format(cluster=_identifier(self._cluster), database=_identifier(self._database))
        yield f"{self._statement(RECORDS.strip())};\n"
        for migration in migrations:
            yield f"-- {migration.name}"
            for text in migration.statements:
                yield from (f"{statement};\n" for statement in self.statements(text))
            record = f"{migration.number}, {quoted(migration.name)}, {migration.checksum}, now64(3), now64(3)"
            yield f"INSERT INTO schema_migrations VALUES ({record});\n"
        yield "-- Views of the named queries"
        for text in views:
            yield from (f"{statement};\n" for statement in self.statements(text))

    def statements(self, text: str) -> Iterator[str]:
        """What one statement of a migration becomes."""
        named = _NAMED.match(text)
        if named is None:
            table = next(iter(re.findall(r"^INSERT INTO (\w+)", text)), "")
            once = "-- On one replica of each shard:\n" if table in self._sharded else ""
            yield once + (self._local(text) if once else text)
            return
        yield self._statement(text)
        table = named["name"]
        if table in self._sharded and ("TABLE" in named["what"] and (_key(text)[0] or _COLUMNS.search(text))):
            place = f"{quoted(self._cluster)}, {quoted(self._database)}, '{table}_local', event_key"
            yield f"CREATE OR REPLACE TABLE {table} {self._on} AS {table}_local ENGINE = Distributed({place})"

    def _statement(self, text: str) -> str:
        """A CREATE or ALTER, on all nodes."""
        named = _NAMED.match(text)
        assert named is not None
        if "TABLE" in named["what"] or "MATERIALIZED" in named["what"]:
            text = self._local(text)
        text = _NAMED.sub(lambda found: f"{found[0]} {self._on}", text, count=1)
        if _key(text)[0]:
            text = self._replicated(text, named["name"] in self._sharded)
        text = text.replace("{credentials}", f"USER {quoted(self._user)} PASSWORD '<its password>' ")
        inside = quoted(_identifier(self._database))[1:-1]  # it stands in a quoted statement
        return text.replace("{database}.", f"{inside}.") if "DICTIONARY" in named["what"] else text

    def _replicated(self, text: str, sharded: bool) -> str:
        """The CREATE TABLE with a replicated engine. Without a window no insert is dropped for being like an earlier one."""
        place = "/clickhouse/tables/{shard}/{database}/{table}" if sharded else "/clickhouse/tables/all/{database}/{table}"
        replica = "{replica}" if sharded else "{shard}-{replica}"

        def engine(found: re.Match[str]) -> str:
            given = f", {found[2]}" if found[2] else ""
            return f"ENGINE = Replicated{found[1]}('{place}', '{replica}'{given})"

        window = _WINDOW.search(text)
        remembers = f"replicated_deduplication_window = {window[1] if window else 0}"
        if window:
            remembers += f", replicated_deduplication_window_seconds = {TOKENS_S}"
        text = _ENGINE.sub(engine, text, count=1)
        if window:
            return _WINDOW.sub(remembers, text)
        settled = re.sub(r"(?m)^SETTINGS .*$", lambda found: f"{found[0]}, {remembers}", text)  # a comment may follow
        return settled if settled != text else f"{text}\nSETTINGS {remembers}"

    def _local(self, text: str) -> str:
        """The statement on the shard's own tables."""
        names = "|".join(sorted(self._sharded))
        return re.sub(rf"\b({names})\b", r"\1_local", text) if names else text


def _key(text: str) -> tuple[str, str]:
    """The table that this CREATE TABLE makes, and its sorting key; blank: it is another statement."""
    found = _TABLE.match(text)
    return (found[1], found[2]) if found else ("", "")


def _identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"
