"""Payloads as VK sends them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("1234", frozenset({"acme_care"}))
AT = 1_772_359_200  # 2026-03-01T10:00:00Z


def comment(number: int, text: str = "It leaks.", **rest: object) -> JsonObject:
    return {"id": number, "from_id": 7, "date": AT, "text": text, **rest}


def post(number: int, text: str = "A kettle", **rest: object) -> JsonObject:
    return {"id": number, "from_id": 7, "owner_id": -1234, "date": AT, "post_type": "post", "text": text, **rest}


def event(kind: str, **body: object) -> JsonObject:
    return {"group_id": 1234, "type": kind, "event_id": "e", "v": "5.199", "object": body}


_NEW_POST = post(
    6, "Our #kettle@acme for [id9|Otto] and [club55|@acme_care], &lt;3: https://acme.example/k.", comments={"count": 0}
)
EVENTS: JsonObject = {
    "ts": "14",
    "updates": [
        event("wall_post_new", **_NEW_POST),
        event("wall_reply_new", **comment(9, post_owner_id=-1234, post_id=6, attachments=[
            {"type": "link", "link": {"url": "https://tea.example"}}, {"type": "photo"}])),
        event("wall_reply_edit", **comment(10, "Sorry!", from_id=-1234, post_owner_id=-1234, post_id=6, reply_to_comment=9)),
        event("wall_reply_delete", owner_id=-1234, id=9, deleter_id=7, post_id=6),
        event("photo_comment_new", **comment(4, photo_owner_id=-1234, photo_id=77)),
        event("market_comment_delete", owner_id=-1234, id=1, deleter_id=9, item_id=44, user_id=9),
        event("board_post_new", **comment(5, topic_owner_id=-1234, topic_id=3)),
        event("video_comment_restore", **comment(8, video_owner_id=-1234, video_id=2)),
        event("message_new", message={"id": 0, "date": AT, "from_id": 7, "peer_id": 2_000_000_001, "text": "Hello", "out": 0,
              "conversation_message_id": 3, "reply_message": {"conversation_message_id": 2}}, client_info={}),
        event("message_edit", id=791, date=AT, from_id=-1234, peer_id=7, text="Here", out=1, conversation_message_id=12,
              update_time=AT + 5),
        event("message_new", message={"date": AT, "from_id": 7, "peer_id": 7, "conversation_message_id": 13,
              "action": {"type": "chat_invite_user"}}),
        event("like_add", liker_id=7, object_type="post", object_owner_id=-1234, object_id=6),
        event("Tea Time!"),
        event("wall_reply_new", **comment(11)),
        None,
    ],
}  # fmt: skip
FIXED = {"platform": "vk", "direction": "inbound", "visibility": "public", "created_at": "2026-03-01T10:00:00Z"}
SEVEN, WE = {"id": "7"}, {"id": "-1234", "kind": "organisation"}
BY_ID = frozenset({"author"})
OF_EVENTS: Seen = [
    Observation(
        FIXED | {
            "id": "wall-1234_6", "kind": "post", "author": SEVEN, "mentions": ["id9", "acme_care"], "hashtags": ["kettle"],
            "text": "Our #kettle@acme for Otto and @acme_care, <3: https://acme.example/k.", "urls": ["https://acme.example/k"],
            "conversation_id": "wall-1234_6", "metrics": {"replies": 0},
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation(
        FIXED | {
            "id": "wall-1234_6_r9", "kind": "comment", "author": SEVEN, "text": "It leaks.", "urls": ["https://tea.example"],
            "in_reply_to": "wall-1234_6", "conversation_id": "wall-1234_6",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation(
        FIXED | {
            "id": "wall-1234_6_r10", "kind": "reply", "direction": "outbound", "author": WE, "text": "Sorry!",
            "in_reply_to": "wall-1234_6_r9", "conversation_id": "wall-1234_6",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation({"platform": "vk", "id": "wall-1234_6_r9"}, deleted=True),
    Observation(
        FIXED | {
            "id": "photo-1234_77_r4", "kind": "comment", "author": SEVEN, "text": "It leaks.", "in_reply_to": "photo-1234_77",
            "conversation_id": "photo-1234_77",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation({"platform": "vk", "id": "market-1234_44_r1"}, deleted=True),
    Observation(
        FIXED | {
            "id": "topic-1234_3_r5", "kind": "comment", "author": SEVEN, "text": "It leaks.", "in_reply_to": "topic-1234_3",
            "conversation_id": "topic-1234_3",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation(
        FIXED | {
            "id": "video-1234_2_r8", "kind": "comment", "author": SEVEN, "text": "It leaks.", "in_reply_to": "video-1234_2",
            "conversation_id": "video-1234_2",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation(
        FIXED | {
            "id": "im1234:2000000001:3", "kind": "message", "visibility": "private", "author": SEVEN, "text": "Hello",
            "in_reply_to": "im1234:2000000001:2", "conversation_id": "im1234:2000000001",
        },
        partial=BY_ID,
    ),
    Observation(
        FIXED | {
            "id": "im1234:7:12", "kind": "message", "visibility": "private", "direction": "outbound", "author": WE,
            "text": "Here", "conversation_id": "im1234:7",
        },
        "2026-03-01T10:00:05Z",
        partial=BY_ID,
    ),
    LeftOut("service message"),
    LeftOut("like_add"),
    LeftOut("unknown event"),
    LeftOut("comment without a place"),
]  # fmt: skip

PEOPLE: JsonObject = {
    "profiles": [{"id": 7, "first_name": "Vera", "last_name": "Steam", "screen_name": "vera"}],
    "groups": [{"id": 1234, "name": "Acme", "screen_name": "acme"}],
}
VERA = {"id": "7", "handle": "vera", "name": "Vera Steam"}
ACME = {"id": "-1234", "handle": "acme", "name": "Acme", "kind": "organisation"}
WALL: JsonObject = {
    "response": {
        "count": 3,
        "items": [
            post(20, likes={"count": 6}, reposts={"count": 2}, comments={"count": 4}, views={"count": 90}, edited=AT + 60,
                 geo={"place": {"title": "Riga"}}),
            post(21, "See", from_id=-1234, likes={"count": 0}, copy_history=[
                {"id": 3, "owner_id": -55, "from_id": -55, "date": AT, "post_type": "post", "text": "Tea is best"}]),
            post(22, post_type="suggest"),
            post(23, post_type="postpone"),
            post(0),
            post(24, date=None),
            post(25, is_deleted=True),
        ],
        **PEOPLE,
    }
}  # fmt: skip
OF_WALL: Seen = [
    Observation(
        FIXED | {
            "id": "wall-1234_20", "kind": "post", "author": VERA, "text": "A kettle", "conversation_id": "wall-1234_20",
            "location": "Riga", "metrics": {"likes": 6, "shares": 2, "replies": 4, "views": 90},
        },
        "2026-03-01T10:01:00Z",
    ),
    Observation(
        FIXED | {
            "id": "wall-55_3", "kind": "post", "author": {"id": "-55", "kind": "organisation"}, "text": "Tea is best",
            "conversation_id": "wall-55_3",
        },
        partial=frozenset({"author", "metrics"}),
    ),
    Observation(
        FIXED | {
            "id": "wall-1234_21", "kind": "repost", "direction": "outbound", "author": ACME, "text": "See",
            "in_reply_to": "wall-55_3", "target": "wall-55_3", "conversation_id": "wall-1234_21", "metrics": {"likes": 0},
        }
    ),
    Observation(
        FIXED | {
            "id": "wall-1234_22", "kind": "post", "visibility": "private", "author": VERA, "text": "A kettle",
            "conversation_id": "wall-1234_22",
        },
        partial=frozenset({"metrics"}),
    ),
    LeftOut("post that waits"),
    LeftOut("post without an id"),
    LeftOut("post without a time"),
    Observation({"platform": "vk", "id": "wall-1234_25", "created_at": "2026-03-01T10:00:00Z"}, deleted=True),
]  # fmt: skip

COMMENTS: JsonObject = {
    "response": {
        "count": 3,
        "items": [
            comment(30, "[id7|Vera], no|one <br>leaks", owner_id=-1234, post_id=20, parents_stack=[], likes={"count": 2},
                    thread={"count": 11, "items": [comment(31, owner_id=-1234, post_id=20, parents_stack=[30], from_id=8,
                                                           likes={"count": 0})]}),
            {"id": 32, "parents_stack": [], "date": AT, "deleted": True},
            comment(33, owner_id=-1234, post_id=20, date="soon"),
        ],
        **PEOPLE,
    }
}  # fmt: skip
OF_COMMENTS: Seen = [
    Observation(
        FIXED | {
            "id": "wall-1234_20_r30", "kind": "comment", "author": VERA, "text": "Vera, no|one\nleaks", "mentions": ["id7"],
            "in_reply_to": "wall-1234_20", "conversation_id": "wall-1234_20", "metrics": {"likes": 2, "replies": 11},
        }
    ),
    Observation(
        FIXED | {
            "id": "wall-1234_20_r31", "kind": "reply", "author": {"id": "8"}, "text": "It leaks.",
            "in_reply_to": "wall-1234_20_r30", "conversation_id": "wall-1234_20", "metrics": {"likes": 0},
        },
        partial=BY_ID,
    ),
    Observation({"platform": "vk", "id": "wall-1234_20_r32", "created_at": "2026-03-01T10:00:00Z"}, deleted=True),
    LeftOut("comment without a time"),
]  # fmt: skip


MAPPED = Mapped(
    "vk",
    {
        "events": (EVENTS, OF_EVENTS),
        "wall": (WALL, OF_WALL),
        "comments": (COMMENTS, OF_COMMENTS),
    },
    [
        None,
        "<html>502</html>",
        17,
        {},
        [1, {}],
        {"response": 1},
        {"failed": 2},
        {"error": {"error_code": 5}},
        {"response": {"items": [{"tea": 1}]}},
    ],
    origin=OURS,
    folder="vk",
    recorded={
        "ArticleAttachement.json": {"post": 1},
        "DonutSubscriptionPriceChanged.json": {"-donut_subscription_price_changed": 1},
        "DonutSubscriptionProlonged.json": {"-donut_subscription_prolonged": 1},
        "Get.json": {"post": 1, "-wall_photo": 1},
        "GetById_Multiple_NormalCase_Messages.json": {"message": 3},
        "GetById_NormalCase_Message.json": {"message": 1},
        "GetById_ReturnWallRecords.json": {"post": 1},
        "GetComments.json": {"post": 1},
        "GetComments802.json": {"comment": 2, "delete": 1},
        "GetComments_ReturnLikesAndAttachments.json": {"-comment without a place": 2},
        "GetConversations.json": {"message": 1},
        "GetConversationsById.json": {"-conversation without a message": 1},
        "GetConversations_Attachment_wall.json": {"message": 1},
        "GetConversations_Group_PhotoField.json": {"message": 1},
        "GetDialogs_NormalCase_Messages.json": {"message": 19, "-service message": 1},
        "GetHistoryAttachments.json": {"-attachment": 2},
        "GetHistory_ContainsRepost_Error46.json": {"message": 1},
        "GetHistory_ContainsSticker_Error47.json": {"message": 1},
        "GetHistory_NormalCaseAllFields_Messages.json": {"message": 1},
        "GetRecommended.json": {"post": 1},
        "Get_Document_NormalCase.json": {"post": 1},
        "Get_ExtendedVersion_GenerateOutParametersCorrectly.json": {"post": 1, "repost": 1},
        "Get_WithPoll_NormalCase.json": {"post": 1},
        "Get_With_PhotoListAttachment.json": {"post": 1, "repost": 1},
        "GroupOfficersEditTest.json": {"-group_officers_edit": 1},
        "MarketCommentDeleteTest.json": {"delete": 1},
        "MarketCommentRestoreTest.json": {"comment": 1},
        "MessageEditTest.json": {"message": 1},
        "MessageEventTest.json": {"-message_event": 1},
        "MessageNewTemplateTest.json": {"message": 1},
        "MessageNewTest.json": {"message": 1},
        "PhotoCommentDeleteTest.json": {"delete": 1},
        "PhotoCommentEditTest.json": {"comment": 1},
        "PhotoCommentNewTest.json": {"comment": 1},
        "PhotoNewTest.json": {"-photo_new": 1},
        "PodcastAttachment.json": {"post": 1},
        "PollVoteNewTest.json": {"-poll_vote_new": 1},
        "SearchConversations.json": {"-conversation without a message": 1},
        "SearchDialogs_NastyaQuery_TwoProfiles.json": {"-profile": 2},
        "SearchDialogs_ProfileAndChat_Response.json": {"-profile": 1, "-chat": 1},
        "Search_Coordinates_Exception.json": {"post": 1},
        "Search_NextFrom_NotNull.json": {"post": 3},
        "Search_NormalCase_Messages.json": {"message": 3},
        "Search_PostSourceData_Parsing.json": {"post": 2},
        "VideoCommentDeleteTest.json": {"delete": 1},
        "VideoCommentEditTest.json": {"comment": 1},
        "VideoCommentNewTest.json": {"comment": 1},
        "VideoCommentRestoreTest.json": {"comment": 1},
        "WallPostNewTest.json": {"post": 1},
        "WallReplyEditTest.json": {"comment": 1},
        "WallReplyNewTest.json": {"comment": 1},
        "WallReplyRestoreTest.json": {"comment": 1},
    },
)
"""Recorded are the tests of a client library, in many versions of the API."""
