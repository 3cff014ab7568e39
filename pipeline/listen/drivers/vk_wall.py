"""The past of a community's wall: posts and their comments, newest first, back to a time.

Its place: `since`, `offset` (of the next page of posts), `walked` (all posts are there), `left` (whose comments are to be read:
post, offset, and for answers beyond the ten that a comment shows, the comment).
"""

from __future__ import annotations

from pipeline.listen.api import Api
from pipeline.listen.drivers.vk_api import NotThere, method
from pipeline.listen.states import Failed
from pipeline.sources.platforms.values import count_of, object_of, objects_of
from schemas.untyped import JsonObject

PAGE, SHOWN = 100, 10
"""Items of a page; answers that a comment shows."""
MOST_POSTS, MOST_COMMENTS = 10_000, 10_000
"""Of a wall; of one post, or answers of one comment. More are a circle."""


class Wall:
    """Of one community, by an app's service key."""

    def __init__(self, api: Api, server: str, group: int, token: str) -> None:
        self._api, self._server, self._owner, self._token = api, server, -group, token

    async def step(self, place: JsonObject) -> tuple[list[object], JsonObject]:
        """One answer, and the place behind it. Raises SourceError. Call it until `over`."""
        if place.get("left"):
            return await self._comments(place)
        params = {"owner_id": str(self._owner), "count": str(PAGE), "offset": str(place.get("offset", 0)), "extended": "1"}
        answer = await method(self._api, self._server, "wall.get", params, self._token)
        posts = [post for post in _items(answer) if type(post.get("id")) is int]
        dated = [post["date"] for post in posts if type(post.get("date")) is int and not post.get("is_pinned")]
        with_comments = [[post["id"], 0, 0] for post in posts if count_of(object_of(post.get("comments")).get("count"))]
        offset = place.get("offset", 0) + max(len(posts) - 1, 0)  # a deleted one moves the others up
        walked = len(posts) < PAGE or min(dated, default=0) < place["since"] or offset >= MOST_POSTS
        return [answer], {**place, "offset": offset, "walked": walked, "left": with_comments}

    async def _comments(self, place: JsonObject) -> tuple[list[object], JsonObject]:
        (post, offset, comment), *others = place["left"]
        params = {
            "owner_id": str(self._owner), "post_id": str(post), "count": str(PAGE), "offset": str(offset), "sort": "desc",
            "need_likes": "1", "extended": "1", "thread_items_count": str(SHOWN),
        }  # fmt: skip
        if comment:
            params |= {"comment_id": str(comment)}
        try:
            answer = await method(self._api, self._server, "wall.getComments", params, self._token)
        except NotThere:
            return [], {**place, "left": others}
        found = _items(answer)
        following = list[list[object]]()  # before the other posts: else those of all posts would stand in the cursor at once
        for each in [] if comment else found:
            answers = count_of(object_of(each.get("thread")).get("count")) or 0
            if answers > len(objects_of(object_of(each.get("thread")).get("items"))) and type(each.get("id")) is int:
                following.append([post, 0, each["id"]])
        oldest = min((each["date"] for each in found if type(each.get("date")) is int), default=0)
        if len(found) >= PAGE and oldest >= place["since"] and offset + PAGE < MOST_COMMENTS:
            following.append([post, offset + PAGE, comment])
        return [answer], {**place, "left": [*following, *others]}


def over(place: JsonObject) -> bool:
    """Whether all is read."""
    return bool(place.get("walked")) and not place.get("left")


def _items(answer: JsonObject) -> list[JsonObject]:
    items = object_of(answer["response"]).get("items")
    if not isinstance(items, list) or len(items) > 10 * PAGE:
        raise Failed("the answer has no list of items, or far too many")
    return objects_of(items)
