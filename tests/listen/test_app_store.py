"""The driver of the App Store against a server on loopback, which takes what the key signed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from pipeline.config.settings import Settings
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.app_store_server import APP, ISSUER, KEY_ID, AppStoreServer, key_file
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = time.time()
NONE: list[Fault] = [""] * 9


@pytest.fixture
def store() -> Iterator[AppStoreServer]:
    server = AppStoreServer()
    with server.running():
        yield server


def fill(store: AppStoreServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        store.world.post(number, NOW - 100_000 + number, f"review {number}")


def keys(store: AppStoreServer, **more: object) -> dict[str, object]:
    return {"platform": "app_store", "app": APP, "key_id": KEY_ID, "issuer": ISSUER, "server": store.url, **more}


def polls(store: AppStoreServer, token: str | None = None, **more: object) -> Driven:
    return Driven(source_of(**keys(store, **more)), key_file() if token is None else token)


def numbers(events: list[JsonObject]) -> list[int]:
    return sorted(int(event["id"]) for event in events if event["operation"] == "create" and event["kind"] == "review")


def asked(store: AppStoreServer) -> int:
    return store.requests.total()


def test_begins_with_the_newest_page_then_news_edits_and_answers(store: AppStoreServer) -> None:
    fill(store, 1, 250)
    source = polls(store)
    assert numbers(source.poll()) == [*range(51, 251)] and asked(store) == 1
    fill(store, 251, 252)
    store.world.edit(200, "edited", NOW)
    store.world.post(9_001, NOW, "answer to 240", author="us")
    events = source.poll()
    assert Counter((event["operation"], event["id"]) for event in events) == Counter(
        {("create", "251"): 1, ("create", "252"): 1, ("create", "240/reply"): 1, ("update", "200"): 1}
    )
    (edit,) = [event for event in events if event["operation"] == "update"]
    assert edit["text"] == "A kettle\nedited" and "created_at" not in edit
    store.world.edit(9_001, "better answer to 240", NOW + 5)
    assert [event["id"] for event in source.poll()] == ["240/reply"]
    assert source.poll() == [] and asked(store) == 4 and not source.gaps
    assert source.check().startswith(f"app {APP}: 200 reviews on the newest page, the last of 20")


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(2))
def test_a_fault_costs_one_request(store: AppStoreServer, fault: Fault, position: int) -> None:
    fill(store, 1, 30)
    source = polls(store)
    source.poll()
    fill(store, 31, 300)
    store.faults.plan[:] = [*NONE[:position], fault]
    assert numbers(source.poll(starts=2)) == [*range(31, 301)] and asked(store) == 1 + 2 + 1
    assert source.poll() == [] and not source.gaps


def test_reviews_that_are_edited_while_pages_are_read_come_in_their_last_state(store: AppStoreServer) -> None:
    fill(store, 1, 30)
    source = polls(store)
    source.poll()
    fill(store, 31, 500)
    store.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    for number in (450, 150, 20):  # it was read; it goes from the last page to the first; it was known
        store.world.edit(number, f"edited {number}", NOW + number)
    source.poll()
    source.poll()
    texts = {event["id"]: event["text"] for event in source.events if "text" in event}
    edited = {number: f"edited {number}" for number in (450, 150, 20)}
    assert texts == {str(each): f"A kettle\n{edited.get(each, f'review {each}')}" for each in range(1, 501)}
    assert source.operations["create"] == 500


def test_the_past_to_a_time_or_to_the_end(store: AppStoreServer) -> None:
    fill(store, 1, 700)
    source = polls(store)
    store.faults.plan[:] = ["", "500"]
    assert numbers(source.backfill(NOW - 100_000 + 320, starts=2)) == [*range(301, 701)] and asked(store) == 3
    assert source.backfill(NOW - 100_000 + 320) == [] and asked(store) == 3
    assert numbers(polls(store).backfill(0)) == [*range(1, 701)]


def test_a_page_for_ever_ends_with_a_gap(store: AppStoreServer) -> None:
    fill(store, 1, 5)
    source = polls(store)
    source.poll()
    fill(store, 6, 900)
    store.repeats = 10_000
    source.poll()
    assert len(source.gaps) == 1 and asked(store) == 1 + 2


def test_a_link_to_another_host_is_not_followed(store: AppStoreServer) -> None:
    fill(store, 1, 5)
    source = polls(store)
    source.poll()
    fill(store, 6, 300)
    store.elsewhere = "https://elsewhere.example"
    assert numbers(source.poll()) == [*range(6, 301)]


def test_keys_and_tokens(store: AppStoreServer) -> None:
    fill(store, 1, 5)
    source = polls(store, key_file().replace("\n", "\\n"))  # as a variable may hold it
    assert numbers(source.poll()) == [1, 2, 3, 4, 5]
    assert not any(token and token in str(source.cursors) for token in store.tokens)
    with pytest.raises(NoCredentials, match="refuses the key, key_id or issuer, or our clock is wrong: NOT_AUTHORIZED"):
        polls(store, ECKey.generate_key("P-256").as_pem(private=True).decode()).poll()
    with pytest.raises(NoCredentials, match="NOT_AUTHORIZED"):
        polls(store, issuer=None).poll()
    before = asked(store)
    key = ECKey.generate_key("P-256")
    public, locked = key.as_pem(private=False).decode(), key.as_pem(private=True, password="tea").decode()
    other = PrivateFormat.PKCS8, NoEncryption()
    unknown = ec.generate_private_key(ec.BrainpoolP256R1()).private_bytes(Encoding.PEM, *other).decode()
    for broken in ("", "x", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", public, locked, unknown):
        with pytest.raises(NoCredentials, match="key"):
            polls(store, broken).poll()
    assert asked(store) == before


@pytest.mark.parametrize(
    ("status", "code", "state", "line"),
    [
        (403, "FORBIDDEN_ERROR", NoCredentials, f"the key may not read the reviews of app {APP}: FORBIDDEN_ERROR, status 403"),
        (404, "NOT_FOUND", Failed, f"there is no app {APP} for this key: NOT_FOUND, status 404"),
        (429, "RATE_LIMIT_EXCEEDED", Waiting, "Apple's rate limit is used up: RATE_LIMIT_EXCEEDED, status 429"),
        (500, "A person's words", Failed, "status 500"),
    ],
)
def test_what_apple_refuses(store: AppStoreServer, status: int, code: str, state: type[Exception], line: str) -> None:
    store.error = status, code
    with pytest.raises(state) as found:
        polls(store).poll()
    assert str(found.value) == line and asked(store) == 1


def test_the_rate_limit_is_obeyed(store: AppStoreServer) -> None:
    fill(store, 1, 5)
    source = polls(store)
    store.left = 0
    assert len(source.poll()) == 5 and source.limit.left == 0
    with pytest.raises(Waiting) as error:
        source.poll()
    assert error.value.until == pytest.approx(time.time() + 600, abs=30) and asked(store) == 1
    store.left = 50
    assert source.poll() == [] and source.limit.left == 50


@pytest.mark.timeout(240)
def test_a_listener_sends_each_review_once(settings: Settings, store: AppStoreServer, tmp_path: Path) -> None:
    migrate(settings)
    fill(store, 1, 5)
    (tmp_path / "AuthKey.p8").write_text(key_file())
    sources = tmp_path / "sources.yaml"
    write_sources(sources, [{"name": "app", "token_file": "AuthKey.p8", "every": "1s", **keys(store)}])
    listens = listening(settings, sources)
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the reviews came", lambda: len(sent(listens)) == 5)
    fill(store, 6, 6)
    store.world.edit(2, "edited", time.time())
    wait_for("the changes came", lambda: len(sent(listens)) == 7)
    assert listener.stop() == 0
    fill(store, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new review came", lambda: len(sent(listens)) == 8)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 7, "update": 1}
    assert "PRIVATE KEY" not in str(cursors(listens)) + (tmp_path / "1.log").read_text()
