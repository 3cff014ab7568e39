"""Payloads in the shapes of X's APIs, about kettles and cups that nobody sells."""

from __future__ import annotations

from schemas.untyped import JsonObject

LINA: JsonObject = {
    "id": "100",
    "username": "lina_pours",
    "name": "Lina &amp; Sons",
    "verified": False,
    "verified_type": "none",
    "protected": False,
    "description": "Pours at https://t.co/lina",
    "entities": {"description": {"urls": [{"url": "https://t.co/lina", "expanded_url": "https://lina.example/shop"}]}},
    "url": "https://t.co/site",
    "public_metrics": {"followers_count": 52, "following_count": 61, "tweet_count": 7, "listed_count": 0},
}
SHOP: JsonObject = {
    "id": "300",
    "username": "BrewlineHelp",
    "name": "Brewline Help",
    "verified": True,
    "verified_type": "business",
    "description": "",
    "public_metrics": {"followers_count": 9_000, "following_count": 3},
}

# --- API v2 ---------------------------------------------------------------------------------------------------------
POLL_PAGE: JsonObject = {
    "data": [
        {
            "id": "2029451845432246275",
            "edit_history_tweet_ids": ["2029451845432246275"],
            "created_at": "2026-03-05T07:00:00.000Z",
            "author_id": "100",
            "conversation_id": "2029400000000000000",
            "in_reply_to_user_id": "300",
            "text": "@BrewlineHelp loud &amp; slow: https://t.co/blog #kettle https://t.co/quote https://t.co/photo",
            "display_text_range": [14, 70],
            "lang": "en",
            "referenced_tweets": [
                {"type": "replied_to", "id": "2029400000000000000"},
                {"type": "quoted", "id": "2029441779102646274"},
            ],
            "entities": {
                "mentions": [{"start": 0, "end": 13, "username": "BrewlineHelp", "id": "300"}],
                "hashtags": [{"start": 49, "end": 56, "tag": "kettle"}],
                "urls": [
                    {
                        "url": "https://t.co/blog",
                        "expanded_url": "https://short.example/1",
                        "unwound_url": "https://blog.example/kettle?a=1&b=2",
                        "display_url": "short.example/1",
                    },
                    {"url": "https://t.co/quote", "expanded_url": "https://x.com/BrewlineHelp/status/2029441779102646274?s=20"},
                    {
                        "url": "https://t.co/photo",
                        "expanded_url": "https://x.com/lina_pours/status/2029451845432246275/photo/1",
                        "media_key": "3_1",
                    },
                ],
            },
            "geo": {"place_id": "abc1"},
            "public_metrics": {
                "retweet_count": 1,
                "reply_count": 0,
                "like_count": 3,
                "quote_count": 5,
                "bookmark_count": 1,
                "impression_count": 210,
            },
        },
        {
            "id": "2029451866403766276",
            "created_at": "2026-03-05T07:00:05.000Z",
            "author_id": "101",
            "conversation_id": "2029451866403766276",
            "text": "RT @BrewlineHelp: The new kettle is he…",
            "lang": "en",
            "referenced_tweets": [{"type": "retweeted", "id": "2029441779102646274"}],
            "public_metrics": {"retweet_count": 7, "reply_count": 0, "like_count": 0, "quote_count": 0},
        },
        {"id": "2029452097090486277", "text": "the whole…", "note_tweet": {"text": "the whole of a long text"}},
        {"text": "without an id"},
        7,
    ],
    "includes": {
        "users": [LINA, SHOP],
        "tweets": [
            {
                "id": "2029441779102646274",
                "edit_history_tweet_ids": ["2029436745937846273", "2029441779102646274"],
                "created_at": "2026-03-05T06:20:00.000Z",
                "author_id": "300",
                "conversation_id": "2029436745937846273",
                "text": "The new kettle is here",
                "lang": "en",
                "public_metrics": {"retweet_count": 7, "reply_count": 2, "like_count": 40, "impression_count": 5_100},
            }
        ],
        "places": [{"id": "abc1", "full_name": "Leeds, England", "name": "Leeds", "country_code": "GB"}],
    },
    "errors": [{"title": "Not Found Error", "resource_type": "tweet", "value": "2029400000000000000"}],
    "meta": {"result_count": 5, "newest_id": "2029452097090486277", "next_token": "b26v"},
}

NEW_EDIT: JsonObject = {
    "data": {
        "id": "2029441779102646274",
        "edit_history_tweet_ids": ["2029436745937846273", "2029441779102646274"],
        "created_at": "2026-03-05T06:20:00.000Z",
        "text": "b",
        "lang": "en",
    },
    "matching_rules": [{"id": "1", "tag": "kettles"}],
}


# --- the activity stream --------------------------------------------------------------------------------------------
def activity(name: str, payload: JsonObject, **fields: object) -> JsonObject:
    said = {"event_uuid": "-5", "filter": {"user_id": "300", "direction": "outbound"}, "event_type": name, "payload": payload}
    return {"data": {**said, **fields}}


def dm(name: str, sender: str, to: str, at: str, said: JsonObject) -> JsonObject:
    made = {"sender_id": sender, "target": {"recipient_id": to}, "message_data": said}
    return {"type": "message_create", "id": name, "created_timestamp": at, "message_create": made}


DM_LINE = activity(
    "dm.received",
    {
        "direct_message_events": [
            dm(
                "2029452348748726278",
                "100",
                "300",
                "1772694120250",
                {
                    "text": "where is it? https://t.co/order",
                    "entities": {"urls": [{"url": "https://t.co/order", "expanded_url": "https://shop.example/order"}]},
                },
            ),
            dm("2029452600406966279", "300", "100", "", {"text": "on its way", "entities": {"urls": []}}),
            {"type": "participants_join", "id": "1"},
        ],
        "users": {
            "100": {
                "data": {
                    "id": "100",
                    "username": "lina_pours",
                    "name": "Lina",
                    "public_metrics": {"followers_count": 52, "following_count": 61},
                }
            }
        },
    },
)
ACTIVITY: dict[str, JsonObject] = {
    "like.create": activity(
        "like.create",
        {
            "id": "8f00aa",
            "created_at": "2026-03-05T07:01:00.000Z",
            "timestamp_ms": "1772694060500",
            "liked_tweet_id": "2029451845432246275",
            "liked_tweet_author_id": "100",
        },
    ),
    "post.delete": activity("post.delete", {"id": "2029451845432246275", "author_id": "100"}),
    "post.mention.create": activity("post.mention.create", {"id": "2029451845432246275", "text": "hi @BrewlineHelp"}),
    "follow.follow": activity("follow.follow", {"source": {"data": LINA}, "target": {"data": SHOP}}),
    "sale.start": activity("sale.start", {}),
}

# --- API v1.1 -------------------------------------------------------------------------------------------------------
MO: JsonObject = {
    "id": 200,
    "id_str": "200",
    "name": "Mo",
    "screen_name": "mo_sips",
    "description": None,
    "followers_count": 10,
    "friends_count": 20,
    "verified": False,
    "protected": False,
}
SEARCH: JsonObject = {
    "statuses": [
        {
            "created_at": "Thu May 03 11:00:00 +0000 2018",
            "id": 991995784197046300,
            "id_str": "991995784197046281",
            "text": "RT @BrewlineHelp: @mo_sips Two cups &lt; three cu…",
            "truncated": False,
            "entities": {"user_mentions": [{"screen_name": "BrewlineHelp", "id_str": "300"}], "urls": [], "hashtags": []},
            "user": {**MO, "protected": True},
            "lang": "in",
            "retweet_count": 2,
            "favorite_count": 0,
            "retweeted_status": {
                "created_at": "Thu May 03 10:00:00 +0000 2018",
                "id_str": "991980684702646280",
                "text": "@mo_sips Two cups &lt; three… https://t.co/more",
                "truncated": True,
                "entities": {
                    "urls": [
                        {"url": "https://t.co/more", "expanded_url": "https://twitter.com/i/web/status/991980684702646280"}
                    ]
                },
                "extended_tweet": {
                    "full_text": "@mo_sips Two cups &lt; three cups, says https://t.co/cups https://t.co/pic",
                    "display_text_range": [9, 57],
                    "entities": {
                        "user_mentions": [{"screen_name": "mo_sips"}],
                        "hashtags": [{"text": "cups", "indices": [0, 5]}],
                        "urls": [{"url": "https://t.co/cups", "expanded_url": "https://shop.example/cups"}],
                        "media": [
                            {"url": "https://t.co/pic", "expanded_url": "https://twitter.com/BrewlineHelp/status/1/photo/1"}
                        ],
                    },
                },
                "user": {"id_str": "300", "screen_name": "BrewlineHelp", "name": "Brewline Help"},
                "lang": "in",
                "retweet_count": 2,
                "favorite_count": 8,
                "place": None,
            },
        },
        {
            "created_at": "Thu May 03 12:00:00 +0000 2018",
            "id_str": "992010883691446282",
            "full_text": "@BrewlineHelp see this https://t.co/seen",
            "display_text_range": [14, 22],
            "entities": {
                "user_mentions": [{"screen_name": "BrewlineHelp"}],
                "urls": [
                    {"url": "https://t.co/seen", "expanded_url": "https://twitter.com/BrewlineHelp/status/991980684702646280"}
                ],
            },
            "in_reply_to_status_id_str": "991980000000000000",
            "is_quote_status": True,
            "quoted_status_id_str": "991980684702646280",
            "user": MO,
            "lang": "und",
            "reply_count": 4,
            "retweet_count": 0,
            "favorite_count": 0,
            "place": {"full_name": "Leeds, England", "country": "United Kingdom"},
        },
        {
            "created_at": "Thu May 03 13:00:00 +0000 2018",
            "id_str": "992025983185846283",
            "text": "cut in the mid… https://t.co/more",
            "truncated": True,
            "entities": {
                "urls": [{"url": "https://t.co/more", "expanded_url": "https://twitter.com/i/web/status/992025983185846283"}]
            },
            "user": {"id_str": "201"},
        },
    ],
    "search_metadata": {"count": 3, "max_id_str": "992025983185846283"},
}
OLD_MESSAGE: JsonObject = {
    "id_str": "992025983185846283",
    "created_at": "Thu May 03 13:00:00 +0000 2018",
    "text": "psst",
    "sender": MO,
    "sender_id": 200,
    "recipient": {"id_str": "300", "screen_name": "BrewlineHelp"},
    "recipient_id": 300,
    "entities": {"urls": []},
}

# --- Activity Streams -----------------------------------------------------------------------------------------------
SHARE: JsonObject = {
    "id": "tag:search.example,2005:991995784197046281",
    "objectType": "activity",
    "verb": "share",
    "actor": {
        "objectType": "person",
        "id": "id:x.example:200",
        "preferredUsername": "mo_sips",
        "displayName": "Mo",
        "summary": "sips",
    },
    "postedTime": "2018-05-03T11:00:00.000Z",
    "body": "RT @BrewlineHelp: the lo…",
    "retweetCount": 2,
    "favoritesCount": 0,
    "twitter_lang": "en",
    "object": {
        "id": "tag:search.example,2005:991980684702646280",
        "objectType": "activity",
        "verb": "post",
        "actor": {"id": "id:x.example:300", "preferredUsername": "BrewlineHelp", "followersCount": 9},
        "postedTime": "2018-05-03T10:00:00.000Z",
        "body": "the lo…",
        "long_object": {
            "body": "the long text of https://t.co/cups",
            "twitter_entities": {"urls": [{"url": "https://t.co/cups", "expanded_url": "https://shop.example/cups"}]},
        },
        "location": {"objectType": "place", "displayName": "Leeds"},
        "object": {"objectType": "note", "id": "object:search.example,2005:991980684702646280"},
        "retweetCount": 2,
        "favoritesCount": 8,
        "twitter_lang": "en",
    },
}
