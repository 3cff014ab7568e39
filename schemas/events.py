"""The canonical social event: the one source of truth for its fields, types and columns.

Everything that names a field derives from `FIELDS`: the Arrow schema that decoding uses, the strict msgspec type that
explains a bad record, the columns of the frame and of table `interactions`. A test holds schemas/social_event.v1.json, the
DDL and the examples to it.

A field is a path (`author.id`); its column is the path joined by `_` (`author_id`). Names follow ActivityStreams 2.0 and
CloudEvents where one fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
import pyarrow as pa

Kind = Literal["string", "strings", "int", "float", "bool"]
Group = Literal["fixed", "text", "metrics", "author"]

KINDS = (
    "post", "comment", "reply", "repost", "review", "message", "call", "email", "order", "reaction", "like", "follow",
    "vote", "idea", "question", "answer", "visit", "profile", "measure",
)  # fmt: skip
OPERATIONS = ("create", "update", "delete")
DIRECTIONS = ("inbound", "outbound")
VISIBILITIES = ("public", "private")
AUTHOR_KINDS = ("person", "organisation", "bot", "staff")
PLATFORM_PATTERN = r"^[a-z][a-z0-9_.-]{0,63}$"
NAME_BYTES, ID_BYTES = 500, 1_000
"""Names and ids become keys: of rows, alerts, records of other topics, and indices in memory. So their length in bytes of UTF-8
is limited; an event with a longer one is a dead letter. (An e-mail's id may have 998.)"""
ACCOUNT_PATTERN = PLATFORM_PATTERN.removesuffix("$") + r":@?[^\s@/]\S*$"
"""An entry of `author.accounts`, at most ID_BYTES long: `platform:id` or `platform:@handle`. The id may hold further colons."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the event.

    Fields of a `group` change together: a partial update that carries any field of a group replaces the whole group
    (processors/completion.py). `fixed` fields come from the create and never change.
    """

    path: str
    kind: Kind
    group: Group
    values: tuple[str, ...] = ()
    limit: int = 0
    """The most bytes of the text, or of each text of the list; 0: limited only by the size of a record."""

    @property
    def column(self) -> str:
        """The field's column in frames and tables."""
        return self.path.replace(".", "_")


FIELDS: tuple[Field, ...] = (
    Field("id", "string", "fixed", limit=ID_BYTES),
    Field("platform", "string", "fixed"),
    Field("kind", "string", "fixed", KINDS),
    Field("operation", "string", "fixed", OPERATIONS),
    Field("direction", "string", "fixed", DIRECTIONS),
    Field("created_at", "string", "fixed"),
    Field("occurred_at", "string", "fixed"),
    Field("text", "string", "text"),
    Field("language", "string", "text", limit=NAME_BYTES),
    Field("visibility", "string", "text", VISIBILITIES),
    Field("author.id", "string", "author", limit=ID_BYTES),
    Field("author.handle", "string", "author", limit=NAME_BYTES),
    Field("author.name", "string", "author"),
    Field("author.kind", "string", "author", AUTHOR_KINDS),
    Field("author.followers", "int", "author"),
    Field("author.following", "int", "author"),
    Field("author.verified", "bool", "author"),
    Field("author.email", "string", "author"),
    Field("author.phone", "string", "author"),
    Field("author.url", "string", "author"),
    Field("author.bio", "string", "author"),
    Field("mentions", "strings", "text"),
    Field("hashtags", "strings", "text"),
    Field("urls", "strings", "text"),
    Field("in_reply_to", "string", "fixed", limit=ID_BYTES),
    Field("conversation_id", "string", "fixed", limit=ID_BYTES),
    # A thread's state changes without its text, as counts do.
    Field("thread.status", "string", "metrics", limit=NAME_BYTES),
    Field("thread.team", "string", "metrics", limit=NAME_BYTES),
    Field("thread.assignee", "string", "metrics", limit=NAME_BYTES),
    Field("target", "string", "fixed", limit=ID_BYTES),
    Field("reaction", "string", "fixed", limit=NAME_BYTES),
    Field("campaign", "string", "fixed", limit=NAME_BYTES),
    Field("metrics.likes", "int", "metrics"),
    Field("metrics.shares", "int", "metrics"),
    Field("metrics.replies", "int", "metrics"),
    Field("metrics.views", "int", "metrics"),
    Field("rating", "float", "text"),
    Field("brands", "strings", "text", limit=NAME_BYTES),
    Field("location", "string", "text"),
    Field("order.id", "string", "fixed", limit=ID_BYTES),
    Field("order.amount", "float", "fixed"),
    Field("order.currency", "string", "fixed", limit=NAME_BYTES),
    Field("measure.name", "string", "fixed", limit=NAME_BYTES),
    Field("measure.value", "float", "fixed"),
    Field("source.name", "string", "fixed", limit=NAME_BYTES),
    Field("source.version", "string", "fixed", limit=NAME_BYTES),
    # The platform's own payload, as JSON text, where a source keeps it.
    Field("original", "string", "fixed"),
    # Other accounts of the same person that the source knows (ACCOUNT_PATTERN); a broken entry is left out, and noted.
    Field("author.accounts", "strings", "author"),
)

GIVEN = Field("brands_given", "strings", "text")
"""The source's own `brands`, set by step mentions: not a field of a record, but it changes with the text."""
LINKED = Field("brands_linked", "strings", "text")
"""The brands that nothing but a link to their own domain mentions, set likewise."""

BY_COLUMN = {field.column: field for field in (*FIELDS, GIVEN, LINKED)}
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(f.column for f in BY_COLUMN.values() if f.group == group) for group in ("text", "metrics", "author")
}
"""The three groups that change, each with its own time in column `<group>_at`."""

TIMES = ("created_at", "occurred_at")
EARLIEST = "1995-01-01T00:00:00Z"
"""`created_at` and `occurred_at` lie between this and now + 1 day; anything else is a dead letter."""

# --- the version of a row -------------------------------------------------------------------------------------------
# One unsigned 64-bit integer, newest wins: occurred_at in ms (42 bits, until the year 2109), the rank of the operation
# (2 bits), the record's offset (low 10 bits), a minor counter (10 bits): its upper 5 bits count changes that were completed
# from an older row, its lower 5 bits later results for the same change: +1 for a label, +2 for other brands (a rematch), +8
# where several rows of an event became one. So a completed change is always above such a result, and never has the same
# version. If a label and brands are made from one version at the same time, the brands win: a row without its label is labelled
# later. An overflow carries into the next bits: later is still newer. A tombstone is above all records, whatever their times:
# beyond the dedup window a create of a deleted event lands without a look-up.
TIME_SHIFT = 22
RANK_SHIFT = 20
OFFSET_SHIFT = 10
OFFSET_MASK = (1 << 10) - 1
CHANGE_STEP = 1 << 5
LABEL_STEP, BRANDS_STEP, RECONCILE_STEP = 1, 2, 8
RANKS = {"create": 1, "update": 2, "delete": 3}
TOMBSTONE = ((1 << 64 - TIME_SHIFT) - 1 << TIME_SHIFT) + (RANKS["delete"] << RANK_SHIFT)

# --- derived types --------------------------------------------------------------------------------------------------
_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}
_POLARS: dict[str, pl.DataType] = {
    "string": pl.String(),
    "strings": pl.List(pl.String()),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
}
_PYTHON: dict[str, Any] = {
    "string": str,
    "strings": list[str | None],
    "int": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "float": float,
    "bool": bool,
}


def polars_schema() -> dict[str, pl.DataType]:
    """Column -> type of the decoded frame, before times are parsed: one column a field, in the order of `FIELDS`."""
    return {field.column: _POLARS[field.kind] for field in FIELDS}


def _tree() -> dict[str, Field | dict[str, Field]]:
    tree: dict[str, Field | dict[str, Field]] = {}
    for field in FIELDS:
        head, _, tail = field.path.partition(".")
        if tail:
            branch = tree.setdefault(head, {})
            assert isinstance(branch, dict)
            branch[tail] = field
        else:
            tree[head] = field
    return tree


def arrow_schema() -> pa.Schema:
    """The nested Arrow schema of one JSON record."""

    def arrow(node: Field | dict[str, Field]) -> pa.DataType:
        if isinstance(node, Field):
            return _ARROW[node.kind]
        return pa.struct([(name, arrow(child)) for name, child in node.items()])

    return pa.schema([(name, arrow(node)) for name, node in _tree().items()])


def record_type() -> type[msgspec.Struct]:
    """A strict msgspec type of one JSON record: every field optional, null allowed, unknown fields ignored."""

    def struct(name: str, node: Iterable[tuple[str, Field | dict[str, Field]]]) -> type[msgspec.Struct]:
        fields: list[tuple[str, Any, None]] = []
        for child_name, child in node:
            inner = _PYTHON[child.kind] if isinstance(child, Field) else struct(child_name.title(), child.items())
            fields.append((child_name, inner | None, None))
        return msgspec.defstruct(name, fields, gc=False)

    return struct("SocialEvent", _tree().items())


def known_paths() -> frozenset[str]:
    """The names at the top of a record and the paths inside its objects; every other field is unknown."""
    return frozenset(_tree()) | {field.path for field in FIELDS}
