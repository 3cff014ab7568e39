"""Facebook, by the Graph API (graph.py): a page's feed with comments, posts that tag it, its conversations."""

from __future__ import annotations

from pipeline.listen.driver import Reach
from pipeline.listen.drivers.graph import INNER, PAGE, GraphDriver
from pipeline.listen.drivers.graph_lists import Edge
from pipeline.listen.sources_meta import Facebook

POST = (
    "id,created_time,message,story,permalink_url,from,message_tags,attachments{title,media_type,unshimmed_url},shares,privacy,"
    "reactions.limit(0).summary(total_count)"
)
COMMENT = "id,created_time,message,permalink_url,from,message_tags,like_count,comment_count,parent{id},is_hidden,is_private"
MESSAGE = "id,created_time,message,from"
_NEWEST = {"order": "reverse_chronological", "filter": "stream"}
"""filter: answers to comments among them."""


def make(source: Facebook, reach: Reach) -> GraphDriver:
    """The driver of a page. Raises NoCredentials."""
    comments = f"comments.order(reverse_chronological).filter(stream).limit({INNER}).summary(total_count){{{COMMENT}}}"
    posts, page = f"{POST},{comments}", source.page
    edges = [Edge("feed", f"{page}/feed", posts, ("created_time",), "comments", COMMENT, "created_time", _NEWEST)]
    if source.tagged:
        at = ("tagged_time", "created_time")
        edges.append(
            Edge("tagged", f"{page}/tagged", f"{POST},tagged_time,comments.limit(0).summary(total_count)", at, is_old=False)
        )
    if source.messages:
        said = f"id,updated_time,messages.limit({PAGE}){{{MESSAGE}}}"
        name, path = "conversations", f"{page}/conversations"
        edges.append(Edge(name, path, said, ("updated_time",), "messages", MESSAGE, "created_time", is_old=False))
    return GraphDriver(source, reach, page, edges)
