"""Google Play: pages of reviews.list, and single reviews.

| Google Play | event |
|---|---|
| `userComment` | review |
| `developerComment` | reply, outbound; its id is the review's and /reply |
| `reviewId` | id, conversation_id; in_reply_to of the answer |
| `lastModified` | time of the edit; as the review is seen first, created_at: Google does not say when it was written |
| `originalText`, else `text`; a tab stands between title and text | text |
| `starRating` | rating |
| `reviewerLanguage` | language |
| `authorName` | author.name |
| `thumbsUpCount` | metrics.likes |

Left out: the device, the version of the app, what is not liked. Google tells no deletes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.values import (
    count_of,
    event,
    fits,
    id_of,
    name_of,
    object_of,
    objects_of,
    text_of,
    time_of_seconds,
)
from schemas.untyped import JsonObject

_LONGEST_ID = 900
_MOST_STARS = 5


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Each review, and behind it its answer. Raises Unreadable for a payload of another shape."""
    if not isinstance(payload, dict):
        raise Unreadable(f"a {type(payload).__name__}, where Google Play sends an object")
    reviews = payload.get("reviews")
    if not isinstance(reviews, list):
        if "reviewId" not in payload and payload.keys() - {"pageInfo", "tokenPagination"}:
            raise Unreadable("an object without reviews of Google Play")
        reviews = [payload] if "reviewId" in payload else []
    yield from readable(reviews, _review)


def _review(review: JsonObject) -> list[Observation | LeftOut]:
    ident = id_of(review.get("reviewId"))
    if ident is None or not fits(ident, _LONGEST_ID):
        raise Unreadable("an object that is no review of Google Play")
    said = objects_of(review.get("comments"))
    found = [_written(ident, review, words) for each in said if (words := object_of(each.get("userComment")))]
    found += [_answered(ident, words) for each in said if (words := object_of(each.get("developerComment")))]
    return [*found] or [LeftOut("review without a comment")]


def _written(ident: str, review: JsonObject, words: JsonObject) -> Observation:
    seen = event(
        id=ident,
        platform="google_play",
        kind="review",
        direction="inbound",
        visibility="public",
        conversation_id=ident,
        text=_text(words),
        language=(name_of(words.get("reviewerLanguage")) or "").replace("_", "-") or None,
        rating=_stars(words.get("starRating")),
        author=event(name=text_of(review.get("authorName")), kind="person"),
        metrics=event(likes=count_of(words.get("thumbsUpCount"))),
    )
    return Observation(seen, _at(words), original=review)


def _answered(ident: str, words: JsonObject) -> Observation:
    seen = event(
        id=f"{ident}/reply",
        platform="google_play",
        kind="reply",
        direction="outbound",
        visibility="public",
        conversation_id=ident,
        in_reply_to=ident,
        text=_text(words),
        author={"kind": "organisation"},
    )
    return Observation(seen, _at(words), original=words)


def _text(words: JsonObject) -> str | None:
    text = text_of(words.get("originalText")) or text_of(words.get("text"))
    return None if text is None else text.strip().replace("\t", "\n", 1)


def _stars(value: object) -> float | None:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_STARS else None


def _at(words: JsonObject) -> str:
    """When it was changed last; Google writes whole numbers as texts."""
    changed = object_of(words.get("lastModified"))
    seconds, nanos = id_of(changed.get("seconds")) or "", changed.get("nanos")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 12):
        return ""
    part = nanos // 1_000_000 / 1_000 if isinstance(nanos, int) and 0 <= nanos < 1_000_000_000 else 0.0
    return time_of_seconds(int(seconds) + part) or ""
