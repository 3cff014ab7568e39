"""Feeds on loopback: RSS with ETag, the newest items of the world."""

from __future__ import annotations

from email.utils import formatdate
from xml.sax.saxutils import escape

from aiohttp import web
from xxhash import xxh3_64_hexdigest

from tests.support.platform_server import Item, PlatformServer


class RssServer(PlatformServer):
    """`/feed` is the feed, `/feed/N` another with the same items, `/` a page that names it."""

    entries = 20
    """Of the newest items."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._page), web.get("/feed", self._feed), web.get("/feed/{name}", self._feed)]

    async def _page(self, request: web.Request) -> web.Response:
        link = '<link rel="alternate" type="application/rss+xml" href="/feed">'
        return web.Response(text=f"<!doctype html><html><head>{link}</head><body>Hello</body></html>", content_type="text/html")

    async def _feed(self, request: web.Request) -> web.Response:
        items = "".join(self._entry(item) for item in self.world.newest()[: self.entries])
        text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>Blog</title>{items}</channel></rss>'
        etag = f'"{xxh3_64_hexdigest(text.encode())}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(text=text, content_type="application/rss+xml", headers={"ETag": etag})

    def _entry(self, item: Item) -> str:
        return (
            f"<item><guid>https://blog.example.org/{item.number}</guid><title>{escape(item.text)}</title>"
            f"<pubDate>{formatdate(item.created_at)}</pubDate></item>"
        )
