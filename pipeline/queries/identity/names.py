"""Names of profiles as people type them: `platform:id`, `platform:@handle`, `crm:ID`, or a key of 16 hexadecimal digits."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import EarshotError, SettingsError
from schemas.events import PLATFORM_PATTERN
from schemas.identity import CRM, HANDLE_SQL, account_key

FORMS = "platform:id, platform:@handle, crm:ID, or a key of 16 hexadecimal digits"
SHOWN = 5


class Name(NamedTuple):
    """A profile's name, taken apart: its key, or its id, or its handle in small letters."""

    platform: str = ""
    id: str = ""
    handle: str = ""
    key: int = 0


def checked(text: str) -> str:
    """What was typed, without space around it. Raises SettingsError for bytes that are not UTF-8: they have no key."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{text!r} is not UTF-8") from None
    return text.strip()


def parse_name(text: str) -> Name:
    """Raises SettingsError for a text that names no profile."""
    text = checked(text)
    if re.fullmatch("[0-9a-fA-F]{16}", text):
        return Name(key=int(text, 16))
    platform, _, rest = text.partition(":")
    if re.fullmatch(PLATFORM_PATTERN, platform.lower()) and rest and not rest.startswith("//"):
        bare = rest.removeprefix("@")
        if bare:
            return Name(platform.lower(), handle=lower(bare)) if rest.startswith("@") else Name(platform.lower(), rest)
    raise SettingsError(f"{text!r} names no profile: write {FORMS}")


def slip(text: str) -> str:
    """What the name of a profile that nobody knows may have meant: a handle without its @; blank: nothing else.

    Raises SettingsError as `parse_name`.
    """
    name = parse_name(text)
    meant = name.id and not name.id.isdigit() and name.platform != CRM
    return f"; a handle has an @ before it: {name.platform}:@{name.id}" if meant else ""


def parse_key(text: str) -> int:
    """The key of an edge, in 16 hexadecimal digits. Raises SettingsError for another text."""
    if not re.fullmatch("[0-9a-fA-F]{16}", text.strip()):
        raise SettingsError(f"{text!r} is no edge: it has 16 hexadecimal digits, as `earshot identity review` lists them")
    return int(text, 16)


def lower(handle: str) -> str:
    """In small letters, those of ASCII, as the keys of handles are made."""
    return handle.encode().lower().decode()


def profile_key(query: Query, text: str) -> int:
    """The key of the profile that the text names; it may be of nobody.

    A handle names whoever bears it: a profile that has an id, too. Raises SettingsError as `parse_name`, EarshotError for a
    handle that several bore.
    """
    name = parse_name(text)
    if name.key or name.id:
        return name.key or account_key(name.platform, name.id)
    bearers = bearers_of(query, name.handle, name.platform)
    if len(bearers) > 1:
        listed = ", ".join(f"{each.shown} (last seen {each.last_seen})" for each in bearers[:SHOWN])
        raise EarshotError(f"{text} is several profiles: {listed}; name one of them")
    return bearers[0].key if bearers else account_key(name.platform, None, name.handle)


class Bearer(NamedTuple):
    """A profile that bore a handle."""

    key: int
    name: str
    """By its id, where it has one."""
    last_seen: str

    @property
    def shown(self) -> str:
        """The name; quoted where it has a line end, which must begin no line of its own."""
        return self.name if self.name.isprintable() else repr(self.name)


def bearers_of(query: Query, handle: str, platform: str = "") -> list[Bearer]:
    """Who bore the handle, who was seen last first; `platform`: only there."""
    there = f"AND platform = {quoted(platform)}" if platform else ""
    rows = query(f"""
SELECT account_key AS profile, any(platform) AS its, any(author_id) AS id, formatDateTime(max(created_at), '%F') AS last
FROM interactions FINAL
WHERE {HANDLE_SQL} = {quoted(lower(handle))} {there} AND account_key != 0
GROUP BY profile ORDER BY max(created_at) DESC, profile LIMIT 100""")
    return [
        Bearer(row["profile"], f"{row['its']}:{row['id'] or '@' + handle}", row["last"]) for row in rows.iter_rows(named=True)
    ]
