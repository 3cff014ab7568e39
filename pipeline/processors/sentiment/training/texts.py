"""Texts without a label, which the teachers score: recorded posts of other platforms.

Only recorded data whose licence allows training: not airline_tweets.csv, which is a test set, nor the Spotify set.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipeline.processors.sentiment import tone
from pipeline.processors.sentiment.prepare import clean
from pipeline.processors.sentiment.training.data import key

_FIELDS = {"text", "full_text", "content", "message", "body", "selftext", "comment", "title", "description"}
_TAG = re.compile(r"<[^>]+>")
_STREAMS = ("mastodon_stream.jsonl", "bluesky_jetstream.jsonl")
_CSV = (
    ("boston_2013_reposts.csv", " tweet"),
    ("fampay_instagram_comments_all.csv", "text"),
    ("fampay_app_reviews_2.csv", "content"),
    ("fampay_instagram_data_latest_all.csv", "caption"),
)


def unlabelled(data: Path, checks: pl.Series) -> pl.DataFrame:
    """The texts (column text: prepared, each once, of three words or eight characters), none with a key among `checks`."""
    texts = [text for file, column in _CSV for text in pl.read_csv(data / "stream" / file, infer_schema=False)[column]]
    for name in _STREAMS:
        for line in (data / "stream" / name).read_text().split("\n"):
            if line.strip():
                texts += _strings(json.loads(line))
    for path in sorted((data / "platforms").rglob("*.json")):
        try:
            texts += _strings(json.loads(path.read_bytes()))
        except ValueError:
            continue  # some recorded payloads are broken on purpose
    frame = pl.DataFrame({"text": clean(pl.Series([_plain(text) for text in texts if text]))})
    frame = frame.with_columns(key=key(frame.get_column("text"))).unique("key", maintain_order=True)
    long = (pl.col("text").str.len_chars() >= 8) | (pl.col("text").str.count_matches(" ") >= 2)
    frame = frame.filter(long & ~pl.col("key").is_in(checks.implode()))
    return frame.select(tone.plain(frame.get_column("text")).alias("text"))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name in _FIELDS and isinstance(child, str):
                yield child
            else:
                yield from _strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child)


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub(" ", text)) if "<" in text else text
