"""RSS and Atom, by feedparser, as rss_document.py has feeds."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from email.utils import parseaddr
from time import struct_time

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_text import LONGEST_NAME, absolute, count_in, host_of, language_of, said, tags_of
from pipeline.sources.recorded.markup import without_html
from schemas.untyped import JsonObject

_HTML = ("text/html", "application/xhtml+xml")
_READ = (*_HTML, "text/plain")
_REFERENCE = re.compile(rb"(?:&#(?:[xX][0-9a-fA-F]+|[0-9]+);)+")
_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]+)")
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff", b"\x00<", b"<\x00")
_MOST_DAMAGED = 0.05


def xml_feed(document: bytes, base: str = "") -> JsonObject | None:
    """The feed as rss_document.py has it; None for a document without one. Raises Unreadable if it breaks the parser.

    feedparser neither sanitises HTML nor resolves its addresses, which takes half of its time: the text has neither.
    """
    import feedparser  # here: the process that listens never needs it

    mended = _with_possible_references(_utf8(document.lstrip()))
    try:
        parsed = feedparser.parse(io.BytesIO(mended), sanitize_html=False, resolve_relative_uris=False)
    except MemoryError:
        raise
    except Exception as error:  # feedparser raises all kinds of them on garbled numbers, encodings and nesting
        raise Unreadable(f"XML that breaks the parser: {type(error).__name__}") from error
    if not parsed["version"] and not parsed["entries"]:
        return None
    feed, entries = dict(parsed["feed"]), [dict(entry) for entry in parsed["entries"]]
    own = next((absolute(base, link.get("href")) for link in _objects(feed.get("links")) if link.get("rel") == "self"), None)
    base = base or own or absolute("", feed.get("link")) or ""
    atom = parsed["version"].startswith("atom")
    return {
        "format": parsed["version"] or "unknown",
        "host": host_of(base),
        "entries": [_entry(entry, feed, base, atom) for entry in entries],
    }


def _entry(entry: JsonObject, feed: JsonObject, base: str, atom: bool) -> JsonObject:
    body, language = _body(entry)
    answered = entry.get("thr_in-reply-to")
    made = {
        "id": _string(entry.get("id")).strip(),
        "link": _link(entry, base),
        "address": absolute(base, entry.get("feedburner_origlink")),
        "text": said(_text(_object(entry.get("title_detail"))), body),
        "language": language_of(entry.get("language"), language, feed.get("language")),
        "author": _author(entry, base, atom) or (_author(feed, base, atom) if atom else None),
        "tags": tags_of(tag.get("label") or tag.get("term") for tag in _objects(entry.get("tags"))),
        "published": _time(entry.get("published_parsed")) or _time(entry.get("created_parsed")),
        "updated": _time(entry.get("updated_parsed")),
        "replies": _replies(entry),
        "answers": _string(answered.get("ref")) if isinstance(answered, dict) else None,
        "left_out": _left_out(entry),
    }
    return {name: value for name, value in made.items() if value or value == 0}


def _body(entry: JsonObject) -> tuple[str, object]:
    """The longest text and its language: Media RSS has descriptions of pictures beside that of the entry."""
    parts = [*_objects(entry.get("content")), _object(entry.get("summary_detail"))]
    return max(((_text(part), part.get("language")) for part in parts), key=lambda text: len(text[0]))


def _text(part: JsonObject) -> str:
    kind, value = part.get("type"), _string(part.get("value"))
    if kind not in _READ:
        return ""
    return without_html(value) if kind in _HTML else value


def _link(entry: JsonObject, base: str) -> str | None:
    links = (link.get("href") for link in _objects(entry.get("links")) if link.get("rel") == "alternate")
    if found := next(filter(None, (absolute(base, link) for link in links)), None):
        return found
    return absolute("", entry.get("id")) if entry.get("guidislink") else None


def _author(entry: JsonObject, base: str, atom: bool) -> JsonObject:
    first = next(iter(_objects(entry.get("authors"))), {})
    name, email = _string(first.get("name")), _string(first.get("email"))
    if email and not atom:  # feedparser cuts domains that end in over four letters
        whole = _string(entry.get("author"))
        name, email = parseaddr(whole)
        name, email = (name, email) if "@" in email else (whole, "")
    short = {"name": name.strip()[:LONGEST_NAME], "email": email.strip()[:LONGEST_NAME]}
    return {key: value for key, value in (short | {"url": absolute(base, first.get("href"))}).items() if value}


def _replies(entry: JsonObject) -> int | None:
    linked = (link.get("thr:count") for link in _objects(entry.get("links")) if link.get("rel") == "replies")
    counts = (count_in(value) for value in (entry.get("slash_comments"), entry.get("thr_total"), *linked))
    return next((count for count in counts if count is not None), None)


def _left_out(entry: JsonObject) -> list[str]:
    enclosed = any(link.get("rel") == "enclosure" for link in _objects(entry.get("links")))
    return ["enclosure"] * enclosed + ["media:content"] * bool(entry.get("media_content"))


def _time(value: object) -> str | None:
    if not isinstance(value, struct_time):
        return None
    year, month, day, hour, minute, second = value[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{min(second, 59):02}Z"


def _utf8(document: bytes) -> bytes:
    """Replaces a few bytes that UTF-8 can't have: with one of them, feedparser reads the whole feed in another encoding."""
    declared = _ENCODING.match(document)
    if document.startswith(_OTHER_MARKS) or (declared and declared[1].lower() not in (b"utf-8", b"utf8")):
        return document
    text = document.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    if not damaged or damaged > _MOST_DAMAGED * (len(text) - len(text.encode("ascii", "ignore"))):
        return document
    return text.encode()


def _with_possible_references(document: bytes) -> bytes:
    """Replaces references to characters that XML forbids, on which feedparser raises: pairs of surrogates become their
    character, others a blank."""
    return _REFERENCE.sub(_possible, document) if b"&#" in document else document


def _possible(found: re.Match[bytes]) -> bytes:
    codes = list(_codes(found[0]))
    if all(code in (9, 10, 13) or 32 <= code < 0xD800 or 0xDFFF < code < 0x110000 for code in codes):
        return found[0]
    units = "".join(chr(code) if 32 <= code < 0x110000 else " " for code in codes)
    return "".join(f"&#{ord(each)};" for each in units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")).encode()


def _codes(references: bytes) -> Iterator[int]:
    for reference in references.split(b";")[:-1]:
        number = reference[2:].lower()
        if len(number) > 9:
            yield 0
        else:
            yield int(number[1:], 16) if number[:1] == b"x" else int(number)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> Iterable[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
