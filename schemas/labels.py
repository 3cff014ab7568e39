"""What a label is: the columns that step sentiment adds, and their values."""

from __future__ import annotations

import polars as pl

LABELLED, DEFERRED, UNKNOWN = "labelled", "deferred", "unknown"


NO_TEXT, NO_LANGUAGE, NO_MODEL = "no text", "language not recognised", "no model for the language"


NOT_A_NUMBER, NO_MEMORY = "not a number", "out of memory"


REASONS = (NO_TEXT, NO_LANGUAGE, NO_MODEL, NOT_A_NUMBER, NO_MEMORY)
"""Why a text has no label."""


COLUMNS: dict[str, pl.DataType] = {
    "sentiment_label": pl.String(),
    "sentiment_negative": pl.Float32(),
    "sentiment_neutral": pl.Float32(),
    "sentiment_positive": pl.Float32(),
    "sentiment_model": pl.String(),
    "sentiment_language": pl.String(),
    "sentiment_status": pl.String(),
    "sentiment_reason": pl.String(),
}
"""`sentiment_label`: one of LABELS, null unless labelled; the next three: its probabilities, they add up to 1.
`sentiment_model`: name and content hash, as `fast@0123456789ab`. `sentiment_language`: ISO 639, the event's or detected.
`sentiment_status`: labelled, deferred (not looked at yet), unknown (no label can be had: `sentiment_reason` says why, one of a
few fixed texts), null for events that are not to be labelled."""


LABELS = ("negative", "neutral", "positive")
