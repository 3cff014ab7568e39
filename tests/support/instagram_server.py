"""An account of Instagram on loopback: its media with comments, media that tag it, its conversations."""

from __future__ import annotations

from schemas.untyped import JsonObject
from tests.support.graph_server import GraphServer, time_of
from tests.support.platform_server import Item


class InstagramServer(GraphServer):
    """Account 200, which belongs to page 100."""

    posts, tagged, me = "media", "tags", "200"

    def post_of(self, item: Item) -> JsonObject:
        return {
            "id": str(item.number), "timestamp": time_of(item.created_at), "caption": item.text, "username": item.author,
            "media_type": "IMAGE", "like_count": item.likes, "comments_count": 0,
        }  # fmt: skip

    def comment_of(self, item: Item) -> JsonObject:
        whole = {"id": str(item.number), "timestamp": time_of(item.created_at), "text": item.text, "username": item.author}
        return {**whole, "like_count": item.likes}

    def author(self, item: Item) -> JsonObject:
        return {"id": self.me if item.author == "us" else "7", "username": item.author}
