"""A listener, live: from the moment when a platform sends a post until the first SELECT of another client that returns its row.

Servers on loopback stream the recorded posts of Mastodon and Bluesky again and again, with ids and times of their own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import numpy as np
import orjson
import yaml

from benchmarks.ground import Ground, Worker, ground
from benchmarks.listen import DATA
from benchmarks.report import MS, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.listening import ListenSettings
from pipeline.config.settings import Settings
from schemas.untyped import JsonObject
from tests.support.bluesky_server import BlueskyServer
from tests.support.mastodon_server import MastodonServer

NAMES = ("listen.visible_p50_ms", "listen.visible_p99_ms")
LOOK_S, WINDOW_S, WARM_UP_S, PATIENCE_S = 0.05, 30, 10.0, 60.0
Sent = list[tuple[str, float]]
"""The id of each post, and when it was sent."""


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    """`rate` posts a second, of both platforms together."""
    stream = DATA.parent / "stream"
    statuses, frames = _lines(stream / "mastodon_stream.jsonl"), _lines(stream / "bluesky_jetstream.jsonl")
    with ground() as stage:
        milliseconds = 1000 * _measure(stage, statuses, frames, rate, seconds)
    conditions = f"{rate} posts/s of Mastodon and Bluesky for {seconds} s, {len(milliseconds):,} rows"
    yield Figure(NAMES[0], float(np.percentile(milliseconds, 50)), MS, conditions)
    yield Figure(NAMES[1], float(np.percentile(milliseconds, 99)), MS, conditions)


def _lines(path: Path) -> list[JsonObject]:
    if not path.is_file():
        raise RuntimeError(f"no recorded data: {path.name} is not in EARSHOT_DATA ({path.parent.parent})")
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]


def _measure(
    stage: Ground, statuses: Sequence[JsonObject], frames: Sequence[JsonObject], rate: int, seconds: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    mastodon, bluesky = MastodonServer(), BlueskyServer()
    with ExitStack() as stack:
        stack.enter_context(mastodon.running())
        stack.enter_context(bluesky.running())
        settings = _settings(stage, stack.enter_context(stage.run(stage.topic(1))), mastodon, bluesky)
        worker = stack.enter_context(Worker(settings))
        worker.wait_until_it_reads()
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", "listen"], env=child_environment(settings))
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        while not (mastodon.sockets and bluesky.sockets):
            time.sleep(0.1)
        time.sleep(WARM_UP_S)
        seen = stack.enter_context(Seen(settings))
        sent = _played(mastodon, statuses, bluesky, frames, rate, seconds)
        end = time.monotonic() + PATIENCE_S
        while missing := [post for post, _ in sent if post not in seen.first]:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(missing):,} of {len(sent):,} posts were never seen, as {missing[0]}")
            time.sleep(0.1)
        return np.array([seen.first[post] - at for post, at in sent])


def _settings(stage: Ground, settings: Settings, mastodon: MastodonServer, bluesky: BlueskyServer) -> Settings:
    sources = [
        {"name": "mastodon", "platform": "mastodon", "server": mastodon.url, "allow": ["127.0.0.1"]},
        {"name": "bluesky", "platform": "bluesky", "server": bluesky.address, "allow": ["127.0.0.1"]},
    ]
    path = stage.folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": sources}))
    return settings.model_copy(update={"sources": path, "listen": ListenSettings(port=0)})


def _played(
    mastodon: MastodonServer,
    statuses: Sequence[JsonObject],
    bluesky: BlueskyServer,
    frames: Sequence[JsonObject],
    rate: int,
    seconds: int,
) -> Sent:
    """Streams both, at half the rate each."""
    toots: Sent = []
    one = Thread(target=lambda: toots.extend(mastodon.play_statuses(statuses, rate / 2, seconds)))
    one.start()
    skeets = bluesky.play_frames(frames, rate / 2, seconds)
    one.join()
    host = mastodon.url.partition("://")[2].partition(":")[0]
    return [*((f"{host}:{post}", at) for post, at in toots), *skeets]


class Seen:
    """Another client, which asks for the newest rows again and again: `first` has when it saw each id first."""

    def __init__(self, settings: Settings) -> None:
        self.first: dict[str, float] = {}
        self._settings, self._stop = settings, Event()
        self._thread = Thread(target=self._look, name="seen")

    def _look(self) -> None:
        sql = f"SELECT id FROM interactions WHERE ingested_at > now64(3) - INTERVAL {WINDOW_S} SECOND"
        with clickhouse_client(self._settings.clickhouse) as client:
            while not self._stop.wait(LOOK_S):
                rows = client.query(sql).result_rows
                now = time.time()
                for (post,) in rows:
                    self.first.setdefault(post, now)

    def __enter__(self) -> Seen:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
