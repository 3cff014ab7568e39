"""Feeds become events: RSS, Atom and JSON Feed with all their events by hand, broken ones, recorded ones."""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson
import pytest

from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.rss import observe
from pipeline.sources.platforms.rss_document import MOST_BYTES, MOST_ENTRIES, HtmlPage, feeds_of, parse
from schemas.untyped import JsonObject
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

HERE = Origin(host="blog.example.org")
RSS = b"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/"
  xmlns:slash="http://purl.org/rss/1.0/modules/slash/" xmlns:media="http://search.yahoo.com/mrss/"
  xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0">
<channel><title>Kettle News</title><link>https://blog.example.org/</link><language>en-us</language>
<item>
  <title>Northwind &amp;amp; sons open a caf\xc3\xa9</title>
  <link>https://blog.example.org/cafe?utm_source=feed</link>
  <feedburner:origLink>https://blog.example.org/cafe</feedburner:origLink>
  <guid isPermaLink="false">17</guid>
  <pubDate>Tue, 03 Feb 2026 09:30:00 +0200</pubDate>
  <dc:creator>Ann Placeholder</dc:creator>
  <category>Coffee</category><category><![CDATA[Health & Food]]></category><category>Coffee</category>
  <description>A short excerpt.</description>
  <content:encoded><![CDATA[<p>The first one <b>opens</b> today.</p><script>alert(1)</script>
    <p>Come&nbsp;in!</p>]]></content:encoded>
  <slash:comments>12</slash:comments>
</item>
<item>
  <title>An episode</title>
  <guid>https://blog.example.org/episode</guid>
  <pubDate>Mon, 02 Feb 2026 00:00:00 EST</pubDate>
  <author>bea@mail.example (Bea Placeholder)</author>
  <description>We talk about beans.</description>
  <enclosure url="https://blog.example.org/1.mp3" type="audio/mpeg" length="1"/>
  <media:content url="https://blog.example.org/1.jpg"/>
</item>
<item><title>No id, no date</title><link>/note</link></item>
<item><description>Nothing but words</description></item>
<item/>
</channel></rss>"""
RSS_EVENTS: list[JsonObject] = [
    {
        "id": "blog.example.org:17",
        "platform": "rss",
        "kind": "post",
        "created_at": "2026-02-03T07:30:00Z",
        "text": "Northwind & sons open a café\nThe first one opens today.\nCome in!",
        "language": "en-us",
        "author": {"name": "Ann Placeholder"},
        "hashtags": ["Coffee", "Health & Food"],
        "urls": ["https://blog.example.org/cafe"],
        "metrics": {"replies": 12},
    },
    {
        "id": "https://blog.example.org/episode",
        "platform": "rss",
        "kind": "post",
        "created_at": "2026-02-02T05:00:00Z",
        "text": "An episode\nWe talk about beans.",
        "language": "en-us",
        "author": {"name": "Bea Placeholder", "email": "bea@mail.example"},
        "urls": ["https://blog.example.org/episode"],
    },
    {
        "id": "https://blog.example.org/note",
        "platform": "rss",
        "kind": "post",
        "text": "No id, no date",
        "language": "en-us",
        "urls": ["https://blog.example.org/note"],
    },
    {
        "id": "blog.example.org:55f4cfa8d44fcf2330cf2b2577b73b9e",
        "platform": "rss",
        "kind": "post",
        "text": "Nothing but words",
        "language": "en-us",
    },
]
ATOM = b"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:thr="http://purl.org/syndication/thread/1.0" xml:lang="de">
<id>tag:blog.example.org,2026:feed</id><title>Feed</title><updated>2026-02-03T00:00:00Z</updated>
<link rel="self" href="https://blog.example.org/feed.atom"/><author><name>The team</name></author>
<entry>
  <id>tag:blog.example.org,2026:1</id><title type="html">A &amp;lt;b&amp;gt; &amp;amp; B</title>
  <link rel="replies" href="/1/replies" thr:count="3"/><link href="/1"/>
  <published>2026-02-03T04:05:06+02:00</published><updated>2026-02-04T04:05:06.7+02:00</updated>
  <author><name>Cem</name><email>Cem@Northwind.example</email><uri>https://blog.example.org/cem</uri></author>
  <category term="t1" label="Tea"/><category term="http://schemas.example/kind#post" scheme="http://schemas.example/kind"/>
  <content type="xhtml" xml:lang="en"><div xmlns="http://www.w3.org/1999/xhtml"><p>Hi <b>you</b> &lt;3</p></div></content>
  <summary>Hi</summary>
</entry>
<entry>
  <id>2</id><title>1 &lt; 2</title><link href="https://blog.example.org/2"/>
  <updated>2026-02-03T04:05:06Z</updated><thr:in-reply-to ref="tag:blog.example.org,2026:1"/><thr:total>0</thr:total>
  <summary type="text">x &lt;b&gt; y</summary>
</entry>
</feed>"""
ATOM_EVENTS: list[JsonObject] = [
    {
        "id": "tag:blog.example.org,2026:1",
        "platform": "rss",
        "kind": "post",
        "direction": "outbound",
        "created_at": "2026-02-03T02:05:06Z",
        "text": "A <b> & B\nHi you <3",
        "language": "en",
        "author": {"name": "Cem", "email": "Cem@Northwind.example", "url": "https://blog.example.org/cem"},
        "hashtags": ["Tea"],
        "urls": ["https://blog.example.org/1"],
        "metrics": {"replies": 3},
    },
    {
        "id": "blog.example.org:2",
        "platform": "rss",
        "kind": "comment",
        "created_at": "2026-02-03T04:05:06Z",
        "text": "1 < 2\nx <b> y",
        "language": "de",
        "author": {"name": "The team"},
        "urls": ["https://blog.example.org/2"],
        "in_reply_to": "tag:blog.example.org,2026:1",
        "metrics": {"replies": 0},
    },
]
JSON_FEED = orjson.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Feed",
        "home_page_url": "https://blog.example.org/",
        "language": "fr",
        "authors": [{"name": "The team", "url": "https://blog.example.org/team"}],
        "items": [
            {
                "id": 5,
                "url": "/5",
                "external_url": "https://other.example/tea",
                "title": "Tea",
                "content_html": "<p>Green &amp; <i>black</i></p>",
                "date_published": "2026-02-03T09:30:00.250+01:00",
                "date_modified": "2026-02-03T10:30:00+01:00",
                "tags": ["#tea", "Green", 7],
                "language": "en_GB",
                "author": {"name": "Dee"},
                "attachments": [{"url": "https://blog.example.org/5.mp3"}],
            },
            {"id": "https://blog.example.org/6", "content_text": "A line\nand <b>another</b>", "date_published": "yesterday"},
        ],
    }
)
JSON_EVENTS: list[JsonObject] = [
    {
        "id": "blog.example.org:5",
        "platform": "rss",
        "kind": "post",
        "created_at": "2026-02-03T08:30:00.250Z",
        "text": "Tea\nGreen & black",
        "language": "en-GB",
        "author": {"name": "Dee"},
        "hashtags": ["tea", "Green"],
        "urls": ["https://other.example/tea"],
    },
    {
        "id": "https://blog.example.org/6",
        "platform": "rss",
        "kind": "post",
        "text": "A line\nand <b>another</b>",
        "language": "fr",
        "author": {"name": "The team", "url": "https://blog.example.org/team"},
    },
]


def seen(document: object, origin: Origin = HERE) -> list[Observation]:
    return [each for each in observe(document, origin) if isinstance(each, Observation)]


def rss(*items: str) -> bytes:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0"><channel><title>T</title>{inside}</channel></rss>'.encode()


def ids(*items: str) -> list[str]:
    return [str(each.event["id"]) for each in seen(rss(*items))]


@pytest.mark.parametrize(
    ("document", "events"), [(RSS, RSS_EVENTS), (ATOM, ATOM_EVENTS), (JSON_FEED, JSON_EVENTS)], ids=["rss", "atom", "json"]
)
def test_all_events_of_a_feed(document: bytes, events: list[JsonObject]) -> None:
    observed = seen(document, Origin("blog.example.org", frozenset({"cem@northwind.example"})))
    assert [each.event for each in observed] == events
    for each in observed:
        check("rss", each)
    parsed = orjson.loads(orjson.dumps(parse(document, "https://blog.example.org/feed")))
    assert [each.event | {"direction": ""} for each in seen(parsed)] == [each | {"direction": ""} for each in events]


def test_what_is_left_out_is_counted() -> None:
    assert table(observe(RSS, HERE)) == {"post": 4, "-blank entry": 1, "-enclosure": 1, "-media:content": 1}
    assert table(observe(JSON_FEED, HERE)) == {"post": 2, "-attachment": 1}


def test_the_time_of_an_edit() -> None:
    assert [each.at for each in seen(ATOM)] == ["2026-02-04T02:05:06Z", "2026-02-03T04:05:06Z"]
    assert [each.at for each in seen(RSS)] == [""] * 4


def test_an_entry_without_a_time_gets_that_of_the_poll_which_sees_it_first() -> None:
    known, polls = Known(), ("2026-02-03T12:00:00Z", "2026-02-03T13:00:00Z", "2026-02-03T14:00:00Z")
    documents = [rss(f"<guid>1</guid><title>{text}</title>") for text in ("before", "before", "after")]
    sent = [list(known.changes(seen(document), now)) for document, now in zip(documents, polls, strict=True)]
    made: JsonObject = {"id": "blog.example.org:1", "platform": "rss", "kind": "post", "text": "before"}
    assert sent[:2] == [[made | {"created_at": polls[0], "operation": "create"}], []]
    edited = {"id": "blog.example.org:1", "platform": "rss", "text": "after", "operation": "update", "occurred_at": polls[2]}
    assert sent[2] == [edited]


def test_times_before_1995_are_none() -> None:
    dated = "<guid>1</guid><pubDate>Thu, 01 Jan 1970 00:00:00 GMT</pubDate>"
    assert "created_at" not in seen(rss(dated))[0].event


def test_an_id_that_entries_share_is_none() -> None:
    shared = "<guid isPermaLink='false'>blog</guid>"
    links = ("https://blog.example.org/1", "https://blog.example.org/2")
    assert ids(*(f"{shared}<link>{link}</link>" for link in links)) == list(links)
    assert ids(f"{shared}<link>{links[0]}</link>") == ["blog.example.org:blog"]


def test_of_entries_with_one_id_the_newest_counts() -> None:
    items = [f"<guid>1</guid><title>{day}</title><pubDate>0{day} Feb 2026 00:00:00 GMT</pubDate>" for day in (2, 3, 1)]
    assert [each.event["text"] for each in seen(rss(*items))] == ["3"]
    assert table(observe(rss(*items), HERE)) == {"post": 1, "-repeated entry": 2}


def test_an_id_too_long_to_be_a_key_becomes_a_hash() -> None:
    one, other = ids(f"<guid>{'a' * 2_000}</guid>", f"<guid>{'a' * 2_000}b</guid>")
    assert one != other and one.startswith("blog.example.org:") and len(one) < 100


def test_ids_of_a_file_begin_with_the_host_that_the_feed_names() -> None:
    assert [each.event["id"] for each in seen(ATOM, Origin())] == ["tag:blog.example.org,2026:1", "blog.example.org:2"]


def test_a_text_that_begins_with_the_title_is_not_said_twice() -> None:
    short = "<title>Good morning to ev…</title><description>Good morning to everybody</description>"
    assert seen(rss(short))[0].event["text"] == "Good morning to everybody"


def test_of_several_texts_the_longest_counts() -> None:
    caption = '<media:description xmlns:media="http://search.yahoo.com/mrss/">A cup</media:description>'
    assert seen(rss(f"<description>A long story</description>{caption}"))[0].event["text"] == "A long story"


def test_a_long_text_is_cut() -> None:
    text = seen(rss(f"<description>{'word ' * 100_000}</description>"))[0].event["text"]
    assert isinstance(text, str) and len(text) == 100_000


def test_of_a_long_feed_the_newest_entries_count() -> None:
    times = [f"{1 + n // 1440:02} Feb 2026 {n // 60 % 24:02}:{n % 60:02}:00 GMT" for n in range(4_100)]
    document = rss(*(f"<guid>{n}</guid><pubDate>{time}</pubDate>" for n, time in enumerate(times)))
    assert table(observe(document, HERE)) == {"post": MOST_ENTRIES, "-older entries": 1}
    assert {each.event["id"] for each in seen(document)} == {f"blog.example.org:{n}" for n in range(100, 4_100)}


def test_one_broken_byte_costs_one_character() -> None:
    words = "Кофе подорожал, пишут газеты"
    broken = rss(f"<title>{words}</title>").replace("газ".encode(), b"\xd0\xd0\xb0\xd0\xb7")
    assert seen(broken)[0].event["text"] == words.replace("г", "\ufffd")


def test_encodings_are_read() -> None:
    words = "Кофе подорожал"
    for encoding in ("windows-1251", "koi8-r", "utf-16", "utf-8-sig"):
        declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>' + rss(f"<title>{words}</title>").decode()
        assert seen(declared.encode(encoding))[0].event["text"] == words, encoding


def test_characters_that_xml_forbids() -> None:
    title = "<title>a&#xD83D;&#xDE00;b&#55357;c&#0;d&#x110000;e&#99999999999;f&#233;</title>"
    assert seen(rss(title))[0].event["text"] == "a😀b\ufffdc d e fé"
    assert seen(rss("<title>a\x0bb &nbsp; c & d</title>"))[0].event["text"] == "a b c & d"


def test_a_document_that_is_no_feed() -> None:
    json = (b"[]", b"[1]", b"{}", b"{", b'{"version": 1, "items": []}')
    for document in (b"", b" \n", b"words", b"<opml/>", b"\x89PNG\r\n\x1a\n\x00", *json):
        with pytest.raises(Unreadable):
            seen(document)
    with pytest.raises(Unreadable, match="MB"):
        seen(b"<rss>" + b" " * MOST_BYTES)
    payloads: tuple[object, ...] = (None, 1, [], {}, {"entries": 1}, "text", {"version": "https://jsonfeed.org/version/1"})
    for payload in payloads:
        with pytest.raises(Unreadable):
            seen(payload)


def test_a_parsed_feed_of_other_types_is_read_as_far_as_it_goes() -> None:
    entry = {
        "id": "1",
        "link": 2,
        "tags": [3, "tea"],
        "author": "x",
        "published": 4,
        "replies": "5",
        "left_out": {},
        "text": [],
    }
    made = {"id": "blog.example.org:1", "platform": "rss", "kind": "post", "hashtags": ["tea"]}
    assert [each.event for each in seen({"entries": [1, None, {}, entry]})] == [made]


def test_a_feed_without_entries_is_a_feed() -> None:
    assert table(observe(rss(), HERE)) == {}


PAGE = b"""<!doctype html><html><head><title>Blog</title><base href="https://blog.example.org/en/">
<link rel="alternate" type="application/rss+xml" title="All" href="feed.xml"><link rel=stylesheet type="text/css" href="a.css">
<LINK REL="Alternate feed" TYPE="application/atom+xml; charset=utf-8" HREF="/atom">
<link rel="alternate" type="application/json" href="/api">
<link rel="alternate" type="application/feed+json" href="https://blog.example.org/feed.json">
<link rel="alternate" type="application/rss+xml" href="feed.xml">
<link rel="alternate" type="application/rss+xml" href="javascript:x">
</head><body><item>words</item></body></html>"""


def test_a_page_names_its_feeds() -> None:
    feeds = ["https://blog.example.org/en/feed.xml", "https://blog.example.org/atom", "https://blog.example.org/feed.json"]
    assert feeds_of(PAGE, "https://elsewhere.example/") == feeds
    with pytest.raises(HtmlPage, match="it offers https://blog.example.org/en/feed.xml") as caught:
        seen(PAGE)
    assert caught.value.feeds == feeds and "words" not in str(caught.value)


def broken_documents(document: bytes, dice: random.Random) -> Iterator[bytes]:
    for _ in range(60):
        broken = bytearray(document)
        for _ in range(dice.randint(1, 8)):
            start = dice.randrange(len(broken))
            cut = bytes(dice.choices(b"<>&;#x0\xff\xd0\x00\"'!-[]/ae{}", k=dice.randint(0, 6)))
            broken[start : start + dice.choice((0, 1, 5, 200))] = cut
        yield bytes(broken)


@pytest.mark.parametrize("document", [RSS, ATOM, JSON_FEED, PAGE], ids=["rss", "atom", "json", "page"])
def test_garbled_documents_are_events_or_unreadable(document: bytes) -> None:
    for broken in broken_documents(document, random.Random(7)):
        try:
            observed = seen(broken)
        except Unreadable:
            continue
        for each in observed:
            check("rss", each)


@pytest.mark.parametrize("payload", [orjson.loads(JSON_FEED), parse(RSS), parse(ATOM)], ids=["json", "rss", "atom"])
def test_garbled_values_are_events_or_unreadable(payload: JsonObject) -> None:
    for broken in garbled(payload, 300):
        try:
            observed = seen(broken)
        except Unreadable:
            continue
        for each in observed:
            check("rss", each)


EXPECTED = {
    "guid-dupes.xml": {"post": 1},
    "illegally-nested.xml": {"post": 10, "-blank entry": 10},
    "large_atom_feed_that_needs_css_sanitisation.xml": {"post": 15},
    "mediacontent-dupes.xml": {"post": 1, "-enclosure": 1, "-media:content": 1},
    "notafeed.html": None,
    "saxerror.xml": {"post": 3},
    "tpm.atom": {"post": 20},
    "wapowellness.xml": {"post": 29},
}


@needs_recorded
def test_every_recorded_feed_is_expected() -> None:
    assert {path.name for path in (RECORDED / "platforms/rss_atom").iterdir()} == set(EXPECTED)


@needs_recorded
@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_feeds(name: str) -> None:
    document = (RECORDED / "platforms/rss_atom" / name).read_bytes()
    if EXPECTED[name] is None:
        with pytest.raises(HtmlPage):
            list(observe(document, HERE))
        return
    observed = list(observe(document, HERE))
    assert table(observed) == EXPECTED[name]
    posts = [each for each in observed if not isinstance(each, LeftOut)]
    for each in posts:
        check("rss", each)
    assert len({each.event["id"] for each in posts}) == len(posts)
    assert all("text" in each.event and "urls" in each.event for each in posts)
    assert sum("created_at" in each.event for each in posts) == (0 if name == "saxerror.xml" else len(posts))
    known = Known()
    assert [len(list(known.changes(posts, "2026-02-03T00:00:00Z"))) for _ in range(2)] == [len(posts), 0]
