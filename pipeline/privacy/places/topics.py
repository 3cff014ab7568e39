"""Kafka's topics: what is in them goes by their retention, or by `earshot person erase --topics delete`."""

from __future__ import annotations

from pipeline.privacy.place import Place

COMPACTED = "it is compacted, and Kafka deletes no records of such a topic"
_OTHERS = "it tells others, who may not have read it"
_KEPT = "`kafka.retention_ms`, `kafka.retention_bytes`"

PLACES = (
    Place(
        name="events",
        topic=True,
        holds="the records as sources sent them",
        clear="everything",
        kept=_KEPT,
        erase="retention",
        goes="a worker that reads them again drops what was erased",
        groups=("",),
    ),
    Place(
        name="dead-letter",
        topic=True,
        holds="records that were rejected",
        clear="everything",
        kept=_KEPT,
        erase="retention",
        groups=(),
    ),
    Place(
        name="signals",
        topic=True,
        holds="keys of events, brands, platforms, numbers, words of rules; no texts, no authors",
        kept=_KEPT,
        erase="retention",
        groups=("-control", "-rollups"),
    ),
    Place(
        name="alerts",
        topic=True,
        holds="event keys of up to three posts; words that several posts share",
        clear="words; who acknowledged, and what they said",
        kept=_KEPT,
        erase="retention",
        uncut=_OTHERS,
    ),
    Place(
        name="identity",
        topic=True,
        holds="keys of accounts and of addresses, numbers, pages (hashes); handles that a page claims",
        clear="handles that a page claims",
        hashed="addresses, numbers, pages",
        kept=_KEPT,
        erase="retention",
        goes="`earshot customers` takes no evidence of an account that was erased",
        groups=("-customers",),
    ),
    Place(
        name="customers",
        topic=True,
        holds="keys of accounts: which are one person's, now and before",
        kept=_KEPT,
        erase="retention",
        uncut=_OTHERS,
    ),
    Place(
        name="cursors",
        topic=True,
        holds="ids of posts and hashes of their parts, for each source",
        clear="ids of the newest posts",
        hashed="parts of posts",
        kept="the newest record of each source: kept",
        erase="none",
        goes="the source replaces it as it goes on; compaction takes older records",
        uncut=COMPACTED,
    ),
)
