"""X's recorded payloads: each file, all of its kinds. They are people's posts: no assertion prints a word of them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.twitter import observe
from tests.support.cassettes import bodies
from tests.support.platform_events import RECORDED, check, needs_recorded, table

pytestmark = needs_recorded

EXPECTED = {
    "threads/rumoureval2017_ottawashooting.jsonl": {"post": 58, "reply": 719},
    "twitter_v1_1/activity_streams_examples.json": {"post": 26, "reply": 7, "repost": 3},
    "twitter_v1_1/get_direct_messages.json": {"message": 20},
    "twitter_v1_1/get_home_timeline.json": {"post": 21, "repost": 14},
    "twitter_v1_1/get_list_timeline.json": {"post": 20},
    "twitter_v1_1/get_mentions.json": {"post": 8, "reply": 13},
    "twitter_v1_1/get_replies.json": {"post": 20},
    "twitter_v1_1/get_retweets.json": {"post": 14, "repost": 14},
    "twitter_v1_1/get_search_raw.json": {"post": 110, "reply": 5, "repost": 74},
    "twitter_v1_1/get_statuses.1.json": {"post": 100},
    "twitter_v1_1/get_user_timeline_count.json": {"post": 52, "reply": 12, "repost": 35},
    "twitter_v1_1/original_format_examples.json": {"post": 26, "reply": 7, "repost": 3},
    "twitter_v1_1/premium_search_next.json": {"post": 98, "reply": 5, "repost": 51},
    "twitter_v1_1/premium_search_point_radius.json": {"post": 97, "reply": 16},
    "twitter_v1_1/premium_search_to.json": {"post": 82, "reply": 19},
    "twitter_v1_1/public_api_sample.json": {"post": 22, "reply": 6, "repost": 3},
    "twitter_v1_1/status_quoted_tweet_with_media.json": {"post": 1, "reply": 1},
    "twitter_v1_1/statuses.json": {"post": 18, "reply": 2, "repost": 6},
    "twitter_v1_1/testgetretweets.json": {"post": 15, "repost": 15},
    "twitter_v1_1/testhometimeline.json": {"post": 17, "reply": 2, "repost": 3},
    "twitter_v1_1/testsearchtweets.json": {"post": 14, "reply": 1, "repost": 6},
    "twitter_v1_1/testusertimeline.json": {"post": 5, "reply": 19},
    "twitter_v2/search_tweets_query.json": {"post": 1, "reply": 5},
    "twitter_v2/test_asyncclient_get_all_tweets_count.yaml": {"-count": 734},
    "twitter_v2/test_asyncclient_get_home_timeline.yaml": {"post": 69, "repost": 29},
    "twitter_v2/test_asyncclient_get_liked_tweets.yaml": {"post": 91, "repost": 5},
    "twitter_v2/test_asyncclient_get_list_tweets.yaml": {"post": 46, "repost": 51},
    "twitter_v2/timeline_mentions.json": {"post": 5},
    "twitter_v2/timeline_tweets.json": {"post": 5},
    "twitter_v2/tweet.json": {"reply": 1},
    "twitter_v2/tweet_example_v2.json": {"reply": 1},
    "twitter_v2/tweet_list_v2_example.json": {"post": 3},
    "twitter_v2/tweet_quote_tweets_resp.json": {"post": 2, "repost": 13},
    "twitter_v2/tweet_stream_example.json": {"post": 1},
    "twitter_v2/tweets_counts_recent_resp.json": {"-count": 169},
    "twitter_v2/user_followers_example_v2.json": {"profile": 100},
    "twitter_v2/user_timeline_example_v2.json": {"reply": 10},
}
LABELS = "threads/rumoureval_train_subtaskA.json"
"""No payload: people's judgements of tweets, by their ids."""
CASSETTES = ("twitter_v1_1/test", "twitter_v2/test_")


def payloads(name: str) -> list[bytes]:
    path: Path = RECORDED / "platforms" / name
    if name.startswith(CASSETTES):
        return bodies(path)
    raw = path.read_bytes()
    lines = raw.splitlines()
    return [line for line in lines if line.strip()] if len(lines) > 1 and lines[1].startswith(b"{") else [raw]


def observed(name: str) -> list[Observation | LeftOut]:
    return [each for payload in payloads(name) for each in observe(orjson.loads(payload), Origin())]


def test_every_file_is_expected() -> None:
    folders = [RECORDED / "platforms" / name for name in ("threads", "twitter_v1_1", "twitter_v2")]
    assert {f"{folder.name}/{file.name}" for folder in folders for file in folder.iterdir()} == {*EXPECTED, LABELS}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_kinds_of_a_file(name: str) -> None:
    found = observed(name)
    for each in found:
        if isinstance(each, Observation):
            check("twitter", each)
    assert table(found) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_texts_have_no_entities_and_no_short_links_whose_target_is_known(name: str) -> None:
    texts = [str(each.event.get("text", "")) for each in observed(name) if isinstance(each, Observation) and not each.partial]
    assert sum("&amp;" in text or "&lt;" in text or "&gt;" in text for text in texts) == 0
    assert sum("https://t.co/" in text for text in texts) == 0


def test_the_same_posts_in_two_formats_give_the_same_events() -> None:
    """Only the counts that Activity Streams lack, and one link, differ."""
    old, new = (
        {each.event["id"]: each.event for each in observed(f"twitter_v1_1/{name}.json") if isinstance(each, Observation)}
        for name in ("activity_streams_examples", "original_format_examples")
    )
    assert old.keys() == new.keys()
    differing = [
        name for key, event in old.items() for name in event.keys() | new[key].keys() if event.get(name) != new[key].get(name)
    ]
    assert {name: differing.count(name) for name in differing} == {"metrics": 26, "text": 1, "urls": 1}
