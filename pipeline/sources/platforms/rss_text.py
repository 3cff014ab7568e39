"""Text, links and tags of an entry, for RSS, Atom and JSON Feed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

LONGEST_TEXT = 100_000
"""Characters of an entry's text; a longer one is cut."""
LONGEST_LINK = 2_000
LONGEST_NAME = 200
MOST_TAGS = 50
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,6}")


def said(title: str, body: str) -> str:
    """The title and under it the body; the body alone if it begins with the title, as it does in feeds of short messages."""
    title, body = " ".join(title.split()), body.strip()
    start = title.removesuffix("…").removesuffix("...").rstrip()
    return (body if body.startswith(start) else f"{title}\n{body}").strip()[:LONGEST_TEXT]


def absolute(base: str, href: object) -> str | None:
    """The address, resolved against `base`; None unless it is an HTTP address."""
    if not isinstance(href, str) or not href.strip():
        return None
    try:
        url = urljoin(base, href.strip())
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname and len(url) <= LONGEST_LINK else None


def host_of(url: str) -> str:
    """The host in an address, in small letters; blank without one."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def tags_of(names: Iterable[object]) -> list[str]:
    """Categories without `#`, each once. Blogger's categories that are addresses name the kind of entry: they are left out."""
    tags = (name.strip().lstrip("#")[:LONGEST_NAME] for name in names if isinstance(name, str) and "://" not in name)
    return list(dict.fromkeys(filter(None, tags)))[:MOST_TAGS]


def language_of(*names: object) -> str | None:
    """The first that is a code of BCP 47."""
    codes = (name.strip().replace("_", "-") for name in names if isinstance(name, str))
    return next((code for code in codes if _LANGUAGE.fullmatch(code)), None)


def count_in(value: object) -> int | None:
    """A count, as a number or in digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    digits = str(value).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
