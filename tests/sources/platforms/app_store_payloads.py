"""The App Store's mapper: three payloads with all their events, payloads that are none. The recorded file is of the store's own
page, and has a mapping (app_store_user_reviews.yaml)."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

REVIEW = {"platform": "app_store", "visibility": "public", "kind": "review", "direction": "inbound"}
REPLY = {"platform": "app_store", "visibility": "public", "kind": "reply", "direction": "outbound"}


def review(ident: str, answer: str = "", **more: object) -> JsonObject:
    says = {
        "rating": 2, "title": "Wet floor", "body": "It leaks.", "reviewerNickname": "ines_m", "territory": "DEU",
        "createdDate": "2026-03-01T02:00:00-08:00",
    }  # fmt: skip
    linked = {"data": {"type": "customerReviewResponses", "id": answer}} if answer else {"links": {"related": "https://a"}}
    whole: JsonObject = {"type": "customerReviews", "id": ident, "attributes": says | more}
    return whole | {"relationships": {"response": linked}}


def answer(ident: str, state: str = "PUBLISHED") -> JsonObject:
    says = {"responseBody": "Sorry!", "lastModifiedDate": "2026-03-02T02:00:00-08:00", "state": state}
    return {"type": "customerReviewResponses", "id": ident, "attributes": says}


PAGE: JsonObject = {
    "data": [review("a1", "r1"), review("a2", "r2", title=" ", rating=None), review("a3", "r9", body=None, createdDate=None)],
    "included": [answer("r1"), answer("r2", "PENDING_PUBLISH"), {"type": "apps", "id": "7"}],
    "links": {"next": "https://api.appstoreconnect.apple.com/v1/apps/7/customerReviews?cursor=x"},
}
OF_PAGE: Seen = [
    LeftOut("apps"),
    Observation(
        REVIEW | {
            "id": "a1", "conversation_id": "a1", "text": "Wet floor\nIt leaks.", "rating": 2.0, "location": "DEU",
            "author": {"name": "ines_m", "kind": "person"},
        },
        "2026-03-01T10:00:00Z",
    ),
    Observation(
        REPLY | {
            "id": "a1/reply", "conversation_id": "a1", "in_reply_to": "a1", "text": "Sorry!",
            "author": {"kind": "organisation"},
        },
        "2026-03-02T10:00:00Z",
    ),
    Observation(
        REVIEW | {
            "id": "a2", "conversation_id": "a2", "text": "It leaks.", "location": "DEU",
            "author": {"name": "ines_m", "kind": "person"},
        },
        "2026-03-01T10:00:00Z",
    ),
    LeftOut("answer that is not published"),
    Observation(
        REVIEW | {
            "id": "a3", "conversation_id": "a3", "text": "Wet floor", "rating": 2.0, "location": "DEU",
            "author": {"name": "ines_m", "kind": "person"},
        }
    ),
]  # fmt: skip

ONE: JsonObject = {"data": review("b1", reviewerNickname="", territory=None)}
OF_ONE: Seen = [
    Observation(
        REVIEW | {
            "id": "b1", "conversation_id": "b1", "text": "Wet floor\nIt leaks.", "rating": 2.0, "author": {"kind": "person"},
        },
        "2026-03-01T10:00:00Z",
    )
]  # fmt: skip

BROKEN: JsonObject = {"data": [{"type": "customerReviews", "attributes": {}}, review("c1", rating=9), 7], "included": None}
OF_BROKEN: Seen = [
    LeftOut("unreadable"),
    Observation(
        REVIEW | {
            "id": "c1", "conversation_id": "c1", "text": "Wet floor\nIt leaks.", "location": "DEU",
            "author": {"name": "ines_m", "kind": "person"},
        },
        "2026-03-01T10:00:00Z",
    ),
    LeftOut("unreadable"),
]  # fmt: skip


MAPPED = Mapped(
    "app_store",
    {
        "page": (PAGE, OF_PAGE),
        "one": (ONE, OF_ONE),
        "broken": (BROKEN, OF_BROKEN),
    },
    [None, 17, [], {}, {"errors": [{"status": "401"}]}, {"data": [{"type": "apps", "id": "7"}]}],
)
