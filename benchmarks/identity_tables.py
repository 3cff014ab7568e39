"""A database with many accounts, links between them, and their posts, made inside ClickHouse.

Account n is `forum:n` or `shop:n`, in turns. Of the first `linked` each two have an address together; the others are strangers.
Each has eight posts, over a year; one post in a thousand is of a busy account, which is a stranger, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from benchmarks.ground import Ground
from benchmarks.progress import bar
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.migrate import migrate
from schemas.identity import account_key

INSERT, EACH = 500_000, 8
"""Rows of an insert; posts of an account."""
BUSY_EVERY, TRIO_POSTS = 1_000, 300
YEAR = timedelta(days=365)
PLATFORMS = ("forum", "shop")
_PLATFORM = "if(number % 2 = 0, 'forum', 'shop')"
_POSTS = """
INSERT INTO interactions (event_key, revision, version, id, platform, kind, operation, created_at, occurred_at, text, text_at,
    author_id, author_handle, author_at, brands, source_name, topic, offset, ingested_at)
WITH if(number % {every} = 0, {accounts} + intDiv(number, {every}) % {busy}, number % {accounts}) AS account,
    fromUnixTimestamp64Milli({start} + toInt64(number) * {span} DIV {posts}, 'UTC') AS at,
    concat('post ', hex(sipHash128(number)), ' ', hex(sipHash128(number + 1)), ' says what somebody thinks of it') AS said
SELECT sipHash64(number), sipHash64(number, 1), bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at)), 22),
    toString(number), if(account % 2 = 0, 'forum', 'shop'), 'post', 'create', at, at, said, at,
    toString(account), concat('user', toString(account)), at, ['Lumen'], 'bench', 'bench', -1, at
FROM numbers({first}, {count})"""
_KEYS = (
    f"xxh3(concat({_PLATFORM}, ':', toString(number))) AS a, xxh3(concat('email:', hex(sipHash128(intDiv(number, 2))))) AS b"
)
_EDGES = """
INSERT INTO identity_edges
    (edge, kind, a, b, type, a_platform, b_platform, rule, rule_version, basis, at, event, held, claimed, written_at)
WITH {keys}, fromUnixTimestamp64Milli({start} + toInt64(number), 'UTC') AS at
SELECT xxh3(concat('value:email:', toString(a), ':', toString(b))), 'value', a, b, 'email', {platform}, '', 'email', 1, 'given',
    at, sipHash64(number), 0, '', at
FROM numbers({count})"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in the tables."""

    posts: int
    linked: int
    """Accounts that share an address with another one: an edge each."""

    @property
    def accounts(self) -> int:
        return self.posts // EACH

    @property
    def trios(self) -> int:
        """Of busy accounts: each three have TRIO_POSTS together."""
        return max(1, self.posts // BUSY_EVERY // TRIO_POSTS)

    def trio(self, number: int) -> tuple[int, int, int]:
        """The keys of three busy accounts."""
        first = self.accounts + 3 * number
        return key(first), key(first + 1), key(first + 2)

    def strangers(self, number: int) -> tuple[int, int]:
        """The keys of a pair that nothing links, of that number. One in BUSY_EVERY accounts, as `linked`, has no post."""
        first = self.linked + 2 * number + 1
        return key(first), key(first + 1)


def key(account: int) -> int:
    return account_key(PLATFORMS[account % 2], str(account))


@contextmanager
def database(stage: Ground, name: str) -> Iterator[Settings]:
    """Settings for topics and a database of that name, which is dropped at the end."""
    settings = stage.settings(name, 1, name)
    with clickhouse_client(settings.clickhouse.model_copy(update={"database": "default"})) as client:
        client.command(f"CREATE DATABASE {name}")
        migrate(settings)
        yield settings
        client.command(f"DROP DATABASE {name} SYNC")


def fill(client: Client, size: Size) -> None:
    """The posts, and the edges; nobody has computed the customers yet."""
    start = int((datetime.now(UTC) - YEAR).timestamp() * 1000)
    span = int(YEAR.total_seconds() * 1000)
    for first in bar.track(range(0, size.posts, INSERT), -(-size.posts // INSERT), "posts: inserts"):
        values = {"accounts": size.accounts, "start": start, "span": span, "posts": size.posts, "first": first}
        values |= {"every": BUSY_EVERY, "busy": 3 * size.trios}
        client.command(_POSTS.format(**values, count=min(INSERT, size.posts - first)))
    client.command(_EDGES.format(keys=_KEYS, platform=_PLATFORM, start=start, count=size.linked))
