"""Mastodon's driver against a server that speaks its API: streams, gaps, polls, back-fill, refusals, other servers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.listen import api
from pipeline.listen.drivers import mastodon
from pipeline.listen.sources_file import AnySource
from pipeline.listen.states import NoCredentials, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.driving import SHORT, Driven, source
from tests.support.listener import listening as listening_with
from tests.support.listener import sent, start_listener, write_sources
from tests.support.mastodon_server import FIRST_ID, MastodonServer
from tests.support.worker import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
TOKEN = "kettle-token"


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    server = MastodonServer()
    server.token = TOKEN
    for number in range(1, 6):
        post(server, number)
    with server.running():
        yield server


def post(server: MastodonServer, number: int, author: str = "ines") -> None:
    server.world.post(number, time.time() - 10_000 + number, f"post {number}", author)


def listening(server: MastodonServer, token: str = TOKEN, **keys: object) -> Driven:
    return Driven(source(platform="mastodon", server=server.url, **keys), token)


def asked(server: MastodonServer) -> JsonObject:
    """Requests of each kind."""
    return {path.split("/")[-1]: count for path, count in server.requests.items()}


def test_the_newest_page_then_the_stream(server: MastodonServer) -> None:
    driven = listening(server)
    driven.run(lambda: len(driven.events) == 5)
    assert driven.operations == {"create": 5}
    assert {event["id"] for event in driven.events} == {f"127.0.0.1:{FIRST_ID + number}" for number in range(1, 6)}

    def changes() -> bool:
        if server.sockets and len(server.world.items()) == 5:
            post(server, 6)
            server.world.edit(6, "post 6, edited", time.time())
            server.world.delete(2)
            server.world.like(5, 9)
        return len(driven.events) == 9

    driven.run(changes)
    assert driven.operations == {"create": 6, "update": 2, "delete": 1}
    assert not driven.errors and not driven.gaps
    assert asked(server) == {"instance": 1, "streaming": 2, "public": asked(server)["public"]}
    assert not any(TOKEN in url or "token" in url for url in server.urls)


def test_what_the_stream_missed_comes_by_rest_once_and_in_order(server: MastodonServer) -> None:
    driven = listening(server, every="1h")
    driven.run(lambda: len(driven.events) == 5)
    for number in range(6, 206):
        post(server, number)
    server.world.delete(5)  # the newest one that is known
    server.requests.clear()
    driven.run(lambda: len(driven.events) == 205 and "gap" not in driven.cursors["live"])
    assert driven.operations == {"create": 205} and not driven.gaps
    assert asked(server) == {"streaming": 1, "public": 7}, "the newest page, whether the timeline reaches so far, and the gap"


@pytest.mark.parametrize(
    ("fault", "position"),
    [
        *((fault, position) for fault in ("500", "reset", "html") for position in range(6)),
        *((fault, position) for fault in ("half", "empty", "stall") for position in (0, 2, 4)),
    ],
)
def test_a_request_that_fails_costs_one_more(
    server: MastodonServer, fault: str, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "stall":
        monkeypatch.setattr(api, "LIMITS", SHORT)
    driven = listening(server, every="1h")
    driven.run(lambda: len(driven.events) == 5)
    for number in range(6, 106):
        post(server, number)
    driven.cursors["live"].pop("asked")
    server.requests.clear()
    server.faults.plan[:] = [*[""] * position, fault]  # type: ignore[list-item]
    driven.run(lambda: len(driven.events) == 105 and "gap" not in driven.cursors["live"])
    assert driven.operations == {"create": 105}
    needed = 1 + 1 + 4  # instance, stream, the newest page, whether the timeline reaches so far, two of the gap
    assert server.requests.total() == needed + server.faults.counted.total(), asked(server)


def test_a_stream_that_breaks_is_followed_again(server: MastodonServer) -> None:
    driven = listening(server)

    def broken() -> bool:
        if len(driven.events) == 5 and server.sockets and not driven.errors:
            server.breaks()
            for number in range(6, 60):
                post(server, number)
        return len(driven.events) == 59

    driven.run(broken)
    assert driven.operations == {"create": 59} and len(driven.errors) == 1


def test_a_stream_without_a_sign_is_broken(server: MastodonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mastodon, "IDLE_S", 0.4)
    driven = listening(server)

    def stalls() -> bool:
        if len(driven.events) == 5 and server.sockets:
            server.silent = not driven.errors
        return bool(driven.errors)

    driven.run(stalls)
    assert "no sign" in str(driven.errors[0])
    server.silent = False
    post(server, 6)
    driven.run(lambda: len(driven.events) == 6)


def test_a_quiet_stream_lives(server: MastodonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mastodon, "SIGN_S", 0.1)
    driven = listening(server, every="1h")
    driven.run(lambda: driven.pages > 6)
    assert len(driven.events) == 5 and not driven.errors


def test_broken_frames_are_counted_and_a_refusal_is_none_of_them(server: MastodonServer) -> None:
    driven = listening(server, every="1h")

    def frames() -> bool:
        if server.sockets and not server.frames:
            for frame in ("{", '{"event":"update","payload":"{"}', "[]", '{"event":"filters_changed"}'):
                server.add(frame)
            post(server, 6)
        return len(driven.events) == 6

    driven.run(frames)
    assert driven.unreadable == 3 and not driven.errors
    server.frames.clear()

    def refused() -> bool:
        if server.sockets and not server.frames:
            server.add({"error": "Access token does not have the required scopes", "status": 401})
        return bool(driven.errors)

    driven.run(refused)
    assert [type(error) for error in driven.errors] == [NoCredentials]


def test_without_a_token_a_server_that_streams_to_nobody_is_polled(server: MastodonServer) -> None:
    server.streams_to_all = False
    driven = listening(server, token="")
    driven.run()
    assert driven.operations == {"create": 5}
    server.world.edit(3, "post 3, edited", time.time())
    for number in range(6, 106):
        post(server, number)
    driven.run()
    driven.run()
    assert driven.operations == {"create": 105} | ({"update": 1} if driven.operations["update"] else {})
    assert asked(server)["streaming"] == 1 and asked(server)["instance"] == 1, "it is asked again after a day"
    driven.timer.ahead += 2 * 86_400
    driven.run()
    assert asked(server)["streaming"] == 2


def test_a_poll_sees_changes_of_the_newest_page(server: MastodonServer) -> None:
    server.streams_to_all = False
    driven = listening(server, token="")
    driven.run()
    server.world.edit(3, "post 3, edited", time.time())
    server.world.like(4, 3)
    driven.run()
    driven.run()
    assert driven.operations == {"create": 5, "update": 2}
    assert server.requests["/api/v1/timelines/public"] == 3


def test_a_poll_that_stops_in_a_gap_goes_on_there(server: MastodonServer) -> None:
    server.streams_to_all = False
    driven = listening(server, token="")
    driven.run()
    for number in range(6, 206):
        post(server, number)
    server.requests.clear()
    server.faults.plan[:] = ["", "", "", "500"]
    driven.run()
    assert driven.operations == {"create": 205} and len(driven.errors) == 1
    assert server.requests["/api/v1/timelines/public"] == 1 + 1 + 5 + 1


def test_a_server_that_shows_nothing_wants_a_token(server: MastodonServer) -> None:
    server.streams_to_all = server.shows_to_all = False
    driven = listening(server, token="")
    driven.run(starts=1)
    assert [type(error) for error in driven.errors] == [NoCredentials] and "without a token" in str(driven.errors[0])
    wrong = listening(server, token="old-token")
    wrong.run(starts=1)
    assert [type(error) for error in wrong.errors] == [NoCredentials] and "old-token" not in str(wrong.errors[0])
    with pytest.raises(NoCredentials):
        listening(server, token="", timeline="home").run()


def test_the_rate_limit_ends_when_the_server_says(server: MastodonServer) -> None:
    server.left = 0
    server.reset = datetime.fromtimestamp(time.time() + 3_600, UTC).isoformat().replace("+00:00", "Z")
    driven = listening(server)

    def goes_on() -> bool:
        if driven.errors:
            server.left = 300
        return len(driven.events) == 5

    driven.run(goes_on)
    assert [type(error) for error in driven.errors] == [Waiting] and driven.timer.ahead > 3_500


def test_the_past_comes_page_by_page_to_its_end(server: MastodonServer) -> None:
    for number in range(6, 151):
        post(server, number)
    driven = listening(server)
    since = time.time() - 10_000 + 20.5
    server.faults.plan[:] = ["", "", "half"]
    driven.run(part="back", since=since)
    assert driven.texts == [f"post {number}" for number in range(150, 20, -1)]
    assert asked(server) == {"public": 5} and not driven.gaps and len(driven.errors) == 1


def test_a_home_timeline_that_ends_before_is_a_gap(server: MastodonServer) -> None:
    server.kept = 3
    driven = listening(server, timeline="home")
    driven.run(part="back", since=0.0)
    assert len(driven.events) == 3
    assert [gap.reason for gap in driven.gaps] == ["the server keeps only the newest statuses of a home timeline"]


def test_a_timeline_that_forgot_the_known_status_is_a_gap(server: MastodonServer) -> None:
    driven = listening(server, timeline="home")
    driven.run(lambda: len(driven.events) == 5)
    for number in range(6, 306):
        post(server, number)
    server.kept = 100
    driven.run(lambda: len(driven.events) == 105 and "gap" not in driven.cursors["live"])
    assert [gap.reason for gap in driven.gaps] == [mastodon.FORGOTTEN]
    assert driven.gaps[0].since < driven.gaps[0].until


def test_an_empty_timeline_misses_nothing_later(server: MastodonServer) -> None:
    server.streams_to_all = False
    for number in range(1, 6):
        server.world.delete(number)
    driven = listening(server, token="", timeline="tag", tag="#tea")
    driven.run()
    for number in range(6, 106):
        post(server, number)
    driven.run()
    assert driven.operations == {"create": 100} and not driven.gaps


def test_accounts_of_a_server_of_its_own_are_left_to_that_one(server: MastodonServer) -> None:
    def other(**keys: object) -> object:
        return source(name="b", platform="mastodon", server="https://other.example", **keys)

    def texts(*others: object) -> list[str]:
        driven = listening(server)
        driven.others = others  # type: ignore[assignment]
        driven.run(lambda: "post 7" in driven.texts)
        return driven.texts

    post(server, 6, "tom@other.example")
    post(server, 7, "mira@third.example")
    assert "post 6" in texts() and "post 6" in texts(other(timeline="tag", tag="tea"))
    assert "post 6" in texts(other(keep="mentions")) and "post 6" in texts(source(platform="mastodon", server=server.url))
    assert "post 6" not in texts(other()) and "post 6" not in texts(other(timeline="local"))


def test_what_is_left_to_another_source_follows_the_file_while_it_streams(server: MastodonServer) -> None:
    driven = listening(server, every="1h")
    left = source(name="b", platform="mastodon", server="https://other.example")

    def then(number: int, others: tuple[AnySource, ...]) -> None:
        if server.sockets and f"post {number - 1}" in driven.texts and number not in server.world.items():
            driven.others = others
            post(server, number, "tom@other.example")
            post(server, number + 1)

    def changes() -> bool:
        then(6, (left,))
        then(8, ())
        return "post 9" in driven.texts

    driven.run(changes)
    assert "post 6" not in driven.texts and "post 8" in driven.texts and not driven.errors


def test_recorded_statuses_flow(server: MastodonServer) -> None:
    recorded = [server.status(item) for item in server.world.newest()]
    driven, played = listening(server, every="1h"), list[str]()

    def all_there() -> bool:
        if server.sockets and not played:
            played.extend(key for key, _ in server.play_statuses(recorded, 1_000, 0.5))
        return len(driven.events) == 5 + len(played) > 5

    driven.run(all_there)
    assert {event["id"] for event in driven.events[5:]} == {f"127.0.0.1:{key}" for key in played} and len(played) == 500


def test_check_says_who_is_logged_in(server: MastodonServer) -> None:
    assert listening(server).check() == "127.0.0.1: logged in as @northwind; its timeline public gives 5 statuses"
    assert "nobody" in listening(server, token="").check()
    with pytest.raises(NoCredentials):
        listening(server, token="old-token").check()


def test_a_listener_brings_each_status_once(settings: Settings, tmp_path: Path, server: MastodonServer) -> None:
    migrate(settings)
    write_sources(
        tmp_path / "sources.yaml",
        [{"name": "toots", "platform": "mastodon", "server": server.url, "every": "1s", "token_file": str(tmp_path / "token")}],
    )
    (tmp_path / "token").write_text(TOKEN)
    listens = listening_with(settings, tmp_path / "sources.yaml")
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the newest page came", lambda: len(sent(listens)) == 5)
    post(server, 6)
    server.world.edit(3, "post 3, edited", time.time())
    wait_for("the stream came", lambda: len(sent(listens)) == 7)
    server.world.like(4, 7)
    server.world.delete(2)
    wait_for("the likes and the delete came", lambda: len(sent(listens)) == 9)
    assert listener.stop() == 0
    for number in range(7, 107):
        post(server, number)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("what it missed came", lambda: len(sent(listens)) == 109)
    assert listener.stop() == 0
    operations = Counter(event["operation"] for event in sent(listens))
    assert operations == {"create": 106, "update": 2, "delete": 1}
    assert TOKEN not in (tmp_path / "1.log").read_text() + (tmp_path / "2.log").read_text()
