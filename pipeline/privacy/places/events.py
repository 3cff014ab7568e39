"""Tables that hold what people said and did, and what is computed from it."""

from __future__ import annotations

from pipeline.privacy.place import Place

_CHANGE_ACCOUNT = (
    "multiIf(JSONExtractString(change, 'author_id') != '', "
    "xxh3(concat(platform, ':', JSONExtractString(change, 'author_id'))), "
    "trimLeft(JSONExtractString(change, 'author_handle'), '@') != '', "
    "xxh3(lower(concat(platform, ':@', replaceRegexpOne(JSONExtractString(change, 'author_handle'), '^@', '')))), 0)"
)
"""The author of a waiting change, as column account_key of interactions has it."""
_CHANGE_VALUES = ("JSONExtractString(change, 'author_email')", "JSONExtractString(change, 'author_phone')")
_SAME = "as `interactions`"

PLACES = (
    Place(
        name="interactions",
        backup="server",
        holds="what they wrote and did, whole: id, handle, name, bio, page, followers and other accounts of the author; text, "
        "mentions, links, place, number of an order, `original`",
        clear="all but e-mail address and phone number",
        hashed="`author.email`, `author.phone`",
        digests=("author_email", "author_phone"),
        kept="until the event is deleted",
        erase="rows",
        goes="what others wrote stays, also where it names or quotes the person: it is theirs",
        accounts=("account_key",),
        events=("event_key",),
        values=("author_email", "author_phone"),
        others=("arrayMap(handle -> xxh3(lower(concat(platform, ':@', handle))), mentions)[]",),
        apart={"customer_key": "whose customer the author was, in the author's own row"},
        time="created_at",
    ),
    Place(
        name="pending_changes",
        backup="server",
        holds="updates and deletes whose event has not come",
        clear="all but e-mail address and phone number",
        hashed="`author.email`, `author.phone`",
        digests=("author_email", "author_phone"),
        kept="90 days after they are done; 400 days at most",
        erase="rows",
        accounts=(_CHANGE_ACCOUNT,),
        events=("event_key",),
        values=_CHANGE_VALUES,
        time="occurred_at",
    ),
    Place(
        name="dead_letters",
        backup="server",
        holds="records that were rejected, whole; keys of the event and of the author's accounts",
        clear="name of the source; in `reason` what ClickHouse's error quotes; of letters from before migration 032 everything",
        hashed="`author.email`, `author.phone`",
        digests=("contacts",),
        encrypted="the record and its key, with `privacy.data_key`",
        sealed=("key", "raw", "content"),
        kept="400 days after rejection; 90 days if the record does not say whose it is",
        erase="letters",
        accounts=("accounts[]",),
        events=("event_key",),
        values=("contacts[]",),
        time="rejected_at",
        shown=dict.fromkeys(("key", "raw", "content", "contacts", "source"), ""),
    ),
    Place(
        name="account_events",
        backup="server",
        holds="keys of accounts and their events, with times",
        kept=f"{_SAME}; a row of a deleted event may stay until `earshot check --repair`",
        erase="rows",
        accounts=("account_key",),
        apart={"event_key": "an event of the row's account: to look for it, too, would read the whole table"},
        time="created_at",
    ),
    Place(
        name="quarters",
        backup="server",
        holds="numbers by brand, quarter-hour, platform and language; keys of accounts, to count authors",
        kept=_SAME,
        erase="rebuilt",
        apart={"authors": "keys of all authors of a quarter-hour, in the state of an aggregate function: it is made anew"},
    ),
    Place(
        name="account_quarters",
        backup="server",
        holds="of each account and brand: key, handle and name as they were last public, numbers, role and motive with keys of "
        "events; also of accounts that wrote in private only, without handle and name. View `accounts` adds it up",
        clear="handles, names",
        kept=_SAME,
        erase="rebuilt",
        accounts=("account_key",),
        time="quarter",
    ),
    Place(
        name="threads",
        backup="server",
        holds="of each conversation, private ones too: key of the account that opened it, keys of the answers, times, numbers, "
        "its name on the platform",
        clear="the conversation's name",
        kept=_SAME,
        erase="rebuilt",
        accounts=("customer",),
        conversations=("conversation",),
        time="opened",
        shown={"answers": "", "conversation": ""},
    ),
    Place(
        name="conversation_quarters",
        backup="server",
        holds="of each conversation: a hash of its name on the platform, in which quarter-hours something was said",
        hashed="the conversation's name",
        kept="kept",
        erase="none",
        goes="it says of no account that it took part, and others' words in the conversation are found by it",
    ),
    Place(
        name="relations",
        backup="server",
        holds="who follows, likes and votes what",
        clear="the account or post that it is about, as the platform names it",
        kept="until the event is deleted; setting `retention` does not take it",
        erase="rebuilt",
        goes="what others follow and like stays, also where it names the person's account: it is theirs",
        accounts=("account",),
        events=("event",),
        others=("target_key",),
        time="created_at",
    ),
    Place(
        name="measures",
        backup="server",
        holds="numbers that somebody measured, by brand and time: keys of events",
        kept="until the event is deleted; setting `retention` does not take it",
        erase="rebuilt",
        events=("event",),
        time="created_at",
    ),
    Place(
        name="orders",
        backup="server",
        holds="of each order, private ones too: key of the account, number of the order, amount, brands, campaign",
        clear="number of the order, amount",
        kept="until the event is deleted; setting `retention` does not take it: "
        "`ALTER TABLE orders DELETE WHERE created_at < ...` does",
        erase="rebuilt",
        accounts=("account",),
        events=("event",),
        time="created_at",
    ),
    Place(
        name="cases",
        backup="kept",
        holds="of each conversation that somebody took: its name on the platform, who has it, who gave it to them, their "
        "comment",
        clear="names of colleagues, what they say",
        kept="kept",
        erase="rows",
        goes="where nobody but the person and a brand said a word; else it stays, as it is about others, too",
        conversations=("xxh3(concat(platform, ':', conversation_id))",),
        time="changed_at",
        shown={"owner": "", "actor": ""},
    ),
)
