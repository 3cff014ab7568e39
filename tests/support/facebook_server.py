"""A page of Facebook on loopback: its feed with comments, posts that tag it, its conversations."""

from __future__ import annotations

from schemas.untyped import JsonObject
from tests.support.graph_server import GraphServer, time_of
from tests.support.platform_server import Item


class FacebookServer(GraphServer):
    """Page 100."""

    def post_of(self, item: Item) -> JsonObject:
        reactions = {"data": [], "summary": {"total_count": item.likes}}
        whole = {
            "id": f"100_{item.number}",
            "created_time": time_of(item.created_at),
            "message": item.text,
            "from": self.author(item),
        }
        return {**whole, "reactions": reactions, "privacy": {"value": "EVERYONE"}}

    def comment_of(self, item: Item) -> JsonObject:
        return {
            "id": f"{self.under[item.number]}_{item.number}", "created_time": time_of(item.created_at), "message": item.text,
            "from": self.author(item), "like_count": item.likes, "comment_count": 0,
        }  # fmt: skip
