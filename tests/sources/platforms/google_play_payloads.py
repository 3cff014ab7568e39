"""Google Play's mapper: three payloads with all their events, payloads that are none. No recorded answer is at hand."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

AT = {"seconds": "1772359200", "nanos": 250_000_000}  # 2026-03-01T10:00:00.25Z
REVIEW = {"platform": "google_play", "visibility": "public", "kind": "review", "direction": "inbound"}
REPLY = {"platform": "google_play", "visibility": "public", "kind": "reply", "direction": "outbound"}
PERSON = {"name": "Ines Melt", "kind": "person"}


def said(**more: object) -> JsonObject:
    return {"userComment": {"text": "\tIt leaks", "lastModified": AT, "starRating": 2, "thumbsUpCount": 3, **more}}


def answer(**more: object) -> JsonObject:
    return {"developerComment": {"text": "Sorry", "lastModified": {"seconds": "1772362800"}, **more}}


PAGE: JsonObject = {
    "reviews": [
        {
            "reviewId": "gp:A1", "authorName": "Ines Melt",
            "comments": [
                said(reviewerLanguage="pt_BR", device="klte", androidOsVersion=34, appVersionName="1.3", thumbsDownCount=1),
                answer(),
            ],
        },
        {"reviewId": "b2", "comments": [said(text="Wet\\tIt leaks\\tat night".replace("\\t", "\t"), starRating=None)]},
        {"reviewId": "c3", "authorName": "Ines Melt", "comments": []},
    ],
    "tokenPagination": {"nextPageToken": "next"},
}  # fmt: skip

OF_PAGE: Seen = [
    Observation(
        REVIEW | {
            "id": "gp:A1", "conversation_id": "gp:A1", "text": "It leaks", "language": "pt-BR", "rating": 2.0, "author": PERSON,
            "metrics": {"likes": 3},
        },
        "2026-03-01T10:00:00.250Z",
    ),
    Observation(
        REPLY | {
            "id": "gp:A1/reply", "conversation_id": "gp:A1", "in_reply_to": "gp:A1", "text": "Sorry",
            "author": {"kind": "organisation"},
        },
        "2026-03-01T11:00:00Z",
    ),
    Observation(
        REVIEW | {
            "id": "b2", "conversation_id": "b2", "text": "Wet\nIt leaks\tat night", "author": {"kind": "person"},
            "metrics": {"likes": 3},
        },
        "2026-03-01T10:00:00.250Z",
    ),
    LeftOut("review without a comment"),
]  # fmt: skip

TRANSLATED: JsonObject = {
    "reviewId": "d4", "authorName": "Ines Melt",
    "comments": [said(text="It leaks", originalText="Er tropft", thumbsUpCount=None)],
}  # fmt: skip
OF_TRANSLATED: Seen = [
    Observation(
        REVIEW | {"id": "d4", "conversation_id": "d4", "text": "Er tropft", "rating": 2.0, "author": PERSON},
        "2026-03-01T10:00:00.250Z",
    )
]

RATED: JsonObject = {
    "reviews": [{"reviewId": "e5", "authorName": " ", "comments": [said(text="\t", starRating=6, lastModified={}), {"x": 1}]}]
}
OF_RATED: Seen = [
    Observation(REVIEW | {"id": "e5", "conversation_id": "e5", "author": {"kind": "person"}, "metrics": {"likes": 3}})
]


MAPPED = Mapped(
    "google_play",
    {
        "page": (PAGE, OF_PAGE),
        "translated": (TRANSLATED, OF_TRANSLATED),
        "rated": (RATED, OF_RATED),
        "an app without reviews": ({}, []),
        "none of so many": ({"pageInfo": {"totalResults": 0}}, []),
        "none": ({"reviews": []}, []),
    },
    [None, 17, [], {"error": {"code": 403}}, {"reviews": [{"id": "a"}]}, {"items": []}],
)
