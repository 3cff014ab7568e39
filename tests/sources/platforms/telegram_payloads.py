"""Payloads as Telegram sends them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("5550", frozenset({"acme_care"}))
AT = 1_772_359_200  # 2026-03-01T10:00:00Z

CHANNEL: JsonObject = {"id": -1001, "type": "channel", "title": "Acme News", "username": "acme_news"}
GROUP: JsonObject = {"id": -1002, "type": "supergroup", "title": "Acme Talk", "username": "acme_talk"}
PRIVATE: JsonObject = {"id": 7, "type": "private", "first_name": "Vera", "last_name": "Steam", "username": "vera"}
VERA: JsonObject = {"id": 7, "is_bot": False, "first_name": "Vera", "last_name": "Steam", "username": "vera"}
OTTO: JsonObject = {"id": 9, "is_bot": False, "first_name": "Otto", "username": "Acme_Care"}


def message(number: int, chat: JsonObject, text: str | None = "It leaks.", **rest: object) -> JsonObject:
    found = {"message_id": number, "date": AT, "chat": chat, "from": VERA} | ({"text": text} if text else {})
    return {name: value for name, value in (found | rest).items() if value is not None}


def update(number: int, **body: object) -> JsonObject:
    return {"update_id": number, **body}


def post(number: int, text: str | None = "It leaks.", **rest: object) -> JsonObject:
    return message(number, CHANNEL, text, **{"from": None, "sender_chat": CHANNEL, **rest})


_FORWARD = {"type": "channel", "chat": {"id": -1009, "type": "channel", "title": "Tea"}, "message_id": 3, "date": AT}
_TEXT = "👍 @acme #kettle: acme.example, and here"
UPDATES: JsonObject = {
    "ok": True,
    "result": [
        update(1, channel_post=post(10, _TEXT, entities=[
            {"type": "mention", "offset": 3, "length": 5}, {"type": "hashtag", "offset": 9, "length": 7},
            {"type": "url", "offset": 18, "length": 12}, {"type": "bold", "offset": 0, "length": 2},
            {"type": "text_link", "offset": 36, "length": 4, "url": "https://acme.example/here"}, {"type": "url"}, 7,
        ])),
        update(2, edited_channel_post=post(11, None, caption="A photo #tea", photo=[{"file_id": "f"}], edit_date=AT + 60,
                                           caption_entities=[{"type": "hashtag", "offset": 8, "length": 4}])),
        update(3, channel_post=post(12, "See there", forward_origin=_FORWARD)),
        update(4, message=message(20, GROUP, "Hello")),
        update(5, message=message(21, GROUP, "Yes?", **{"from": OTTO}, reply_to_message=message(20, GROUP),
               message_thread_id=20)),
        update(6, message=message(22, GROUP, "Nice", reply_to_message=message(19, GROUP, is_automatic_forward=True,
               forward_origin={"type": "channel", "chat": CHANNEL, "message_id": 10, "date": AT}), message_thread_id=19)),
        update(7, message=message(19, GROUP, "Copy", is_automatic_forward=True)),
        update(8, message=message(23, GROUP, None, new_chat_members=[VERA])),
        update(9, message=message(30, PRIVATE, None, poll={"question": "Which?", "options": [{"text": "Red"},
               {"text": "Blue"}]})),
        update(10, callback_query={"id": "1"}),
        update(11, tea_time={}),
        update(12, message={"message_id": 1, "chat": GROUP, "text": "x"}),
        update(13, message={"date": AT, "chat": GROUP, "text": "x"}),
        "x",
    ],
}  # fmt: skip
FIXED = {"platform": "telegram", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z"}
BY_VERA = {"id": "7", "handle": "vera", "name": "Vera Steam"}
BY_NEWS = {"id": "-1001", "handle": "acme_news", "name": "Acme News", "kind": "organisation"}
OF_UPDATES: Seen = [
    Observation(
        FIXED | {
            "id": "-1001:10", "kind": "post", "visibility": "public", "author": BY_NEWS, "text": _TEXT, "mentions": ["acme"],
            "hashtags": ["kettle"], "urls": ["http://acme.example", "https://acme.example/here"], "conversation_id": "-1001:10",
        }
    ),
    Observation(
        FIXED | {
            "id": "-1001:11", "kind": "post", "visibility": "public", "author": BY_NEWS, "text": "A photo #tea",
            "hashtags": ["tea"], "conversation_id": "-1001:11",
        },
        "2026-03-01T10:01:00Z",
    ),
    Observation(
        FIXED | {
            "id": "-1001:12", "kind": "repost", "visibility": "public", "author": BY_NEWS, "text": "See there",
            "target": "-1009:3", "conversation_id": "-1001:12",
        }
    ),
    Observation(
        FIXED | {
            "id": "-1002:20", "kind": "message", "visibility": "public", "author": BY_VERA, "text": "Hello",
            "conversation_id": "-1002",
        }
    ),
    Observation(
        FIXED | {
            "id": "-1002:21", "kind": "reply", "visibility": "public", "direction": "outbound", "text": "Yes?",
            "author": {"id": "9", "handle": "Acme_Care", "name": "Otto"}, "in_reply_to": "-1002:20",
            "conversation_id": "-1002:t:20",
        }
    ),
    Observation(
        FIXED | {
            "id": "-1002:22", "kind": "comment", "visibility": "public", "author": BY_VERA, "text": "Nice",
            "in_reply_to": "-1001:10", "conversation_id": "-1002:t:19",
        }
    ),
    LeftOut("copy of a channel's post"),
    LeftOut("service message"),
    Observation(
        FIXED | {
            "id": "5550:7:30", "kind": "message", "visibility": "private", "author": BY_VERA, "text": "Which?\nRed\nBlue",
            "conversation_id": "5550:7",
        }
    ),
    LeftOut("callback_query"),
    LeftOut("unknown update"),
    LeftOut("message without a time"),
    LeftOut("message without an id"),
]  # fmt: skip

BUSINESS: JsonObject = {
    "ok": True,
    "result": [
        update(20, business_message=message(40, PRIVATE, "Where is my kettle?", business_connection_id="bc")),
        update(21, business_message=message(41, PRIVATE, "On its way", business_connection_id="bc", **{"from": OTTO | {"id": 8,
               "username": None, "is_bot": True}}, reply_to_message=message(40, PRIVATE, business_connection_id="bc"))),
        update(22, edited_business_message=message(40, PRIVATE, "Where is it?", business_connection_id="bc", edit_date=AT + 5)),
        update(23, deleted_business_messages={"business_connection_id": "bc", "chat": PRIVATE, "message_ids": [40, None, 41]}),
        update(24, message_reaction={
            "chat": GROUP, "message_id": 20, "user": VERA, "date": AT + 9,
            "old_reaction": [{"type": "emoji", "emoji": "👎"}, {"type": "emoji", "emoji": "🔥"}],
            "new_reaction": [{"type": "emoji", "emoji": "🔥"}, {"type": "custom_emoji", "custom_emoji_id": "55"}],
        }),
        update(25, message_reaction={"chat": GROUP, "message_id": 20, "date": AT}),
    ],
}  # fmt: skip
_IN_PRIVATE = FIXED | {"kind": "message", "visibility": "private", "conversation_id": "5550:7"}
OF_BUSINESS: Seen = [
    Observation(_IN_PRIVATE | {"id": "bc:5550:7:40", "author": BY_VERA, "text": "Where is my kettle?"}),
    Observation(
        _IN_PRIVATE | {
            "id": "bc:5550:7:41", "direction": "outbound", "author": {"id": "8", "name": "Otto", "kind": "bot"},
            "text": "On its way", "in_reply_to": "bc:5550:7:40",
        }
    ),
    Observation(_IN_PRIVATE | {"id": "bc:5550:7:40", "author": BY_VERA, "text": "Where is it?"}, "2026-03-01T10:00:05Z"),
    Observation({"platform": "telegram", "id": "bc:5550:7:40"}, deleted=True),
    LeftOut("message without an id"),
    Observation({"platform": "telegram", "id": "bc:5550:7:41"}, deleted=True),
    Observation({"platform": "telegram", "id": "-1002:20:r:7:👎"}, "2026-03-01T10:00:09Z", deleted=True),
    Observation(
        FIXED | {
            "id": "-1002:20:r:7:55", "kind": "reaction", "created_at": "2026-03-01T10:00:09Z", "author": BY_VERA,
            "target": "-1002:20", "reaction": "55", "visibility": "public",
        }
    ),
    LeftOut("reaction without a place"),
]  # fmt: skip

EXPORT: JsonObject = {
    "name": "Acme News", "type": "public_channel", "id": 1,
    "messages": [
        {
            "id": 10, "type": "message", "date_unixtime": str(AT), "edited": "2026-03-01T11:01:00",
            "edited_unixtime": str(AT + 60), "from": "Acme News", "from_id": "channel1",
            "text": ["A ", {"type": "hashtag", "text": "#kettle"}],
            "text_entities": [
                {"type": "plain", "text": "A "}, {"type": "hashtag", "text": "#kettle"}, {"type": "plain", "text": " "},
                {"type": "text_link", "text": "here", "href": "https://acme.example"}, {"type": "mention", "text": "@vera"},
            ],
            "reactions": [{"type": "emoji", "count": 12, "emoji": "🔥"}, {"type": "emoji", "count": 3, "emoji": "👎"}],
        },
        {
            "id": 11, "type": "message", "date_unixtime": str(AT), "from": "Vera", "from_id": "user7", "text": "See https://tea.example.",
            "reply_to_message_id": 10,
        },
        {"id": 12, "type": "service", "date_unixtime": str(AT), "action": "pin_message"},
        {"id": 13, "type": "message", "date_unixtime": "soon", "text": ""},
    ],
}  # fmt: skip
OF_EXPORT: Seen = [
    Observation(
        FIXED | {
            "id": "-1001:10", "kind": "post", "visibility": "public", "text": "A #kettle here@vera", "hashtags": ["kettle"],
            "mentions": ["vera"], "urls": ["https://acme.example"], "metrics": {"likes": 15}, "conversation_id": "-1001:10",
            "author": {"id": "-1001", "name": "Acme News", "kind": "organisation"},
        },
        "2026-03-01T10:01:00Z",
    ),
    Observation(
        FIXED | {
            "id": "-1001:11", "kind": "post", "visibility": "public", "text": "See https://tea.example.",
            "urls": ["https://tea.example"], "author": {"id": "7", "name": "Vera"}, "in_reply_to": "-1001:10",
            "conversation_id": "-1001:11",
        }
    ),
    LeftOut("service message"),
    LeftOut("message without a time"),
]  # fmt: skip


MAPPED = Mapped(
    "telegram",
    {
        "updates": (UPDATES, OF_UPDATES),
        "business": (BUSINESS, OF_BUSINESS),
        "export": (EXPORT, OF_EXPORT),
    },
    [None, "<html>502</html>", 17, {}, [1], [{}], {"ok": False, "error_code": 409}],
    origin=OURS,
    folder="telegram",
    recorded={"1001003313758_messages.json": {"post": 672}, "result.json": {"post": 6}},
)
