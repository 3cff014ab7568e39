"""Documents of feeds, as plain JSON values, which can cross a process:

    {"format": "rss20", "host": "blog.example.org", "entries": [{"id": ..., "link": ..., "text": ..., ...}]}

| of a feed | |
|---|---|
| `format` | as feedparser names it, or `json` |
| `host` | of the feed's address |
| `older` | entries beyond MOST_ENTRIES |

| of an entry, where it has them | |
|---|---|
| `id`, `link`, `language`, `tags`, `published`, `updated` | |
| `address` | the page to which the link redirects |
| `text` | without HTML |
| `author` | `name`, `email`, `url` |
| `replies` | a count |
| `answers` | the id of the entry that it answers |
| `left_out` | kinds of its parts that nothing reads |

The child that parses (rss_child.py) loads this module: it imports little.
"""

from __future__ import annotations

import re

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_json import json_feed
from pipeline.sources.platforms.rss_text import absolute
from pipeline.sources.platforms.rss_xml import xml_feed
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value
from schemas.untyped import JsonObject

MOST_BYTES = 10 << 20
"""Of a feed's document."""
MOST_ENTRIES = 4_000
"""Of a feed, the newest: fewer than the items that are known of a source (changes.py), so that each is sent once."""
MOST_FEEDS = 20
"""That a page offers."""
_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml")
_BLANK = b"\xef\xbb\xbf \t\r\n"
_HEAD = 65_536
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_ROOT = re.compile(rb"<([A-Za-z][\w:.-]{0,40})")


class HtmlPage(Unreadable):
    """A page in place of a feed. `feeds`: the addresses of the feeds that it offers."""

    def __init__(self, feeds: list[str]) -> None:
        self.feeds = feeds
        named = "".join(each if each.isprintable() else " " for each in ", ".join(feeds[:3]))
        offers = f"; it offers {named}" if feeds else ""
        super().__init__(f"an HTML page, not a feed{offers}")


def parse(document: bytes, base: str = "") -> JsonObject:
    """The feed. Raises HtmlPage for a page, Unreadable for any other document without a feed. `base`: its address.

    A hostile document can take any time and memory: FeedParser (rss_child.py) limits both.
    """
    check_size(document)
    start = document[:_HEAD].lstrip(_BLANK)
    if not start:
        raise Unreadable("an empty document")
    if start[:1] in (b"{", b"["):
        return _newest(_json(document, base))
    root = _root(start)
    if root == "html":
        raise HtmlPage(feeds_of(document, base))
    feed = xml_feed(document, base)
    if feed is None and (named := feeds_of(document, base)):
        raise HtmlPage(named)
    if feed is None:
        raise Unreadable("neither RSS, Atom nor JSON Feed" + (f"; it begins with <{root}>" if root else ""))
    return _newest(feed)


def _newest(feed: JsonObject) -> JsonObject:
    entries: list[JsonObject] = feed["entries"]
    if len(entries) <= MOST_ENTRIES:
        return feed
    entries.sort(key=lambda entry: str(entry.get("updated") or entry.get("published") or ""), reverse=True)
    return {**feed, "entries": entries[:MOST_ENTRIES], "older": len(entries) - MOST_ENTRIES}


def check_size(document: bytes) -> None:
    """Raises Unreadable for a document over the limit."""
    if len(document) > MOST_BYTES:
        raise Unreadable(f"a document of {len(document) >> 20} MB, where a feed may have {MOST_BYTES >> 20}")


def feeds_of(document: bytes, base: str = "") -> list[str]:
    """The addresses of the feeds that an HTML page offers by `<link rel=alternate>`, in its order, each once."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(document[: 1 << 20])
    moved = tree.css_first("base[href]")
    base = (absolute(base, moved.attributes.get("href")) if moved is not None else None) or base
    found: dict[str, None] = {}
    for link in tree.css("link[rel][type][href]"):
        given = link.attributes
        relations, kind = (given.get("rel") or "").lower().split(), (given.get("type") or "").lower().split(";")[0].strip()
        url = absolute(base, given.get("href"))
        if url and "alternate" in relations and kind in _TYPES:
            found[url] = None
    return list(found)[:MOST_FEEDS]


def _json(document: bytes, base: str) -> JsonObject:
    try:
        value = json_value(document.lstrip(_BLANK))
    except NotJson as error:
        raise Unreadable("broken JSON") from error
    if not isinstance(value, dict):
        raise Unreadable("JSON that is no object")
    return json_feed(value, base)


def _root(start: bytes) -> str:
    found = _ROOT.search(_COMMENT.sub(b"", start))
    return found[1].decode("ascii", "replace").lower() if found else ""
