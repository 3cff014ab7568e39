"""Items that a stranger wrote on purpose: they cost no others, overwrite none, and are nobody's but their author's."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from encodings import _cache
from importlib import import_module
from typing import Any

import pytest

from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.email_headers import MOST_GUESSES
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.values import time_of_milliseconds, time_of_seconds
from pipeline.sources.recorded.encoding import recognise
from schemas.untyped import JsonObject
from tests.sources.platforms import linkedin_payloads as linkedin
from tests.sources.platforms import telegram_payloads as telegram
from tests.sources.platforms import vk_payloads as vk
from tests.sources.platforms import youtube_payloads as youtube
from tests.sources.platforms.app_store_payloads import review as store_review
from tests.sources.platforms.discourse_payloads import post
from tests.sources.platforms.facebook_payloads import post as graph_post
from tests.sources.platforms.freshdesk_payloads import ticket as desk_ticket
from tests.sources.platforms.google_play_payloads import said
from tests.sources.platforms.instagram_payloads import MEDIA
from tests.sources.platforms.reddit_payloads import comment, page
from tests.support.mails import HEAD, OWN, seen

ENDLESS = f"&#{'1' * 5_000};"
NOW = "2026-11-28T12:00:00Z"


def v2(number: int) -> JsonObject:
    return {"id": str(number), "text": f"post {number}", "author_id": "7", "lang": "en", "created_at": "2026-11-28T11:00:00Z"}


def v1(number: int) -> JsonObject:
    user = {"id_str": "7", "screen_name": "ines"}
    return {"id_str": f"{number}", "text": "It leaks", "created_at": "Sat Nov 28 11:00:00 +0000 2026", "user": user}


def toot(number: int) -> JsonObject:
    account = {"id": "7", "acct": "ines", "url": "https://toot.example/@ines"}
    return {"id": f"{number}", "content": "<p>It leaks", "created_at": "2026-11-28T11:00:00Z", "account": account}


def skeet(number: int) -> JsonObject:
    uri, record = f"at://did:plc:i/app.bsky.feed.post/{number}", {"text": "It leaks", "createdAt": "2026-11-28T11:00:00Z"}
    return {"uri": uri, "record": record, "author": {"did": "did:plc:i"}, "indexedAt": "2026-11-28T11:00:00Z"}


def weibo(number: int) -> JsonObject:
    return {"idstr": f"{number}", "text": "It leaks", "created_at": "Sat Nov 28 11:00:00 +0800 2026"}


def play_review(number: int) -> JsonObject:
    return {"reviewId": f"r{number}", "comments": [said()]}


PAGES: dict[str, tuple[str, str, object]] = {
    "reddit": ("reddit", "_text", page(comment("a1", "t3_k1"), comment("a2", "t3_k1"))),
    "discourse": ("discourse", "_read", {"latest_posts": [post(1, 11, 1), post(2, 11, 2)]}),
    "twitter": ("twitter_v2", "_words", {"data": [v2(101), v2(102)], "meta": {}}),
    "twitter, first API": ("twitter_v1", "_words", {"statuses": [v1(101), v1(102)]}),
    "mastodon": ("mastodon", "_said", [toot(101), toot(102)]),
    "bluesky": ("bluesky", "event_of", {"posts": [skeet(101), skeet(102)]}),
    "facebook": ("facebook", "_words", {"data": [graph_post(21), graph_post(22)]}),
    "instagram": ("instagram", "_words", {"data": MEDIA["data"][1:] * 2}),
    "google_play": ("google_play", "_text", {"reviews": [play_review(1), play_review(2)]}),
    "app_store": ("app_store", "_stars", {"data": [store_review("1"), store_review("2")]}),
    "freshdesk": ("freshdesk", "_said", [desk_ticket(1), desk_ticket(2)]),
    "weibo": ("weibo", "_text", {"statuses": [weibo(101), weibo(102)]}),
    "linkedin": ("linkedin", "_created", linkedin.comments(1, 2)),
    "telegram": ("telegram", "said", [telegram.update(each, channel_post=telegram.post(each)) for each in (1, 2)]),
    "vk": ("vk_items", "said", {"response": {"items": [vk.post(1), vk.post(2)]}}),
    "youtube": ("youtube", "_text", youtube.listed(youtube.comment("1"), youtube.comment("2"))),
}
"""A page of two items, and a function of the mapper that is called for each."""


def observed(platform: str, payload: object, *own: str, host: str = "toot.example") -> list[Observation | LeftOut]:
    return [*mapper(platform)(payload, Origin(host, frozenset(own)))]


@pytest.mark.parametrize("name", PAGES)
def test_an_item_that_breaks_its_mapper_costs_no_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, payload = PAGES[name]
    within = import_module(f"pipeline.sources.platforms.{module}")
    whole, called = getattr(within, function), list[object]()

    def breaks_at_first(*args: Any) -> Any:
        called.append(args)
        if len(called) == 1:
            raise KeyError("a fault of the mapper")
        return whole(*args)

    monkeypatch.setattr(within, function, breaks_at_first)
    found = observed(name.split(",")[0], payload)
    assert LeftOut("unexpected KeyError") in found and sum(isinstance(each, Observation) for each in found) == 1


@pytest.mark.parametrize(
    ("platform", "payload"),
    [
        ("reddit", page(comment("a1", "t3_k1", body=f"{ENDLESS} *x*"), comment("a2", "t3_k1"))),
        ("discourse", {"latest_posts": [post(1, 11, 1, cooked=f"<p>{ENDLESS}</p>"), post(2, 11, 2)]}),
        ("twitter", {"data": [{**v2(101), "text": ENDLESS}, v2(102)], "meta": {}}),
        ("mastodon", [{**toot(101), "content": f'<p>{ENDLESS}<a href="https://a.example/{ENDLESS}">x</a>'}, toot(102)]),
        ("weibo", {"statuses": [{**weibo(101), "text": ENDLESS}, weibo(102)]}),
        ("rss", f"<rss version='2.0'><channel><item><guid>1</guid><description>&lt;p&gt;&amp;{ENDLESS[1:]}</description></item>"
                f"<item><guid>2</guid><title>It leaks</title></item></channel></rss>".encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_number_without_end_in_a_text_costs_no_item(platform: str, payload: object) -> None:
    assert len([each for each in observed(platform, payload) if isinstance(each, Observation)]) == 2


@pytest.mark.parametrize(
    "text",
    ["<br> <!-- it leaks --> x", "<br><acme it leaks>", "<br <acme it leaks", "<br><style>it leaks</style>", "&lt;br>it leaks"],
)
def test_no_tag_hides_words_on_vk_where_there_are_none(text: str) -> None:
    (seen,) = observed("vk", {"response": {"items": [vk.post(1, text=text)]}})
    assert isinstance(seen, Observation) and "it leaks" in seen.event["text"]


def test_an_id_without_end_costs_nothing_of_what_is_said_below() -> None:
    said = {"data": [{"id": "21_1", "created_time": NOW, "message": "It leaks", "comment_count": 0}]}
    (comment,) = [
        each
        for each in observed("facebook", {"data": [graph_post(21, id="1" * 5_000, comments=said)]})
        if each[0] != "post without an id"
    ]
    assert isinstance(comment, Observation) and "conversation_id" not in comment.event


def test_a_page_of_a_million_things_that_are_no_items_keeps_no_errors() -> None:
    def no_item(item: JsonObject) -> list[Observation | LeftOut]:
        raise Unreadable("no item")

    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="no item"):
            readable([{}] * 50_000, no_item)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_numbers_beyond_all_times_are_none() -> None:
    for number in (10**400, -(10**400), float("inf"), float("nan"), 1e308):
        assert time_of_seconds(number) is None and time_of_milliseconds(number) is None


# --- whose an item is -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("platform", "by"),
    [
        ("twitter", lambda handle: {"data": [v2(1 << 50)], "includes": {"users": [{"id": "7", "username": handle}]}}),
        ("mastodon", lambda handle: [{**toot(1), "account": {**toot(1)["account"], "acct": handle}}]),
        ("reddit", lambda handle: comment("a1", "t3_k1", author=handle)),
    ],
)
def test_a_stranger_who_calls_himself_by_our_id_is_not_us(platform: str, by: Callable[[str], object]) -> None:
    def directions(handle: str, own: str) -> set[str]:
        found = observed(platform, by(handle), own)
        return {each.event.get("direction", "inbound") for each in found if isinstance(each, Observation)}

    ours = "t2_abc1" if platform == "reddit" else "783214"
    assert directions(ours, ours) == {"inbound"} and directions("acme_care", "acme_care") == {"outbound"}
    assert directions("acme_care", "t2_o1" if platform == "reddit" else "7") == {"outbound"}


def feed(guid: str) -> bytes:
    return f"<rss version='2.0'><channel><item><guid>{guid}</guid><title>It leaks</title></item></channel></rss>".encode()


@pytest.mark.parametrize(
    ("guid", "key"),
    [
        ("https://blog.example/1", "https://blog.example/1"),
        ("http://www.Blog.example:8080/1", "http://www.Blog.example:8080/1"),
        ("tag:blog.example,2026:1", "tag:blog.example,2026:1"),
        ("https://news.example/1", "blog.example:https://news.example/1"),
        ("https://blog.example.evil/1", "blog.example:https://blog.example.evil/1"),
        ("https://blog.example@news.example/1", "blog.example:https://blog.example@news.example/1"),
        ("tag:news.example,2026:1", "blog.example:tag:news.example,2026:1"),
        ("urn:uuid:1", "blog.example:urn:uuid:1"),
    ],
)
def test_a_feed_names_no_items_of_another_host(guid: str, key: str) -> None:
    (found,) = observed("rss", feed(guid), host="blog.example")
    assert isinstance(found, Observation) and found.event["id"] == key


@pytest.mark.parametrize(
    ("checks", "direction"),
    [
        ((), "outbound"),
        (("mx.example; dmarc=pass header.from=shop.example",), "outbound"),
        (("mx.example; dkim=none; spf=none; dmarc=none action=none",), "outbound"),
        (("mx.example; spf=softfail; dkim=pass header.d=shop.example",), "outbound"),
        (("mx.example; dmarc=fail (p=REJECT) header.from=shop.example",), "inbound"),
        (("mx.example 1;\n spf=fail (no: dkim=pass) smtp.mailfrom=a@b.example; dkim=none",), "inbound"),
        (("mx.example; dmarc=fail", "evil.example; dmarc=pass; dkim=pass; spf=pass"), "inbound"),
    ],
)
def test_a_mail_that_forges_our_address_is_not_ours(checks: tuple[str, ...], direction: str) -> None:
    head = "".join(f"Authentication-Results: {check}\n" for check in checks) + HEAD.replace("ada@mail", "help@shop")
    first = seen(f"{head}\n\nIt is cold.")[0]
    assert isinstance(first, Observation) and first.event["direction"] == direction
    assert first.event["author"].get("id") == ("help@shop.example" if direction == "outbound" else None)


def test_a_second_mail_of_one_message_id_overwrites_nothing() -> None:
    known = Known()
    first, second = f"{HEAD}\n\nIt is cold.".encode(), f"{HEAD}\n\nIt is fine.".replace("Ada", "Eve").encode()
    sent = [*known.changes(_observations(first), NOW)]
    assert [each["operation"] for each in sent] == ["create"] and [*known.changes(_observations(second), NOW)] == []


def _observations(mail: bytes) -> list[Observation]:
    return [each for each in mapper("email")(mail, OWN) if isinstance(each, Observation)]


# --- time and memory ------------------------------------------------------------------------------------------------
def test_charsets_that_nobody_knows_are_not_remembered() -> None:
    before = len(_cache)
    parts = "".join(f"--x\nContent-Type: text/plain; charset=unknown{number}\n\n\u00e9\n" for number in range(200))
    subject = " ".join(f"=?none{number}?q?=E9?=" for number in range(200))
    mail = HEAD.replace("Kettle", subject) + f"\nContent-Type: multipart/mixed; boundary=x\n\n{parts}"
    seen(mail.encode("latin-1"))
    assert len(_cache) - before < 20


def test_charsets_are_guessed_a_limited_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    guesses = list[bytes]()

    def counted(data: bytes) -> Any:
        guesses.append(data)
        return recognise(data)

    monkeypatch.setattr("pipeline.sources.platforms.email_headers.recognise", counted)
    parts = "".join(f"--x\nContent-Type: text/plain\n\n\u00e9 {number}\n" for number in range(500))
    words = " ".join(f"=?{'utf-8' if number % 2 else 'ascii'}?q?=E9{number}?=" for number in range(300))
    mail = HEAD.replace("Kettle", words) + f"\nContent-Type: multipart/mixed; boundary=x\n\n{parts}"
    seen(mail.encode("latin-1"))
    assert len(guesses) <= 3 * MOST_GUESSES


def test_the_mentions_of_a_long_post_are_read_in_a_moment() -> None:
    facet = {
        "features": [{"$type": "app.bsky.richtext.facet#mention", "did": "did:plc:b"}],
        "index": {"byteStart": 0, "byteEnd": 3},
    }
    record = {"text": "é" * 500_000, "createdAt": NOW, "facets": [facet] * 5_000}
    began = time.process_time()
    found = observed("bluesky", {"posts": [{**skeet(1), "record": record}]})
    assert time.process_time() - began < 1 and isinstance(found[0], Observation)
