"""SentimentLabeller: labels texts for step sentiment. It prepares them, detects their language, and has a model for some."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
import xxhash

from pipeline.monitoring import metrics
from pipeline.processors.language import detect, primary, words
from pipeline.processors.sentiment import engine
from pipeline.processors.sentiment.cache import Cache
from pipeline.processors.sentiment.engine import LEFT, Model
from pipeline.processors.sentiment.labels import LABELS
from pipeline.processors.sentiment.prepare import prepare
from schemas import labels
from schemas.labels import DEFERRED, LABELLED, UNKNOWN

_AT_ONCE = 256
"""Texts between two checks of the deadline; a batch of the model may be smaller."""
_OF_STATE = {engine.NOT_A_NUMBER: labels.NOT_A_NUMBER, engine.NO_MEMORY: labels.NO_MEMORY}


class SentimentLabeller:
    """The Labeller of the settings' models. It computes equal prepared texts once and remembers `cache_mb` of them.

    Restart: the cache is empty.
    """

    def __init__(self, models: Mapping[str, Model], cache_mb: int) -> None:
        self._models = dict(models)
        self._cache = Cache(cache_mb)
        self._languages = [""]
        self._numbers = {"": 0}
        self._lock = threading.Lock()
        self.models = frozenset(model.identity for model in models.values())

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        """See `labels.Labeller`."""
        asked = pl.DataFrame({"text": prepare(texts), "given": primary(languages)})
        keys = [xxhash.xxh3_64_intdigest(f"{given}\n{text}".encode()) for text, given in asked.iter_rows()]
        different, first, place = np.unique(np.array(keys, np.uint64), return_index=True, return_inverse=True)
        order = np.argsort(first)
        return self._label(asked[first[order]], different[order], until)[np.argsort(order)[place]]

    def _label(self, texts: pl.DataFrame, keys: npt.NDArray[np.uint64], until: float | None) -> pl.DataFrame:
        known, scores, numbers = self._cache.get(keys)
        metrics.CACHED.labels("hit").inc(int(known.sum()))
        metrics.CACHED.labels("miss").inc(int((~known).sum()))
        language = np.array(self._languages, object)[np.where(known, numbers, 0)]
        states = np.where(known, 0, LEFT).astype(np.uint8)
        scores = np.where(known[:, None], scores, np.nan).astype(np.float32)
        new = np.flatnonzero(~known)
        at_once = max(1, len(new)) if until is None else _AT_ONCE
        for start in range(0, len(new), at_once):
            if until is not None and time.monotonic() >= until:
                break
            self._compute(texts, new[start : start + at_once], language, scores, states, until)
        if len(new):
            done = new[states[new] != LEFT]
            # Failures of the device are not remembered.
            keep = done[~np.isin(states[done], list(_OF_STATE))]
            self._cache.put(keys[keep], scores[keep], self._numbers_of(language[keep]))
        return self._frame(texts, language, scores, states)

    def _compute(
        self,
        texts: pl.DataFrame,
        new: npt.NDArray[np.intp],
        language: npt.NDArray[np.object_],
        scores: npt.NDArray[np.float32],
        states: npt.NDArray[np.uint8],
        until: float | None,
    ) -> None:
        chosen = texts[new]
        language[new] = _languages(chosen)
        text = chosen.get_column("text").to_list()
        codes, empty = language[new].astype(str), (chosen.get_column("text") == "").to_numpy()
        states[new[empty | ~np.isin(codes, list(self._models))]] = 0
        for model in {model.identity: model for model in self._models.values()}.values():
            spoken = [code for code, other in self._models.items() if other.identity == model.identity]
            indices = np.flatnonzero(~empty & np.isin(codes, spoken))
            answer = model.engine.run([text[index] for index in indices], until)
            states[new[indices]] = answer.states
            mapped = np.zeros((len(indices), len(LABELS)), np.float32)
            np.add.at(mapped.T, np.array(model.classes), answer.scores.T)
            scores[new[indices]] = mapped

    def _numbers_of(self, languages: npt.NDArray[np.object_]) -> npt.NDArray[np.uint16]:
        with self._lock:
            for code in set(languages.tolist()) - self._numbers.keys():
                self._numbers[code] = len(self._languages)
                self._languages.append(code)
            return np.array([self._numbers[code] for code in languages], np.uint16)

    def _frame(
        self,
        texts: pl.DataFrame,
        language: npt.NDArray[np.object_],
        scores: npt.NDArray[np.float32],
        states: npt.NDArray[np.uint8],
    ) -> pl.DataFrame:
        labelled = np.isfinite(scores).all(1)
        label = np.array(LABELS, object)[np.where(labelled, np.nan_to_num(scores).argmax(1), 0)]
        frame = pl.DataFrame(
            {
                "text": texts.get_column("text"),
                "language": pl.Series(language.tolist(), dtype=pl.String),
                "state": states,
                "labelled": labelled,
                "label": pl.Series(label.tolist(), dtype=pl.String),
                **{name: scores[:, index] for index, name in enumerate(LABELS)},
            }
        )
        identity = {code: model.identity for code, model in self._models.items()}
        code = pl.col("language")
        return frame.select(
            sentiment_label=pl.when("labelled").then("label"),
            **{f"sentiment_{name}": pl.when("labelled").then(name) for name in LABELS},
            sentiment_model=pl.when("labelled").then(code.replace_strict(identity, default=None, return_dtype=pl.String)),
            sentiment_language=pl.when(code != "").then(code),
            sentiment_status=_status(),
            sentiment_reason=pl.when(_status() == UNKNOWN).then(_reason()),
        )


def _status() -> pl.Expr:
    """LABELLED, DEFERRED (the time was up before the model read the text) or UNKNOWN."""
    left = pl.when(pl.col("state") == LEFT).then(pl.lit(DEFERRED)).otherwise(pl.lit(UNKNOWN))
    return pl.when("labelled").then(pl.lit(LABELLED)).otherwise(left)


def _reason() -> pl.Expr:
    """Why a text has no label, if its status is UNKNOWN."""
    return (
        pl.when(pl.col("text") == "").then(pl.lit(labels.NO_TEXT))
        .when(pl.col("state").is_in(list(_OF_STATE)))
        .then(pl.col("state").replace_strict(_OF_STATE, default=None, return_dtype=pl.String))
        .when(pl.col("language") == "").then(pl.lit(labels.NO_LANGUAGE))
        .otherwise(pl.lit(labels.NO_MODEL))
    )  # fmt: skip


def _languages(texts: pl.DataFrame) -> npt.NDArray[np.object_]:
    """The language of each text, empty if none is detected."""
    codes = np.array(texts.get_column("given").to_list(), object)
    unknown = np.flatnonzero(codes == "")
    codes[unknown] = [detect(text) for text in words(texts.get_column("text").gather(unknown))]
    return codes
