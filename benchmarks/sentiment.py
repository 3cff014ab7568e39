"""Sentiment: texts/s and accuracy of each backend and model, beside the pipeline of transformers on the same weights.

One run, the same prepared texts in the order in which they were written: tweets of the recorded data where it is there (with
the macro recall on TweetEval's validation set), else generated ones. `engine_ratio` and `fast_ratio` compute every text, so
that they compare engines; `cache_ratio` sends a stream with reposts in batches, with and without what a labeller remembers.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
from clickhouse_connect.driver.client import Client

from benchmarks import end_to_end, visible
from benchmarks.environments import APPS, python_of, version_of
from benchmarks.ground import ground
from benchmarks.progress import bar
from benchmarks.report import MS, RATIO, Figure
from pipeline.config.settings import SentimentSettings
from pipeline.generate.phrases import LANGUAGES
from pipeline.processors.sentiment.engine import Engine
from pipeline.processors.sentiment.labeller import SentimentLabeller
from pipeline.processors.sentiment.load import load_labeller, load_model
from pipeline.processors.sentiment.models import BUNDLED
from pipeline.processors.sentiment.prepare import prepare

TEXTS_S, RECALL = "texts/s", "macro recall"
T = TypeVar("T")
MODELS = ("accurate", "fast")
PIPELINE, TORCH = "transformers_accurate", "torch_accurate"
WAYS = (PIPELINE, TORCH, *MODELS)
NAMES = (
    *(f"sentiment.{way}" for way in WAYS),
    "sentiment.engine_ratio",
    "sentiment.fast_ratio",
    "sentiment.reposts_ratio",
    "sentiment.cache_ratio",
)
LIVE_NAMES = ("sentiment.visible_p99_ms", "sentiment.labelled", "sentiment.deferred", "sentiment.all_labelled_s")
THROUGHPUT_NAMES = ("sentiment.throughput_ratio",)
BATCH, REPOSTS, THREADS, RUNS = 1_000, 0.6, 2, 3
LABEL_PATIENCE_S = 300


class Stream(NamedTuple):
    """Prepared texts; of the last `len(labels)` their class is known."""

    texts: list[str]
    labels: list[int]
    name: str


def data_folder() -> Path:
    return Path(os.environ.get("EARSHOT_DATA", "../shared/data"))


def stream(count: int) -> Stream:
    data = data_folder()
    try:
        air = pl.read_csv(data / "stream/airline_tweets.csv", infer_schema=False).get_column("text").to_list()
        labelled = (data / "sentiment/tweeteval_en/val_text.txt").read_text().split("\n")
        labels = [int(label) for label in (data / "sentiment/tweeteval_en/val_labels.txt").read_text().split()]
    except OSError:
        return Stream(_generated(count), [], "generated posts")
    known = min(len(labels), count // 2)
    texts = [*_repeated(air, count - known), *labelled[:known]]
    return Stream(prepare(pl.Series(texts)).to_list(), labels[:known], "tweets to airlines and TweetEval's validation set")


def reposts() -> tuple[list[str], str]:
    path = data_folder() / "stream/boston_2013_reposts.csv"
    try:
        return pl.read_csv(path, infer_schema=False).get_column(" tweet").to_list(), "10,012 tweets of one crisis"
    except OSError:
        return _burst(_generated(10_000), 0.09), "generated posts, 9 % of them reposts"


def figures(count: int) -> Iterator[Figure]:
    """`count` texts for each engine; transformers' pipeline reads them once, for it takes minutes."""
    ground = stream(count)
    engines = {name: engine(name) for name in MODELS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    classes: dict[str, Sequence[int]] = {}
    for place in bar.track(range(RUNS), RUNS, "sentiment: rounds"):
        for name, run in engines.items():
            took, answer = _timed(lambda run=run: run.run(ground.texts).scores.argmax(1).tolist())  # type: ignore[misc]
            seconds[name].append(took)
            classes[name] = answer
        if place == 0:
            for way, how in ((PIPELINE, "pipeline"), (TORCH, "torch")):
                took, classes[way] = _by_transformers(how, ground.texts)
                seconds[way].append(took)
    rates = {way: len(ground.texts) / median(times) for way, times in seconds.items()}
    conditions = f"{len(ground.texts):,} {ground.name}, prepared, in stream order; tokenisation included; {THREADS} threads"
    for way, rate in rates.items():
        note = f"{version_of('transformers')}, accurate's weights in float32, batch_size=64" if way == PIPELINE else "median"
        yield Figure(f"sentiment.{way}", rate, TEXTS_S, f"{conditions}; {note}")
        if ground.labels:
            found = classes[way][-len(ground.labels) :]
            yield Figure(f"sentiment.{way}_recall", macro_recall(found, ground.labels), RECALL, "TweetEval's validation set")
    yield Figure("sentiment.engine_ratio", rates["accurate"] / rates[PIPELINE], RATIO, f"same weights; {conditions}")
    yield Figure("sentiment.fast_ratio", rates["fast"] / rates[PIPELINE], RATIO, f"fast over accurate's pipeline; {conditions}")
    texts, name = reposts()
    yield Figure(
        "sentiment.reposts_ratio", _cache_ratio(texts[:count]), RATIO, f"{name}, batches of {BATCH}; over every text computed"
    )
    burst = _burst(_generated(count), REPOSTS)
    yield Figure("sentiment.cache_ratio", _cache_ratio(burst), RATIO, f"generated, {REPOSTS:.0%} reposts, batches of {BATCH}")


def live_figures(rate: int, seconds: int) -> Iterator[Figure]:
    """The pipeline with the fast model on; a fifth of the events mention a brand. Raises RuntimeError for a row never seen."""
    left, took = 0, 0.0
    counts = {"labelled": 0, "unknown": 0}

    def wait_for_labels(client: Client) -> None:
        nonlocal left, took
        began = time.monotonic()
        left = waiting = _count(client, "deferred")
        while waiting:
            if time.monotonic() - began > LABEL_PATIENCE_S:
                raise RuntimeError(f"{waiting} rows are still deferred")
            time.sleep(0.2)
            waiting = _count(client, "deferred")
        took = time.monotonic() - began
        counts.update({status: _count(client, status) for status in counts})

    with ground("fast") as stage:
        milliseconds = visible.measure(stage, rate, seconds, wait_for_labels) * 1000
    conditions = f"{rate:,} events/s for {seconds} s, {len(milliseconds):,} rows, fast model, {counts['unknown']} unknown"
    values = (float(np.percentile(milliseconds, 99)), counts["labelled"], left, took)
    for name, value, unit in zip(LIVE_NAMES, values, (MS, "rows", "rows when the last event was seen", "s"), strict=True):
        yield Figure(name, value, unit, conditions)


def throughput_figures(events: int, runs: int) -> Iterator[Figure]:
    """Full speed with the fast model over full speed without one, in turns."""
    rates: dict[str, list[float]] = {"off": [], "fast": []}
    with ground() as stage:
        topic = stage.topic(events)
        for _ in bar.track(range(runs), runs, "throughput with and without a model: rounds"):
            for stage.model, found in rates.items():
                with stage.run(topic) as settings:
                    found.append(end_to_end.measure(stage, topic, settings).events_per_second)
    ratio = median(rates["fast"]) / median(rates["off"])
    yield Figure(
        "sentiment.throughput_ratio", ratio, RATIO, f"fast over off, {end_to_end.describe(topic)}; {runs} runs in turns"
    )


def _count(client: Client, status: str) -> int:
    query = f"SELECT count() FROM interactions FINAL WHERE sentiment_status = '{status}'"
    return int(str(client.command(query)))


def engine(name: str) -> Engine:
    return load_model(name, SentimentSettings(model=name, backend="onnx", threads=THREADS))[0].engine


def macro_recall(found: Sequence[int], truth: Sequence[int]) -> float:
    right, label = np.array(found) == np.array(truth), np.array(truth)
    return float(np.mean([right[label == number].mean() for number in np.unique(label)]))


def _cache_ratio(texts: list[str]) -> float:
    """How much faster a labeller that remembers is than the engine that computes each text; in turns, medians."""
    batches = [pl.Series(texts[start : start + BATCH], dtype=pl.String) for start in range(0, len(texts), BATCH)]
    every = engine("fast")
    with_cache, without = [], []
    for _ in range(RUNS):
        labeller = load_labeller(SentimentSettings(model="fast", backend="onnx", threads=THREADS))
        with_cache.append(_timed(lambda labeller=labeller: _label(labeller, batches))[0])  # type: ignore[misc]
        without.append(_timed(lambda: [every.run(prepare(batch).to_list()) for batch in batches])[0])
    return median(without) / median(with_cache)


def _label(labeller: SentimentLabeller, batches: list[pl.Series]) -> None:
    for batch in batches:
        labeller.label(batch, pl.Series(["en"] * len(batch)))


def _by_transformers(how: str, texts: list[str]) -> tuple[float, Sequence[int]]:
    command = [str(python_of("transformers")), str(APPS / "with_transformers.py"), how, str(BUNDLED / "accurate")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"transformers: {done.stderr.strip().splitlines()[-1:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["labels"]


def _generated(count: int) -> list[str]:
    """Posts of two sentences of the generator's English, no two alike."""
    english, random = LANGUAGES["en"], Random(1)
    sentences = [*english.negative, *english.positive, *english.neutral]

    def sentence() -> str:
        return random.choice(sentences).replace("{b}", "Acme").replace("{t}", random.choice(english.things))

    return [f"{sentence()} {sentence()} {number}" for number in range(count)]


def _repeated(texts: list[str], count: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(count)]


def _burst(texts: list[str], share: float) -> list[str]:
    """As many texts, each with the given chance a repost of an earlier one."""
    random, found = Random(1), list[str]()
    for text in texts:
        found.append(random.choice(found) if found and random.random() < share else text)
    return found


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found
