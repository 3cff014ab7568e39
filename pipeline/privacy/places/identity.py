"""Tables of who is who."""

from __future__ import annotations

from pipeline.privacy.place import Place

_OF_PAIR = "if(b = 0 OR (a IN ({accounts}) AND b IN ({accounts})), why, '')"

PLACES = (
    Place(
        name="identity_edges",
        backup="kept",
        holds="evidence that accounts belong together: keys of accounts and of addresses, numbers, pages (hashes); handles "
        "that a page claims",
        clear="handles that a page claims",
        hashed="addresses, numbers, pages",
        kept="kept",
        erase="graph",
        goes="with it goes what others' pages claim about the person. That somebody had an address, a number or a page, or "
        "claimed a handle, stays without whom: it goes on counting for the limits",
        accounts=("a",),
        others=("if(kind = 'profile' OR type = 'handle', b, 0)",),
        apart={"event": "the event that says so, of account a"},
        time="at",
        shown={"edge": "", "held": "", "rule_version": ""},
    ),
    Place(
        name="identity_commands",
        backup="kept",
        holds="which steward linked or separated which accounts, and why",
        clear="name of the token, the reason",
        kept="kept",
        erase="graph",
        goes="what was decided stays on record, by keys; the reason goes",
        accounts=("if(action IN ('accept', 'reject'), 0, a)", "if(action = 'split', 0, b)"),
        edges=("if(action IN ('accept', 'reject'), a, 0)",),
        time="done_at",
        shown={"by": "", "why": _OF_PAIR},
    ),
    Place(
        name="identity_rules",
        backup="kept",
        holds="the rules as applied: hashes of blocked addresses and numbers",
        clear="local parts",
        hashed="blocked addresses and numbers",
        kept="kept",
        erase="none",
        goes="a blocked address or number links nobody, as it is no single person's",
    ),
    Place(
        name="assignments",
        backup="kept",
        holds="keys of accounts: which are one person's now",
        kept="kept",
        erase="graph",
        accounts=("profile",),
        others=("customer",),
        shown={"sequence": ""},
    ),
    Place(
        name="assignment_changes",
        backup="kept",
        holds="keys of accounts: which were one person's, and since when",
        kept="kept",
        erase="graph",
        goes="the moves by which the person left stay, by keys: topic social.customers tells of them",
        accounts=("profile",),
        others=("before", "after"),
        time="changed_at",
        shown={"sequence": "", "command": ""},
    ),
    Place(
        name="identity_queue",
        backup="kept",
        holds="which edges link nobody, and why",
        kept="kept",
        erase="graph",
        edges=("edge",),
        time="changed_at",
        shown={"sequence": ""},
    ),
    Place(
        name="customers",
        backup="kept",
        holds="records of a CRM: id; name, e-mail address and phone number; hashes of the two",
        clear="the id",
        hashed="e-mail address, phone number",
        encrypted="name, e-mail address, phone number, with `privacy.data_key`",
        kept="kept",
        erase="graph",
        accounts=("profile",),
        apart=dict.fromkeys(("email", "phone", "email_hash", "phone_hash"), "of the record's own profile"),
        time="imported_at",
    ),
    Place(name="identity_marks", backup="kept", kept="kept", erase="none", goes="numbers"),
    Place(name="key_fingerprints", backup="kept", kept="kept", erase="none", goes="fingerprints of the two keys"),
)
