"""The App Store: pages of customerReviews, and single reviews, with what was answered if `include=response` asked for it.

| App Store Connect | event |
|---|---|
| customerReviews | review |
| customerReviewResponses, once PUBLISHED | reply, outbound; its id is the review's and /reply |
| `id` | id, conversation_id; in_reply_to of the answer |
| `createdDate`, which an edit changes; `lastModifiedDate` of an answer | time of the edit; created_at as it is seen first |
| `title` and `body`; `responseBody` | text |
| `rating` | rating |
| `reviewerNickname` | author.name |
| `territory` | location: DEU |

Left out: answers that wait to be published, or whose review is not in the payload. Apple tells no deletes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.values import event, fits, id_of, name_of, object_of, objects_of, text_of, time_of
from schemas.untyped import JsonObject

_LONGEST_ID, _MOST_STARS = 900, 5
_REVIEWS, _ANSWERS = "customerReviews", "customerReviewResponses"


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Each review, and behind it its answer. Raises Unreadable for a payload of another shape."""
    data = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(data, list | dict):
        raise Unreadable(f"a {type(payload).__name__} without data of App Store Connect")
    inside = objects_of(payload.get("included"))
    answers = {id_of(each.get("id")): each for each in inside if each.get("type") == _ANSWERS}
    yield from (LeftOut(_kind(each)) for each in inside if each.get("type") != _ANSWERS)
    yield from readable(data if isinstance(data, list) else [data], partial(_review, answers))


def _kind(item: JsonObject) -> str:
    kind = item.get("type")
    return kind if isinstance(kind, str) and kind.isalnum() and kind.isascii() and len(kind) < 40 else "unknown"


def _review(answers: dict[str | None, JsonObject], item: JsonObject) -> list[Observation | LeftOut]:
    ident = id_of(item.get("id"))
    if item.get("type") != _REVIEWS or ident is None or not fits(ident, _LONGEST_ID):
        raise Unreadable("an object that is no review of the App Store")
    says = object_of(item.get("attributes"))
    parts = [text for name in ("title", "body") if (text := text_of(says.get(name)))]
    seen = event(
        id=ident,
        platform="app_store",
        kind="review",
        direction="inbound",
        visibility="public",
        conversation_id=ident,
        text=text_of("\n".join(parts)),
        rating=_stars(says.get("rating")),
        location=name_of(says.get("territory")),
        author=event(name=text_of(says.get("reviewerNickname")), kind="person"),
    )
    found: list[Observation | LeftOut] = [Observation(seen, time_of(says.get("createdDate")) or "", original=item)]
    linked = object_of(object_of(object_of(item.get("relationships")).get("response")).get("data"))
    if (answer := answers.get(id_of(linked.get("id")))) is not None:
        found.append(_answered(ident, answer))
    return found


def _answered(ident: str, answer: JsonObject) -> Observation | LeftOut:
    says = object_of(answer.get("attributes"))
    if says.get("state") != "PUBLISHED":
        return LeftOut("answer that is not published")
    seen = event(
        id=f"{ident}/reply",
        platform="app_store",
        kind="reply",
        direction="outbound",
        visibility="public",
        conversation_id=ident,
        in_reply_to=ident,
        text=text_of(says.get("responseBody")),
        author={"kind": "organisation"},
    )
    return Observation(seen, time_of(says.get("lastModifiedDate")) or "", original=answer)


def _stars(value: object) -> float | None:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_STARS else None
