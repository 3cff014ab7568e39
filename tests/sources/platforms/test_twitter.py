"""X's payloads, each with all that comes of it."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.twitter import observe
from tests.sources.platforms.twitter_payloads import ACTIVITY, DM_LINE, OLD_MESSAGE, POLL_PAGE, SEARCH, SHARE
from tests.support.platform_events import table

ORIGIN = Origin(own=frozenset(("300", "brewlinehelp")))


def seen(payload: object, origin: Origin = ORIGIN) -> list[Observation | LeftOut]:
    return list(observe(payload, origin))


# --- whole payloads -------------------------------------------------------------------------------------------------
def test_a_page_of_api_v2() -> None:
    lina = {
        "id": "100",
        "handle": "lina_pours",
        "name": "Lina & Sons",
        "followers": 52,
        "following": 61,
        "verified": False,
        "url": "https://x.com/lina_pours",
        "bio": "Pours at https://lina.example/shop",
    }
    shop = {
        "id": "300",
        "handle": "BrewlineHelp",
        "name": "Brewline Help",
        "kind": "organisation",
        "followers": 9_000,
        "following": 3,
        "verified": True,
        "url": "https://x.com/BrewlineHelp",
    }
    assert seen(POLL_PAGE) == [
        Observation(  # included: quoted in the first post, and edited
            {
                "id": "2029436745937846273",
                "platform": "twitter",
                "kind": "post",
                "created_at": "2026-03-05T06:00:00Z",
                "text": "The new kettle is here",
                "language": "en",
                "direction": "outbound",
                "author": shop,
                "conversation_id": "2029436745937846273",
                "metrics": {"likes": 40, "shares": 7, "replies": 2, "views": 5_100},
            },
            at="2026-03-05T06:20:00Z",
            original=POLL_PAGE["includes"]["tweets"][0],
        ),
        Observation(
            {
                "id": "2029451845432246275",
                "platform": "twitter",
                "kind": "reply",
                "created_at": "2026-03-05T07:00:00Z",
                "text": "loud & slow: https://blog.example/kettle?a=1&b=2 #kettle",
                "language": "en",
                "mentions": ["BrewlineHelp"],
                "hashtags": ["kettle"],
                "urls": ["https://blog.example/kettle?a=1&b=2"],
                "location": "Leeds, England",
                "author": lina,
                "conversation_id": "2029400000000000000",
                "metrics": {"likes": 3, "shares": 1, "replies": 0, "views": 210},
                "target": "2029436745937846273",
                "in_reply_to": "2029400000000000000",
            },
            at="2026-03-05T07:00:00Z",
            original=POLL_PAGE["data"][0],
        ),
        Observation(
            {
                "id": "2029451866403766276",
                "platform": "twitter",
                "kind": "repost",
                "created_at": "2026-03-05T07:00:05Z",
                "text": "The new kettle is here",
                "language": "en",
                "author": {"id": "101"},
                "conversation_id": "2029451866403766276",
                "in_reply_to": "2029436745937846273",
                "target": "2029436745937846273",
            },
            partial=frozenset({"author"}),
            original=POLL_PAGE["data"][1],
        ),
        Observation(  # a long one, without its fields but for id, text and note
            {
                "id": "2029452097090486277",
                "platform": "twitter",
                "kind": "post",
                "created_at": "2026-03-05T07:01:00Z",
                "text": "the whole of a long text",
            },
            partial=frozenset({"text", "author"}),
            original=POLL_PAGE["data"][2],
        ),
        LeftOut("no id"),
        LeftOut("no object"),
        LeftOut("error"),
    ]


def test_a_page_of_api_v1() -> None:
    mo = {
        "id": "200",
        "handle": "mo_sips",
        "name": "Mo",
        "followers": 10,
        "following": 20,
        "verified": False,
        "url": "https://x.com/mo_sips",
    }
    own = {"id": "300", "handle": "BrewlineHelp", "name": "Brewline Help", "url": "https://x.com/BrewlineHelp"}
    original = {
        "id": "991980684702646280",
        "platform": "twitter",
        "kind": "post",
        "created_at": "2018-05-03T10:00:00Z",
        "text": "Two cups < three cups, says https://shop.example/cups",
        "language": "id",
        "mentions": ["mo_sips"],
        "hashtags": ["cups"],
        "urls": ["https://shop.example/cups"],
        "direction": "outbound",
        "author": own,
        "metrics": {"likes": 8, "shares": 2},
    }
    said = {name: original[name] for name in ("text", "language", "mentions", "hashtags", "urls")}
    assert seen(SEARCH) == [
        Observation(original, original=SEARCH["statuses"][0]["retweeted_status"]),
        Observation(
            {
                "id": "991995784197046281",
                "platform": "twitter",
                "kind": "repost",
                "created_at": "2018-05-03T11:00:00Z",
                **said,
                "visibility": "private",
                "author": mo,
                "target": "991980684702646280",
                "in_reply_to": "991980684702646280",
            },
            original=SEARCH["statuses"][0],
        ),
        Observation(
            {
                "id": "992010883691446282",
                "platform": "twitter",
                "kind": "reply",
                "created_at": "2018-05-03T12:00:00Z",
                "text": "see this",
                "mentions": ["BrewlineHelp"],
                "location": "Leeds, England",
                "author": mo,
                "metrics": {"likes": 0, "shares": 0, "replies": 4},
                "target": "991980684702646280",
                "in_reply_to": "991980000000000000",
            },
            original=SEARCH["statuses"][1],
        ),
        Observation(
            {
                "id": "992025983185846283",
                "platform": "twitter",
                "kind": "post",
                "created_at": "2018-05-03T13:00:00Z",
                "text": "cut in the mid…",
                "author": {"id": "201"},
            },
            partial=frozenset({"text", "author"}),
            original=SEARCH["statuses"][2],
        ),
    ]


def test_lines_of_the_activity_stream() -> None:
    assert seen(DM_LINE) == [
        Observation(
            {
                "id": "2029452348748726278",
                "platform": "twitter",
                "kind": "message",
                "created_at": "2026-03-05T07:02:00.250Z",
                "text": "where is it? https://shop.example/order",
                "visibility": "private",
                "author": {
                    "id": "100",
                    "handle": "lina_pours",
                    "name": "Lina",
                    "followers": 52,
                    "following": 61,
                    "url": "https://x.com/lina_pours",
                },
                "urls": ["https://shop.example/order"],
                "conversation_id": "100-300",
            },
            original=DM_LINE["data"]["payload"]["direct_message_events"][0],
        ),
        Observation(
            {
                "id": "2029452600406966279",
                "platform": "twitter",
                "kind": "message",
                "direction": "outbound",
                "created_at": "2026-03-05T07:03:00Z",
                "text": "on its way",
                "visibility": "private",
                "author": {"id": "300"},
                "conversation_id": "100-300",
            },
            partial=frozenset({"author"}),
            original=DM_LINE["data"]["payload"]["direct_message_events"][1],
        ),
        LeftOut("other event of a conversation"),
    ]
    assert seen(OLD_MESSAGE)[0].event["conversation_id"] == "200-300"  # type: ignore[union-attr]
    assert seen(ACTIVITY["like.create"]) == [
        Observation(
            {
                "id": "8f00aa",
                "platform": "twitter",
                "kind": "like",
                "direction": "outbound",
                "created_at": "2026-03-05T07:01:00.500Z",
                "author": {"id": "300"},
                "target": "2029451845432246275",
            },
            partial=frozenset({"author"}),
            original=ACTIVITY["like.create"]["data"]["payload"],
        )
    ]
    assert seen(ACTIVITY["post.delete"]) == [Observation({"id": "2029451845432246275", "platform": "twitter"}, deleted=True)]
    assert table(seen(ACTIVITY["post.mention.create"])) == {"post": 1}
    assert seen(ACTIVITY["follow.follow"]) == [LeftOut("follow")]
    assert seen(ACTIVITY["sale.start"]) == [LeftOut("other event")]


def test_an_activity_that_shares_another() -> None:
    original = {
        "id": "991980684702646280",
        "platform": "twitter",
        "kind": "post",
        "created_at": "2018-05-03T10:00:00Z",
        "text": "the long text of https://shop.example/cups",
        "language": "en",
        "urls": ["https://shop.example/cups"],
        "location": "Leeds",
        "author": {"id": "300", "handle": "BrewlineHelp", "url": "https://x.com/BrewlineHelp", "followers": 9},
        "direction": "outbound",
        "metrics": {"likes": 8, "shares": 2},
    }
    share = {
        "id": "991995784197046281",
        "platform": "twitter",
        "kind": "repost",
        "created_at": "2018-05-03T11:00:00Z",
        **{name: original[name] for name in ("text", "language", "urls")},
        "author": {"id": "200", "handle": "mo_sips", "name": "Mo", "url": "https://x.com/mo_sips", "bio": "sips"},
        "target": "991980684702646280",
        "in_reply_to": "991980684702646280",
    }
    assert seen(SHARE) == [Observation(original, original=SHARE["object"]), Observation(share, original=SHARE)]
    gone = {"objectType": "activity", "verb": "delete", "object": {"id": "object:search.example,2005:42"}}
    assert seen(gone) == [Observation({"id": "42", "platform": "twitter"}, deleted=True)]
    assert seen({"objectType": "activity", "verb": "dance"}) == [LeftOut("other activity")]
