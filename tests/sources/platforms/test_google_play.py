"""Google Play's mapper: three payloads with all their events, payloads that are none. No recorded answer is at hand."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.google_play import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from schemas.untyped import JsonObject
from tests.support.garbled import garbled
from tests.support.platform_events import check

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

OF_PAGE = [
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
OF_TRANSLATED = [
    Observation(
        REVIEW | {"id": "d4", "conversation_id": "d4", "text": "Er tropft", "rating": 2.0, "author": PERSON},
        "2026-03-01T10:00:00.250Z",
    )
]

RATED: JsonObject = {
    "reviews": [{"reviewId": "e5", "authorName": " ", "comments": [said(text="\t", starRating=6, lastModified={}), {"x": 1}]}]
}
OF_RATED = [Observation(REVIEW | {"id": "e5", "conversation_id": "e5", "author": {"kind": "person"}, "metrics": {"likes": 3}})]


def seen(payload: object) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, Origin()))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(PAGE, OF_PAGE), (TRANSLATED, OF_TRANSLATED), (RATED, OF_RATED)],
    ids=["page", "translated", "rated"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("google_play", each)


def test_an_app_without_reviews_has_none() -> None:
    assert seen({}) == seen({"pageInfo": {"totalResults": 0}}) == seen({"reviews": []}) == []


@pytest.mark.parametrize("payload", [None, 17, [], {"error": {"code": 403}}, {"reviews": [{"id": "a"}]}, {"items": []}])
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [PAGE, TRANSLATED, RATED], ids=["page", "translated", "rated"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)
            if isinstance(each, Observation):
                check("google_play", each)
