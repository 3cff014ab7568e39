"""Weibo: statuses of the API and of the mobile site, a table of comments, a vendor's export."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.weibo import observe
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

HERE = Origin()
FOLDER = RECORDED / "platforms" / "weibo"
EXPECTED = {
    "weibo_statuses.json": {"post": 5, "repost": 1},
    "vendor_weibo.json": {"post": 100},
    "weibo_comments.csv": {"comment": 1_121},
}


def user(number: int, **rest: Any) -> dict[str, Any]:
    return {
        "id": number,
        "idstr": str(number),
        "class": 1,
        "screen_name": f"壶友{number}",
        "name": f"壶友{number}",
        "province": "31",
        "location": "上海 徐汇区",
        "description": "",
        "url": "",
        "profile_url": f"u/{number}",
        "domain": "",
        "gender": "f",
        "followers_count": 120,
        "friends_count": 80,
        "created_at": "Sun Feb 27 08:00:00 +0800 2011",
        "verified": False,
        "verified_type": -1,
        "lang": "zh-cn",
        **rest,
    }


def status(number: int, **rest: Any) -> dict[str, Any]:
    return {
        "created_at": "Tue Aug 06 11:51:07 +0800 2013",
        "id": number,
        "mid": str(number),
        "idstr": str(number),
        "text": "水开了",
        "source": '<a href="http://app.example/" rel="nofollow">客户端</a>',
        "favorited": False,
        "truncated": False,
        "in_reply_to_status_id": "",
        "in_reply_to_user_id": "",
        "pic_ids": [],
        "geo": None,
        "user": user(1_000_000_001),
        "reposts_count": 0,
        "comments_count": 0,
        "attitudes_count": 0,
        "visible": {"type": 0, "list_id": 0},
        **rest,
    }


def seen(payload: object, origin: Origin = HERE) -> list[Observation]:
    found = list(observe(payload, origin))
    assert all(isinstance(each, Observation) for each in found)
    observations = [each for each in found if isinstance(each, Observation)]
    for each in observations:
        check("weibo", each)
    return observations


# --- three payloads, all their events -------------------------------------------------------------------------------
def test_an_answer_with_a_repost() -> None:
    maker = user(2_000_000_002, screen_name="水壶官方", name="水壶官方", profile_url="kettlemaker", description="壶")
    original = status(
        3_600_000_000_000_001,
        created_at="Mon Aug 05 23:00:00 +0800 2013",
        text="#夏日新壶#上市了 http://t.example/abc &lt;三色&gt; @茶馆-01：来看",
        user={**maker, "verified": True, "verified_type": 2, "followers_count": 50_321, "friends_count": 7},
        reposts_count=12,
        comments_count=3,
        attitudes_count=1,
    )
    repost = status(3_600_000_000_000_002, text="转发微博", retweeted_status=original, comments_count=1)
    first, second = seen({"statuses": [repost], "total_number": 1})
    assert first == Observation(
        {
            "platform": "weibo",
            "id": "3600000000000001",
            "kind": "post",
            "created_at": "2013-08-05T15:00:00Z",
            "text": "#夏日新壶#上市了 http://t.example/abc <三色> @茶馆-01：来看",
            "mentions": ["茶馆-01"],
            "hashtags": ["夏日新壶"],
            "urls": ["http://t.example/abc"],
            "visibility": "public",
            "author": {
                "id": "2000000002",
                "handle": "水壶官方",
                "name": "水壶官方",
                "kind": "organisation",
                "followers": 50_321,
                "following": 7,
                "verified": True,
                "url": "https://weibo.com/kettlemaker",
                "bio": "壶",
            },
            "metrics": {"likes": 1, "shares": 12, "replies": 3},
        },
        original=original,
    )
    assert second == Observation(
        {
            "platform": "weibo",
            "id": "3600000000000002",
            "kind": "repost",
            "created_at": "2013-08-06T03:51:07Z",
            "text": "转发微博",
            "visibility": "public",
            "author": {
                "id": "1000000001",
                "handle": "壶友1000000001",
                "name": "壶友1000000001",
                "kind": "person",
                "followers": 120,
                "following": 80,
                "verified": False,
                "url": "https://weibo.com/u/1000000001",
            },
            "target": "3600000000000001",
            "metrics": {"likes": 0, "shares": 0, "replies": 1},
        },
        original=repost,
    )


def test_rows_of_comments() -> None:
    text = (
        ",user_name,created_at,attitudes_count,comments\n"
        "0,茶友甲,Tue Dec 01 14:13:09 +0800 2020,0,壶盖太紧[允悲]\n"
        "1,茶友乙,Sat Nov 28 01:05:30 +0800 2020,12,@茶友甲 我的也是\n"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    first, second = seen(rows)
    assert first.event == {
        "platform": "weibo",
        "id": "comment-2543bbde45e87d37",
        "kind": "comment",
        "created_at": "2020-12-01T06:13:09Z",
        "text": "壶盖太紧[允悲]",
        "author": {"handle": "茶友甲", "name": "茶友甲"},
        "metrics": {"likes": 0},
    }
    assert second.event == {
        "platform": "weibo",
        "id": "comment-d35f6fb7be37fc7b",
        "kind": "comment",
        "created_at": "2020-11-27T17:05:30Z",
        "text": "@茶友甲 我的也是",
        "mentions": ["茶友甲"],
        "author": {"handle": "茶友乙", "name": "茶友乙"},
        "metrics": {"likes": 12},
    }
    assert [each.original for each in (first, second)] == rows
    assert seen([rows[0], {**rows[0], "": "7"}])[1].event == first.event, "the number of a row is no part of its id"


def test_a_vendors_post() -> None:
    post = {
        "Rank": 12.5,
        "Id": "weibo:4900000000000001",
        "Mid": "4900000000000001",
        "Domain": "weibo.com",
        "Url": "https://weibo.example/1000000003/AbCdEf",
        "Author": {"Id": "weibo:1000000003", "DisplayName": "茶友丙", "Type": "verified"},
        "Text": "新壶\n到了 #开箱#",
        "PubTime": "/Date(1735800000000)/",
        "PubFrom": "",
        "CommentCount": None,
        "ForwardCount": 3,
        "ImageUrls": ["https://wx1.example/a.jpg"],
        "TargetKeywords": ["水壶"],
    }
    assert seen([post]) == [
        Observation(
            {
                "platform": "weibo",
                "id": "4900000000000001",
                "kind": "post",
                "created_at": "2025-01-02T06:40:00Z",
                "text": "新壶\n到了 #开箱#",
                "hashtags": ["开箱"],
                "author": {"id": "1000000003", "handle": "茶友丙", "name": "茶友丙", "verified": True},
                "metrics": {"shares": 3},
            },
            partial=frozenset({"author"}),
            original=post,
        )
    ]


# --- details --------------------------------------------------------------------------------------------------------
def test_html_of_the_mobile_site() -> None:
    text = (
        '水壶<span class="url-icon"><img alt=[哈哈] src="https://h5.example/haha.png" style="width:1em;" /></span><br />'
        '<a href="https://m.weibo.example/search?q=x"><span class="surl-text">#夏日新壶#</span></a>'
        "<a href='/n/茶馆'>@茶馆</a> "
        '<a data-url="http://t.example/a?b=1&amp;c=2" href="https://shop.example/"><span class="surl-text">网页链接</span></a>'
        '...<a href="/status/1">全文</a>'
    )
    (found,) = seen(status(1, text=text, isLongText=True))
    assert found.event["text"] == "水壶[哈哈]\n#夏日新壶#@茶馆 网页链接...全文"
    assert (found.event["hashtags"], found.event["mentions"]) == (["夏日新壶"], ["茶馆"])
    assert found.event["urls"] == ["http://t.example/a?b=1&c=2"]
    assert found.partial == {"text"}
    whole = {"longText": {"longTextContent": "水壶 第二行"}, "isLongText": True}
    (found,) = seen(status(1, text=text, **whole))
    assert (found.event["text"], found.partial) == ("水壶 第二行", frozenset())


@pytest.mark.parametrize(
    ("count", "likes"),
    [(7, 7), ("7", 7), ("1万+", 10_000), ("100万+", 1_000_000), ("1.2万", 12_000), ("1亿", 10**8), ("", None), ("赞", None),
     (-1, None), (True, None), (None, None), (1.5, None), ("999999999999亿", None)],
)  # fmt: skip
def test_counts(count: object, likes: int | None) -> None:
    (found,) = seen(status(1, attitudes_count=count))
    assert found.event["metrics"].get("likes") == likes


def test_a_deleted_status_and_its_repost() -> None:
    gone = {"created_at": "Tue Aug 06 11:51:07 +0800 2013", "id": 5, "mid": "5", "idstr": "5", "text": "抱歉", "deleted": "1"}
    first, second = seen(status(6, retweeted_status=gone))
    assert (first.event, first.deleted) == ({"platform": "weibo", "id": "5"}, True)
    assert (second.event["kind"], second.event["target"]) == ("repost", "5")


def test_who_may_read_it_a_reply_and_an_edit() -> None:
    edit = "Tue Aug 06 12:00:00 +0800 2013"
    (found,) = seen(status(9, visible={"type": 1}, in_reply_to_status_id="8", edit_at=edit))
    assert (found.event["visibility"], found.event["kind"], found.event["in_reply_to"]) == ("private", "reply", "8")
    assert found.at == "2013-08-06T04:00:00Z"


@pytest.mark.parametrize("own", ["1000000001", "壶友1000000001"])
def test_ones_own_statuses_are_outbound(own: str) -> None:
    (found,) = seen(status(9), Origin(own=frozenset({own})))
    assert found.event["direction"] == "outbound"
    assert "direction" not in seen(status(9), Origin(own=frozenset({"another"})))[0].event


def test_parts_that_are_left_out() -> None:
    payload = [
        status(1, created_at="3分钟前"),
        {**status(1), "idstr": "", "mid": None, "id": None},
        {"Mid": "1", "PubTime": "yesterday"},
        {"Mid": 1.5, "PubTime": "/Date(1735800000000)/"},
        {"user_name": "a", "created_at": "2020-12-01", "comments": "b"},
        {"ad": 1},
    ]
    assert table(observe(payload, HERE)) == {
        "-status without a time": 1,
        "-status without an id": 1,
        "-post without a time": 1,
        "-post without an id": 1,
        "-comment without a time": 1,
        "-item of another shape": 1,
    }


# --- bad payloads ---------------------------------------------------------------------------------------------------
ERROR = {"error": "applications over the unaudited use restrictions!", "error_code": 21321, "request": "/2/x.json"}


@pytest.mark.parametrize("payload", [None, 1, "<html>", b"", {}, ERROR, {"statuses": {}}, ["x", 1], [[]], {"text": 1, "id": 2}])
def test_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable) as error:
        list(observe(payload, HERE))
    assert "unaudited" not in str(error.value)


def test_an_empty_page_has_no_items() -> None:
    assert list(observe({"statuses": [], "total_number": 0}, HERE)) == list(observe([], HERE)) == []


NAMES = st.sampled_from(
    ["id", "idstr", "mid", "text", "user", "created_at", "retweeted_status", "deleted", "visible", "type", "longText",
     "longTextContent", "isLongText", "geo", "reposts_count", "Mid", "PubTime", "Author", "Id", "DisplayName", "Text",
     "user_name", "comments", "attitudes_count", "screen_name", "verified", "verified_type", "profile_url", "edit_at",
     "statuses"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("9" * 1_200),
    st.sampled_from(["1万+", "Tue Aug 06 11:51:07 +0800 2013", "/Date(1735800000000)/", "<a href='", "#a#", "@b", "壶" * 400]),
)  # fmt: skip
GARBLED = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=9), max_leaves=30
)


def check_all(payload: object) -> None:
    try:
        found = list(observe(payload, HERE))
    except Unreadable:
        return
    for each in found:
        if not isinstance(each, LeftOut):
            check("weibo", each)


@given(GARBLED)
def test_garbled_payloads_are_read_or_unreadable(payload: object) -> None:
    check_all(payload)


@given(st.sampled_from(sorted(status(1).keys() | {"retweeted_status", "deleted", "longText"})), GARBLED)
def test_a_status_with_one_garbled_field(name: str, value: object) -> None:
    check_all(status(1, **{name: value}))


def test_payloads_with_a_value_that_no_platform_sends() -> None:
    vendor = {"Mid": "1", "PubTime": "/Date(1735800000000)/", "Author": {"Id": "weibo:1", "DisplayName": "a"}, "Text": "b"}
    row = {"user_name": "a", "created_at": "Tue Dec 01 14:13:09 +0800 2020", "attitudes_count": "1", "comments": "b"}
    for payload in ({"statuses": [status(2, retweeted_status=status(1))]}, [vendor], [row]):
        for each in garbled(payload, 500):
            check_all(each)


def test_statuses_inside_of_statuses_to_any_depth() -> None:
    payload = status(0)
    for number in range(1, 1_000):
        payload = status(number, retweeted_status=payload)
    assert table(observe(payload, HERE)) == {"post": 1, "repost": 999}


# --- recorded -------------------------------------------------------------------------------------------------------
def recorded(name: str) -> object:
    raw = (FOLDER / name).read_bytes()
    return orjson.loads(raw) if name.endswith(".json") else list(csv.DictReader(io.StringIO(raw.decode("gb18030"))))


@needs_recorded
@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_files(name: str) -> None:
    observations = list(observe(recorded(name), HERE))
    assert table(observations) == EXPECTED[name]
    for each in observations:
        assert isinstance(each, Observation)
        check("weibo", each)
        assert {"text", "author"} <= each.event.keys()


@needs_recorded
def test_every_recorded_file_is_expected() -> None:
    assert {path.name for path in FOLDER.iterdir()} == EXPECTED.keys()
