"""Of whom `earshot person` speaks: all accounts of a customer, or one account, with every key by which their rows are found.

A row is a person's by the key of its author: that of the account's id, or of a handle that it bore, where a source gives no id.
A handle that another account bore too, and an address or number that another account has, name nobody for sure: they are said,
and find nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, Query, asker, settings_for
from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import EarshotError, SettingsError, UnknownName
from pipeline.identity.rules_file import Hashes
from pipeline.privacy.contact import alone as known_alone
from pipeline.privacy.contact import contact, customers_of, several
from pipeline.privacy.conversations import alone
from pipeline.privacy.person import Account, Person
from pipeline.privacy.place import Sets, where
from pipeline.privacy.register import TABLES
from pipeline.privacy.seen import seen
from pipeline.privacy.values import values_of
from pipeline.queries.identity.names import profile_key, slip
from pipeline.queries.identity.profiles import profiles
from pipeline.queries.timeline import members
from schemas.identity import HANDLE_SQL, account_key

SHOWN = 5
NOBODY = "NULL"
"""In place of keys: IN finds nothing by it."""
_MINUTE = "toStartOfMinute(created_at)"


def find(
    client: Client,
    *,
    customer: str | None = None,
    account: str | None = None,
    only: bool = False,
    shared: bool = False,
    hashes: Hashes | None = None,
) -> Person:
    """The person that the name means: a customer with all its accounts, or one account; `only`: whatever else its customer has;
    `shared`: addresses and numbers that others have, too, find rows that no account wrote. An address or number names a
    customer who has it, by `hashes`, those of step privacy.

    Raises SettingsError unless exactly one name is given, and for one that is none, UnknownName for one of whom nothing is
    known, EarshotError for a handle or an address of several, and for an account whose customer has others, unless `only`.
    """
    text = customer or account
    if not text or (customer and account):
        raise SettingsError("give one of --customer and --account: the customer with all its accounts, or one account")
    if only and not account:  # all accounts would go, of somebody who wrote that not all shall
        raise SettingsError("--only goes with --account: it leaves the customer's other accounts out")
    query = reader(client)
    its = contact(query, customer, hashes) if customer else None
    owners = _owners(client, query, customers_of(query, its)) if its else [profile_key(query, text)]
    if len(owners) > 1:
        raise several(query, text, owners)
    if its and not owners:
        return _checked(query, known_alone(its), "no row, no link and no record of a CRM has it", text)
    owner, linked = members(client, owners[0], None)
    if account and len(linked) > 1 and not only:
        others = _listed(_names(query, linked), owners[0])
        raise EarshotError(
            f"{account}: its customer has {len(linked)} accounts, also {others}; "
            f"--customer {account} is all of them, --account {account} --only is this one alone"
        )
    mine = owners if account else linked
    person = _person(query, owner, mine)._replace(shared=shared)
    if only:
        person = person._replace(left=tuple(_names(query, [key for key in linked if key not in mine]).values()))
    return _checked(query, person, f"no event, no link, no record of a CRM{'' if its else slip(text)}", text)


def reader(client: Client) -> Query:
    """Runs SQL that sees every version of a row, and that stands in no query log: it has handles in clear. Raises EarshotError
    with the server's reason."""
    ask = asker(client)
    read = {name: value for name, value in settings_for(client).items() if name == "readonly"} | LONG_SQL
    if not client.server_settings["log_queries"].readonly:
        read["log_queries"] = 0
    return lambda sql: ask(sql, read)


def sets_of(client: Client, person: Person) -> Sets:
    """The keys of all that is the person's, as they are now: `where` of a place finds its rows by them."""
    query, keys = reader(client), _numbers(person.keys)
    edges = query(f"SELECT DISTINCT edge FROM identity_edges WHERE a IN ({keys or NOBODY})").get_column("edge")
    hashes = ", ".join(map(quoted, person.hashes))
    return Sets(
        keys,
        _events(query, person),
        hashes,
        _numbers(edges),
        _numbers(alone(query, keys, hashes)),
    )


def events_of(query: Query, person: Person) -> list[int]:
    """The keys of the person's events, sorted: also of those that were deleted since, and not of those that another account
    has taken over."""
    listed = _events(query, person)
    return query(f"SELECT DISTINCT key FROM ({listed}) ORDER BY key").get_column("key").to_list() if listed else []


def _events(query: Query, person: Person) -> str:
    """SQL of the same, with column `key`, as a machine's account may have a million; blank: none."""
    keys, selects = _numbers(person.keys), list[str]()
    if keys:
        taken = query(f"""
SELECT toUnixTimestamp({_MINUTE}) AS minute, event_key FROM interactions WHERE ({_MINUTE}, event_key) IN
    (SELECT {_MINUTE}, event_key FROM account_events WHERE account_key IN ({keys}))
GROUP BY minute, event_key HAVING argMax(account_key, version) NOT IN (0, {keys}) ORDER BY minute, event_key""")
        pairs = ", ".join(f"({minute}, {key})" for minute, key in taken.iter_rows())
        but = f" AND (toUnixTimestamp({_MINUTE}), event_key) NOT IN ({pairs})" if pairs else ""
        # Without FINAL: also of events that were deleted.
        theirs = f"SELECT event_key FROM account_events WHERE account_key IN ({keys}){but} SETTINGS final = 0"
        selects.append(f"SELECT event_key AS key FROM ({theirs})")
    if person.hashes:  # rows that no account wrote
        rows = where(TABLES["interactions"], Sets(values=", ".join(map(quoted, person.hashes))))
        found = query(f"SELECT DISTINCT event_key AS key FROM interactions WHERE {rows} ORDER BY key").get_column("key")
        selects += [f"SELECT arrayJoin([{_numbers(found)}]::Array(UInt64)) AS key"] if found.len() else []
    return " UNION ALL ".join(selects)


def _person(query: Query, owner: int, keys: list[int]) -> Person:
    rows = _authors(query, keys)
    known = profiles(query, keys)
    handles = _handles(query, owner, rows)
    accounts = []
    for key in keys:
        its = rows.filter(pl.col("account_key") == key)
        platform, id_ = known[key].platform if key in known else "", known[key].id if key in known else ""
        if not platform and its.height:
            platform, id_ = its["platform"][0], its["id"][0]
        bore = sorted({(row["platform"], row["handle"]) for row in its.iter_rows(named=True) if row["handle"]})
        own = [account_key(place, None, handle) for place, handle in bore if handles[place, handle]]
        accounts.append(
            Account(
                key,
                platform,
                id_,
                tuple(handle for _, handle in bore),
                tuple(handle_key for handle_key in own if handle_key != key),
                tuple(handle for place, handle in bore if not handles[place, handle]),
            )
        )
    person = Person(owner, seen(query, accounts), ())
    return person._replace(values=values_of(query, person.keys))


def _authors(query: Query, keys: Iterable[int]) -> pl.DataFrame:
    """What the rows of these accounts say of their authors, old versions too: account_key, platform, id, handle."""
    listed = _numbers(keys)
    return query(f"""
SELECT DISTINCT account_key, platform, author_id AS id, {HANDLE_SQL} AS handle FROM interactions
WHERE account_key IN ({listed}) AND ({_MINUTE}, event_key) IN
    (SELECT {_MINUTE}, event_key FROM account_events WHERE account_key IN ({listed}))
ORDER BY account_key, platform, id, handle""")


def _handles(query: Query, owner: int, rows: pl.DataFrame) -> dict[tuple[str, str], bool]:
    """Each handle of these rows, with its platform: whether it is theirs alone."""
    bore = {(row["platform"], row["handle"]) for row in rows.iter_rows(named=True) if row["handle"]}
    if not bore:
        return {}
    keys = {account_key(platform, None, handle): (platform, handle) for platform, handle in bore}
    mine = _numbers({*rows.get_column("account_key"), *keys})
    texts = ", ".join(sorted({quoted(handle) for _, handle in bore}))
    others = query(f"""
SELECT DISTINCT platform, {HANDLE_SQL} AS handle FROM interactions
WHERE {HANDLE_SQL} IN ({texts}) AND account_key NOT IN (0, {mine})""")
    linked = query(f"SELECT profile FROM assignments FINAL WHERE profile IN ({_numbers(keys)}) AND customer != {owner}")
    taken = {(row["platform"], row["handle"]) for row in others.iter_rows(named=True)}
    taken |= {keys[key] for key in linked.get_column("profile")}
    return {each: each not in taken for each in bore}


def _owners(client: Client, query: Query, customers: list[int]) -> list[int]:
    """The customers without those that are a handle of another one of them."""
    if not 1 < len(customers) <= SHOWN:
        return customers
    keys = {each: set(_person(query, each, members(client, each, None)[1]).keys) for each in customers}
    return [each for each in customers if not any(keys[each] < others for others in keys.values())]


def _checked(query: Query, person: Person, but: str, text: str) -> Person:
    if not _known(query, person):
        raise UnknownName(f"{text}: nothing is known of it: {but}")
    return person


def _known(query: Query, person: Person) -> bool:
    """Whether anything is stored of the person."""
    sets = Sets(_numbers(person.keys), values="" if person.keys else ", ".join(map(quoted, person.hashes)))
    asked = {
        name: f"SELECT 1 AS one FROM {name} WHERE {where(place, sets)} LIMIT 1"
        for name, place in TABLES.items()
        if place.accounts and (name != "interactions" or not person.keys)  # account_events has its keys in order
    }
    first = asked.pop("account_events")
    return not query(first).is_empty() or not query(" UNION ALL ".join(asked.values())).is_empty()


def _names(query: Query, keys: Iterable[int]) -> dict[int, str]:
    known = profiles(query, keys)
    return {key: known[key].name if key in known else f"{key:016x}" for key in keys}


def _listed(names: dict[int, str], but: int) -> str:
    others = [name if name.isprintable() else repr(name) for key, name in names.items() if key != but]
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return ", ".join(others[:SHOWN]) + more


def _numbers(keys: Iterable[int]) -> str:
    return ", ".join(map(str, keys))
