"""Instagram, by the Graph API (graph.py): an account's media with comments, media that tag it, its conversations."""

from __future__ import annotations

from pipeline.listen.driver import Reach
from pipeline.listen.drivers.graph import INNER, PAGE, GraphDriver
from pipeline.listen.drivers.graph_lists import Edge
from pipeline.listen.sources_meta import Instagram

MEDIA = "id,timestamp,caption,permalink,username,media_type,like_count,comments_count"
_ONE = "id,timestamp,text,username,from,like_count,hidden"
COMMENT = f"{_ONE},parent_id,replies.limit({INNER}){{{_ONE}}}"
MESSAGE = "id,created_time,message,from"


def make(source: Instagram, reach: Reach) -> GraphDriver:
    """The driver of a professional account. Raises NoCredentials."""
    me = source.account
    media = f"{MEDIA},owner{{id}},comments.limit({INNER}){{{COMMENT}}}"
    edges = [Edge("media", f"{me}/media", media, ("timestamp",), "comments", COMMENT, "timestamp")]
    if source.tagged:
        edges.append(Edge("tags", f"{me}/tags", MEDIA, ("timestamp",), is_old=False))
    if source.page is not None:
        said = f"id,updated_time,messages.limit({PAGE}){{{MESSAGE}}}"
        query, path = {"platform": "instagram"}, f"{source.page}/conversations"
        messages = ("messages", MESSAGE, "created_time")
        edges.append(Edge("conversations", path, said, ("updated_time",), *messages, is_old=False, query=query))
    return GraphDriver(source, reach, me, edges)
