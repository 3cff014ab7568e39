"""Names on Mastodon: ids are local to the server that answered, accounts carry their host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.sources.platforms.observation import Origin, Unreadable
from pipeline.sources.platforms.values import count_of, event, fits, id_of, name_of, object_of, objects_of, text_of
from pipeline.sources.recorded.markup import unescaped, without_html
from schemas.events import ID_BYTES
from schemas.untyped import JsonObject

_LINK = re.compile(r'href="(https?://[^"]+)"', re.IGNORECASE)
HOST = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_AT_HOME = re.compile(r"https?://([^/?#]+)(/.+)|tag:([^,:]+),[^:]*:objectId=(\d+)", re.IGNORECASE)
_STATUS_PATH = re.compile(r"/(?:users/[^/]+|@[^/]+|ap/users/\d+)/(?:statuses/)?(\d+)(?:/activity)?")


def author_of(account: JsonObject, server: str, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    handle, key = handle_of(account, server), id_of(account.get("id"))
    number = local(server, key) if server and key else None
    author = event(
        id=number,
        handle=handle,
        name=text_of(account.get("display_name")),
        kind="bot" if account.get("bot") is True else "organisation" if account.get("group") is True else None,
        followers=count_of(account.get("followers_count")),
        following=count_of(account.get("following_count")),
        url=text_of(account.get("url")),
        bio="\n".join(_description(account)) or None,
    )
    return author, origin.owns((number, key), (handle, name_of(account.get("acct"))))


def _description(account: JsonObject) -> Iterator[str]:
    """What the account says of itself: its note, and the fields of its profile that hold a link."""
    note = text_of(account.get("note"))
    if note and (text := without_html(note)):
        yield text
    for field in objects_of(account.get("fields")):
        for link in _LINK.findall(text_of(field.get("value")) or ""):
            yield f"{name_of(field.get('name')) or 'Link'}: {unescaped(link)}"


def handle_of(account: JsonObject, server: str) -> str | None:
    """The account's name with its host: that of the server that answered, where the server leaves it out."""
    acct = name_of(account.get("acct"))
    if acct is None or "@" in acct:
        return acct
    host = server or host_of(account.get("url"))
    return name_of(f"{acct}@{host}") if host else None


def server_of(item: JsonObject) -> str:
    """The server that answered, if the item's account is one of its own."""
    account = object_of(item.get("account")) or item
    acct = account.get("acct")
    return host_of(account.get("url")) if isinstance(acct, str) and acct and "@" not in acct else ""


def host_of(url: object) -> str:
    found = HOST.match(url) if isinstance(url, str) else None
    return found[1].lower() if found else ""


def local(server: str, key: str) -> str:
    whole = f"{server}:{key}"
    if not fits(whole, ID_BYTES):
        raise Unreadable("an id of over 1,000 bytes")
    return whole


def at_home(status: JsonObject) -> str:
    """The id of a remote status on its own server; of a server that is no Mastodon, its path there."""
    for name in ("uri", "url"):
        value = status.get(name)
        if isinstance(value, str) and (found := _AT_HOME.fullmatch(value)):
            host, path, tagged, number = found.groups()
            if tagged:
                return local(tagged.lower(), number)
            known = _STATUS_PATH.fullmatch(path)
            return local(host.lower(), known[1] if known else path)
    raise Unreadable("a status without an id, or without a server and an address")
