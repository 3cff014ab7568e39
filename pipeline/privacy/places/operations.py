"""Tables of sources, rules, rates and of colleagues."""

from __future__ import annotations

from pipeline.privacy.place import Place

_COLLEAGUES = "it is of colleagues, and says who did what"

PLACES = (
    Place(
        name="acts",
        backup="kept",
        holds="who did what, when and why, in the console, by an API and by commands: the subject, how it was before and after",
        clear="names of colleagues, what they say, keys, names of brands and sources; no texts, no records",
        kept="kept: it is the record of who did what",
        erase="none",
        goes="the record of who did what: keys and names of conversations stay, and what colleagues said",
    ),
    Place(
        name="console_sessions",
        backup="rebuilt",
        holds="who is logged in to the console: name, roles, when; hashes of cookies and links",
        clear="names of colleagues",
        hashed="cookies, links",
        kept="30 days after they were last there",
        erase="none",
        goes=_COLLEAGUES,
    ),
    Place(
        name="console_names",
        backup="kept",
        holds="which name came from the login provider with which account (a fingerprint)",
        clear="names of colleagues",
        hashed="the account at the provider",
        kept="kept",
        erase="none",
        goes=_COLLEAGUES,
        apart={"account": "of a colleague, at the login provider"},
    ),
    Place(
        name="source_cursors",
        backup="kept",
        holds="ids of posts and hashes of their parts, for each source",
        clear="ids of the newest posts",
        hashed="parts of posts",
        kept="the newest record of each source: kept",
        erase="none",
        goes="the source replaces it as it goes on: ids of newer posts take the place of older ones",
    ),
    Place(name="source_gaps", backup="kept", kept="kept", erase="none", goes="names of sources, times, reasons"),
    Place(name="source_health", backup="rebuilt", kept="kept", erase="none", goes="names of sources, states, times, counts"),
    Place(
        name="source_arrivals",
        backup="kept",
        kept="60 days",
        erase="none",
        goes="names of sources, minutes in which events came",
    ),
    Place(name="lost_offsets", backup="kept", kept="kept", erase="none", goes="places in topics"),
    Place(name="leaders", backup="kept", kept="kept", erase="none", goes="numbers of processes"),
    Place(name="rollup_marks", backup="server", kept="kept", erase="none", goes="times"),
    Place(name="rates", backup="kept", kept="kept", erase="none", goes="exchange rates"),
    Place(name="reporting_currency", backup="rebuilt", kept="kept", erase="none", goes="a currency"),
    Place(name="brand_calendars", backup="rebuilt", kept="kept", erase="none", goes="business hours of brands.yaml"),
    Place(name="business_hours", backup="rebuilt", kept="kept", erase="none", goes="the same"),
    Place(name="panels", backup="kept", kept="kept", erase="none", goes="names of brands"),
    Place(
        name="files_in_force",
        backup="kept",
        kept="kept",
        erase="none",
        goes="hashes of alerts.yaml, brands.yaml and roles.yaml",
    ),
    Place(name="retention", backup="rebuilt", kept="kept", erase="none", goes="times to live of tables"),
    Place(name="schema_migrations", backup="rebuilt", kept="kept", erase="none", goes="names and hashes of migrations"),
    Place(
        name="suppressions",
        backup="kept",
        holds="of persons who were erased: keys of accounts and events, hashes of e-mail addresses and phone numbers",
        hashed="accounts, events, e-mail addresses, phone numbers",
        digests=("value",),
        kept="kept: what has such a key is dropped before it lands",
        erase="none",
        goes="without it the next event of the person, or a replay, would bring back what was erased; "
        "`earshot person readmit` lifts accounts, addresses and numbers",
    ),
    Place(
        name="erasures",
        backup="kept",
        holds="receipts: who asked for an erasure, when, why, how many keys and rows; nothing of whom",
        clear="names of colleagues, what they say",
        kept="kept",
        erase="none",
        goes="the record of what was erased",
        apart={"accounts": "a number"},
    ),
)
