"""Answers that no platform should give: they lead no credential elsewhere, end, and hide nothing that comes after them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import aclosing

import pytest
from aiohttp import web
from pydantic import SecretStr

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Driver, Reach
from pipeline.listen.drivers import vk_wall, youtube
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.states import LONGEST_REASON, Failed, NoCredentials
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject
from tests.support import app_store_server, google_play_server
from tests.support.any_server import AnyServer
from tests.support.driving import PATIENCE_S, Driven, Fast
from tests.support.driving import source as source_of

NOW = time.time()
SECRET = "s3cret-of-ours"
KEYS: dict[str, tuple[JsonObject, str]] = {
    "youtube": ({"channel": f"UC{'k' * 22}"}, SECRET),
    "telegram": ({}, f"5550123:{SECRET}"),
    "vk": ({"group": 1234, "wall_token_env": "SERVICE_KEY"}, SECRET),
    "linkedin": ({"page": 12}, SECRET),
    "facebook": ({"page": "123"}, SECRET),
    "instagram": ({"account": "123"}, SECRET),
    "google_play": ({"package": "com.example.app"}, google_play_server.key_file()),
    "app_store": ({"app": "123", "key_id": "ABC"}, app_store_server.key_file()),
    "freshdesk": ({}, SECRET),
}


class Rested(Fast):
    """Counts the rests."""

    def __init__(self) -> None:
        super().__init__()
        self.rests = 0

    async def sleep(self, seconds: float) -> None:
        self.rests += 1
        await super().sleep(min(seconds, 0.01))


def hears(platform: str, server: AnyServer, **more: object) -> Driven:
    keys, token = KEYS[platform]
    login = {"login": f"{server.url}/token"} if platform == "google_play" else {}
    source = source_of(**{"platform": platform, "server": server.url, **keys, **login, **more})
    return Driven(source, token, beside=frozenset({"a"}), environ={"SERVICE_KEY": SECRET}, timer=Rested())


def tried(source: Driven, server: AnyServer) -> str:
    """The errors of some requests."""
    before = len(server.got)
    source.run(lambda: bool(source.errors) or len(server.got) > before + 3, starts=1)
    assert len(server.got) > before
    return str(source.errors)


def thread(number: int, at: float, answers: int = 0) -> JsonObject:
    comment = {"kind": "youtube#comment", "id": f"Ug{number}", "snippet": {"textOriginal": "hi", "publishedAt": text_of(at)}}
    snippet = {"topLevelComment": comment, "totalReplyCount": answers}
    return {"kind": "youtube#commentThread", "id": f"Ug{number}", "snippet": snippet}


def listed(kind: str, items: list[JsonObject], following: str = "") -> JsonObject:
    return {"kind": f"youtube#{kind}ListResponse", "items": items, **({"nextPageToken": following} if following else {})}


# --- where a credential goes ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [302, 307])
def test_no_credential_follows_a_redirect_to_another_host(status: int) -> None:
    thief = AnyServer(lambda path, number: {})
    with thief.running():
        elsewhere = thief.url.replace("127.0.0.1", "localhost")
        server = AnyServer(lambda path, number: web.Response(status=status, headers={"Location": f"{elsewhere}/steal"}))
        with server.running():
            for platform in KEYS:
                assert SECRET not in tried(hears(platform, server, allow=["127.0.0.1", "localhost"]), server)
    assert SECRET in str(server.got) and "Authorization" in str(server.got)
    assert len(thief.got) >= 7 and SECRET not in str(thief.got)
    assert not re.search("authorization|api-key|assertion", str(thief.got), re.IGNORECASE)


# --- what never ends ------------------------------------------------------------------------------------------------
def test_the_answers_of_one_thread_end() -> None:
    def answer(path: str, number: int) -> object:
        if path.endswith("/comments"):
            return listed("comment", [], f"page {number}")
        return listed("commentThread", [thread(1, NOW - 100, answers=150), thread(2, NOW - 200)])

    server = AnyServer(answer)
    with server.running():
        source = hears("youtube", server)
        source.poll()
        assert len(server.got) == 1 + youtube.MOST_TRIES + 3
        assert [gap.reason for gap in source.gaps] == ["YouTube gives the answers of one thread without an end"]
        source.poll()
        assert len(server.got) == 1 + youtube.MOST_TRIES + 3 + 1


def test_the_comments_of_one_post_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(path: str, number: int) -> object:
        post = {"owner_id": -1234, "date": int(NOW), "post_type": "post", "comments": {"count": 1}}
        comments: list[JsonObject] = [{"id": number, "from_id": 1, "date": int(NOW)}] * (vk_wall.PAGE - 5)
        threads: list[JsonObject] = [
            {"id": each, "from_id": 1, "date": int(NOW), "thread": {"count": 20}} for each in range(1, 6)
        ]
        posts = [{**post, "id": each} for each in range(1, 4)]
        return {"response": {"items": comments + threads if path.endswith("wall.getComments") else posts}}

    monkeypatch.setattr(vk_wall, "MOST_COMMENTS", 2 * vk_wall.PAGE)
    server = AnyServer(answer)
    with server.running():
        source, longest = hears("vk", server), list[int]()

        def over() -> bool:
            longest.append(len(source.cursors.get("back", {}).get("left", [])))
            return vk_wall.over(source.cursors.get("back", {}))

        source.run(over, part="back", since=NOW - 1_000)
    assert len(server.got) == 1 + 3 * 2 * (1 + 5 * 2) and max(longest) == 5 + 1 + 2, "the cursor holds what is left of one post"


@pytest.mark.parametrize("platform", ["telegram", "vk"])
def test_a_long_poll_whose_place_does_not_move_is_asked_once_a_second(platform: str) -> None:
    def answer(path: str, number: int) -> object:
        if path.endswith("getLongPollServer"):
            return {"response": {"server": f"{server.url}/poll", "key": "k", "ts": "7"}}
        if platform == "vk":
            return {"ts": "7", "updates": [{"type": "wall_post_new", "object": {"id": 1, "owner_id": -1234, "date": 1}}]}
        post = {"message_id": 1, "date": int(NOW), "chat": {"id": -1001, "type": "channel"}, "text": "It leaks"}
        return {"ok": True, "result": [{"update_id": number, "channel_post": post} for number in (7, 1 << 63, (1 << 64) - 1)]}

    server = AnyServer(answer)
    with server.running():
        source = hears(platform, server)
        source.run(lambda: source.pages >= 10)
    assert isinstance(source.timer, Rested) and source.timer.rests >= 8 and len(source.events) == 1


@pytest.mark.parametrize("platform", ["telegram", "vk"])
async def test_long_polls_that_are_held_keep_no_other_one_waiting(platform: str) -> None:
    sources, held = 20, 0

    async def answer(path: str, number: int) -> object:
        nonlocal held
        if path.endswith("getLongPollServer"):
            return {"response": {"server": f"{server.url}/poll", "key": "k", "ts": "7"}}
        held += 1
        while held < sources:
            await asyncio.sleep(0.01)
        return {"ok": True, "result": [], "ts": "8", "updates": []}

    server, client, feeds = AnyServer(answer), Outgoing(), FeedParser()
    with server.running():
        keys, token = KEYS[platform]
        source = source_of(**{"platform": platform, "server": server.url, **keys})
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for _ in range(sources):
                api = Api(client, "a", Rested(), Limit(), Allowed.of(("127.0.0.1",)))
                reach = Reach(api, SecretStr(token), api.timer, feeds, beside=frozenset({"a"}), environ={"SERVICE_KEY": SECRET})
                group.create_task(first_page(make_driver(source, reach)))
        await client.close()
        await feeds.close()


async def first_page(driver: Driver) -> None:
    async with aclosing(driver.pages({})) as pages:
        await anext(pages)


# --- what hides what comes after it ---------------------------------------------------------------------------------
def of_youtube(number: int, at: float) -> JsonObject:
    return listed("commentThread", [thread(number, at)])


def of_graph(number: int, at: float) -> JsonObject:
    return {"data": [{"id": f"123_{number}", "created_time": text_of(at), "message": "hi"}]}


def of_store(number: int, at: float) -> JsonObject:
    return {"data": [{"type": "customerReviews", "id": f"{number}", "attributes": {"body": "hi", "createdDate": text_of(at)}}]}


def of_play(number: int, at: float) -> JsonObject:
    comment = {"userComment": {"text": "hi", "lastModified": {"seconds": str(int(at))}}}
    return {"access_token": "t", "reviews": [{"reviewId": f"r{number}", "comments": [comment]}]}


def of_desk(number: int, at: float) -> JsonObject | list[JsonObject]:
    return [{"id": number, "subject": "hi", "status": 2, "created_at": text_of(NOW), "updated_at": text_of(at)}]


@pytest.mark.parametrize(
    ("platform", "page", "place"),
    [
        ("youtube", of_youtube, "mark"),
        ("facebook", of_graph, "lists"),
        ("app_store", of_store, "at"),
        ("google_play", of_play, "at"),
        ("freshdesk", of_desk, "at"),
    ],
)
def test_an_item_of_the_far_future_is_not_the_newest_one(
    platform: str, page: Callable[[int, float], object], place: str
) -> None:
    at = [NOW - 100, NOW + 5e8]
    server = AnyServer(lambda path, number: page(len(at), at[-1]))
    with server.running():
        source = hears(platform, server)
        assert len(source.poll()) == 1, "it comes all the same"
        assert str(time.gmtime(at.pop()).tm_year) not in str(source.cursors["live"])
        assert len(source.poll()) == 1 and text_of(at[-1])[:16] in str(source.cursors["live"][place])


def test_a_page_of_reviews_that_nobody_can_read_stops_no_app() -> None:
    server = AnyServer(lambda path, number: {"access_token": "t", "reviews": [{"reviewId": ""}, 7]})
    with server.running():
        source = hears("google_play", server)
        assert source.poll() == [] and source.unreadable == 1


@pytest.mark.parametrize("platform", ["facebook", "google_play"])
def test_an_error_of_another_shape_is_one_all_the_same(platform: str) -> None:
    words = {"code": 190, "error_subcode": [], "status": {}, "errors": [{"reason": []}]}

    def answer(path: str, number: int) -> object:
        return {"access_token": "t"} if path == "/token" else web.json_response({"error": words}, status=403)

    server = AnyServer(answer)
    with server.running(), pytest.raises(NoCredentials, match="refuses the token|may not read the reviews"):
        hears(platform, server).poll()


def test_an_id_of_the_graph_api_is_no_path() -> None:
    def answer(path: str, number: int) -> object:
        inner = {"data": [{"id": "9", "created_time": text_of(NOW)}], "paging": {"cursors": {"after": "x"}, "next": "y"}}
        ids = ("../me", "..", "1?fields=access_token", "1/../2", "é", "123_4")
        posts = [{"id": each, "created_time": text_of(NOW), "message": "hi", "comments": inner} for each in ids]
        return inner if path.endswith("/comments") else {"data": posts if number > 1 else []}

    server = AnyServer(answer)
    with server.running():
        source = hears("facebook", server)
        source.poll()
        source.poll()
    assert {got.path.partition("?")[0] for got in server.got} == {"/v24.0/123/feed", "/v24.0/123_4/comments"}


def test_a_reason_of_a_megabyte_is_cut() -> None:
    words = " ".join(f"pages_{'x' * (number % 30 + 3)}{'y' * (number // 30)}" for number in range(300))
    server = AnyServer(lambda path, number: web.json_response({"error": {"code": 10, "message": words}}, status=403))
    with server.running(), pytest.raises(Exception, match="lacks a permission, of pages_") as error:
        hears("facebook", server).poll()
    assert len(str(error.value)) < LONGEST_REASON + 10 and len(str(Failed("x"))) == 1
