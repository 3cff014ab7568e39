"""`keep: mentions`: what a worker would match is kept, and what follows of it; what it would not match is dropped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest

from pipeline.config.settings import Settings
from pipeline.listen.keep import Mentioning
from pipeline.migrate import migrate
from pipeline.monitoring.scrape import scrape
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from schemas.contacts import DEFAULT
from schemas.untyped import JsonObject
from tests.processors.mentions.texts_brands import ENTRIES
from tests.processors.mentions.texts_seen import TEXTS
from tests.support.bluesky_server import FAN, BlueskyServer, did_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.worker import wait_for

BRANDS = Brands.model_validate({"brands": ENTRIES})
FIELDS: list[JsonObject] = [
    {},
    {"text": ""},
    {"text": "a quiet day"},
    {"text": "look", "urls": ["https://acme.com/kettle"]},
    {"urls": ["https://acme.com/kettle"]},
    {"text": "look: https://shop.acme.com/kettle"},
    {"text": "thanks", "mentions": ["@acme"]},
    {"text": "thanks", "mentions": ["acme_us", "x"]},
    {"mentions": ["zed"]},
    {"text": "thanks", "mentions": ["zedd"]},
    {"text": "an apfelo strudel"},
    {"text": "apfelo", "hashtags": ["acme"]},
    {"text": "help@acme.com", "author": {"email": "otto@acme.com", "name": "Acme"}},
    {"text": "&#65;cme <b>kettles</b>"},
]
POST, REPOST = "app.bsky.feed.post", "app.bsky.feed.repost"


def event(number: object, **fields: object) -> JsonObject:
    return {"id": f"{number}", "platform": "mastodon", "kind": "post", "created_at": "2026-11-28T12:00:00Z", **fields}


def kept(*observations: Observation, known: Known | None = None) -> list[str]:
    return [each.event["id"] for each in Mentioning(BRANDS).keep(observations, known or Known())]


def test_it_keeps_what_a_worker_matches_and_nothing_else() -> None:
    events = [event(number, **fields) for number, fields in enumerate(FIELDS)]
    events += [
        event(f"text {number}", platform=platform or "rss", text=text) for number, (platform, text, _) in enumerate(TEXTS)
    ]
    batch = batch_of([orjson.dumps(each) for each in events])
    for step in (Decode(), Pseudonymise(b"key", "", DEFAULT), Mentions(BRANDS)):
        batch = step.process(batch)
    assert not batch.rejected
    matched = batch.events.filter(batch.events.get_column("brands").list.len() > 0).get_column("id").to_list()
    assert 20 < len(matched) < len(events)
    for platform in {each["platform"] for each in events}:
        of_platform = [Observation(each) for each in events if each["platform"] == platform]
        names = {each.event["id"] for each in of_platform}
        assert kept(*of_platform) == [name for name in matched if name in names]


def test_what_follows_of_a_kept_item_on_its_page_is_kept() -> None:
    said, quiet = Observation(event(1, text="acme")), Observation(event(2, text="a quiet day"))
    edited = Observation(event(1, text="never mind"))
    assert kept(said, quiet, edited, Observation(said.event, deleted=True), Observation(quiet.event, deleted=True)) == ["1"] * 3


def test_an_edit_that_mentions_a_brand_brings_the_item_as_it_is_from_then_on() -> None:
    before, after = Observation(event(1, text="a quiet day")), Observation(event(1, text="acme"))
    assert kept(before, after) == ["1"] and Mentioning(BRANDS).keep([before, after], Known()) == [after]


@pytest.mark.parametrize("kind", ["like", "repost", "reaction", "vote"])
def test_a_reaction_is_kept_with_its_target_wherever_that_is_on_the_page(kind: str) -> None:
    said, quiet = Observation(event(1, text="acme")), Observation(event(2, text="a quiet day"))
    of_said, of_quiet = (Observation(event(f"of {name}", kind=kind, target=name)) for name in ("1", "2"))
    undone = Observation(of_said.event, deleted=True)
    assert kept(said, quiet, of_said, of_quiet, undone) == ["1", "of 1", "of 1"]
    assert kept(of_quiet, of_said, quiet, said) == ["of 1", "1"], "a page of Mastodon has a repost before its original"
    known = Known()
    assert [*known.changes([said], "2026-11-28T12:00:00Z")] and kept(of_quiet, of_said, known=known) == ["of 1"]


def test_a_comment_is_no_reaction() -> None:
    said, answer = Observation(event(1, text="acme")), Observation(event(2, kind="reply", target="1", text="so what"))
    assert kept(said, answer) == ["1"]


# --- live -------------------------------------------------------------------------------------------------------------
def post(server: BlueskyServer, number: int, text: str, operation: str = "create") -> None:
    record = {"$type": POST, "text": text, "createdAt": "2026-11-28T12:00:00.000Z", "langs": ["en"]}
    server.commit(did_of("ines"), POST, f"3k{number}", operation, record)


def reactions(server: BlueskyServer, number: int) -> None:
    """A like and a repost of a post."""
    subject = {"uri": f"at://{did_of('ines')}/{POST}/3k{number}", "cid": "c"}
    for collection in ("app.bsky.feed.like", REPOST):
        record = {"$type": collection, "subject": subject, "createdAt": "2026-11-28T12:00:01.000Z"}
        server.commit(FAN, collection, f"3l{number}", "create", record)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_of_a_live_stream_come_posts_about_brands_and_the_reactions_to_them(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    (tmp_path / "brands.yaml").write_text("brands: [{name: Acme, keywords: [acme]}]")
    sources = tmp_path / "sources.yaml"
    server = BlueskyServer()
    with server.running():
        write_sources(sources, [{"name": "sky", "platform": "bluesky", "server": server.address, "keep": "mentions"}])
        settings = listening(settings, sources).model_copy(update={"brands": tmp_path / "brands.yaml"})
        listener = start_listener(settings, tmp_path / "listener.log")
        wait_for("it follows the stream", lambda: bool(server.sockets))
        for number, text in ((1, "the kettle of Acme leaks"), (2, "a quiet day")):
            post(server, number, text)
            reactions(server, number)
        post(server, 3, "acme again")
        wait_for("the last post came", lambda: any(each.get("text") == "acme again" for each in sent(settings)))
        came = Counter((each["operation"], each["kind"], str(each.get("target") or each["id"])[-3:]) for each in sent(settings))
        post(server, 2, "a quiet day with acme", "update")
        reactions(server, 2)
        wait_for("the edited one came, and what was said of it since", lambda: len(sent(settings)) == 7)
        samples = scrape(f"http://127.0.0.1:{settings.listen.port}/metrics") or {}
        assert listener.stop() == 0
    first = [("post", "3k1"), ("like", "3k1"), ("repost", "3k1"), ("post", "3k3")]
    assert came == {("create", kind, item): 1 for kind, item in first}
    assert Counter(each["kind"] for each in sent(settings)) == {"post": 3, "like": 2, "repost": 2}
    assert samples["earshot_source_events_not_kept_total", "sky"] == 3
