"""Two weeks with an incident on their last day, as the pages of the console show it. All is invented, by one draw."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import READ
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Span, quarter_of
from schemas.alerts import Alert, State
from tests.support.console_rows import an_alert, now, write_alerts

SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}
DAYS, INCIDENT_S = 15, 2_400
BRANDS = {"Acme": 32.0, "Northwind Air": 26.0, "Halden Foods": 14.0}
"""Mentions in an hour of a usual afternoon."""
PLATFORMS = ("reddit", "twitter", "bluesky", "mastodon", "forum")
LANGUAGES = ("en", "en", "en", "de", "fr", "he")
TEXTS = {
    "negative": (
        "The parcel came three days late, and nobody answers the phone. #acme",
        "Charged twice for one kettle, and the refund is still missing",
        "החבילה לא הגיעה, כבר שבוע",
        "Rechnung doppelt abgebucht, bitte um Rückruf",
        "Checkout is down again: the payment fails at the last step",
    ),
    "neutral": (
        "Is the shop in Lyon open on Sundays? https://example.org/hours",
        "Which of the two filters fits the small machine?",
    ),
    "positive": ("Love the new colours, thank you!", "Answered within minutes, and the spare part was free"),
}


def fill_days(client: Client) -> str:
    """Posts of three brands, with what tables are made of them, and the alerts of today; the key of the worst one."""
    at = now()
    rows = list(_posts(at))
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        "event_key": pl.UInt64, "version": pl.UInt64, "created_at": pl.Datetime("ms", "UTC")
    }  # fmt: skip
    client.insert_arrow("interactions", pl.DataFrame(rows, schema_overrides=types).to_arrow())
    others = [(brand, 1, at - timedelta(days=400), [each for each in BRANDS if each != brand]) for brand in BRANDS]
    client.insert("panels", others, column_names=["brand", "version", "since", "competitors"])
    span = Span(quarter_of(at - timedelta(days=DAYS)), quarter_of(at + timedelta(hours=1)))
    client.command(Quarters().rebuild([span], 1), settings=SETTINGS)
    samples = [int(str(row["event_key"])) for row in rows if row["brands"] == ["Acme"] and row["sentiment_label"] == "negative"]
    alerts = list(alerts_of(at, tuple(samples[:3])))
    write_alerts(client, *alerts)
    return alerts[0].hex


def alerts_of(at: datetime, samples: tuple[int, ...]) -> Iterator[Alert]:
    """One of each state; of the first one how it grew."""
    anger = an_alert(
        "negative-share", ago_s=INCIDENT_S, severity=8, type="spike", observed=0.74, expected=0.24, lower=0.1, upper=0.42,
        summary="Acme: 74% of what is labelled in 5 minutes is negative, 24% expected",
        terms=("refund", "charged twice", "checkout", "payment"), samples=samples, negative=41, neutral=9, positive=5,
        platforms=("twitter", "reddit"), last_at=at - timedelta(seconds=INCIDENT_S - 300), query="SELECT 1",
    )  # fmt: skip
    grown = at - timedelta(minutes=12)
    worse = anger.change(
        grown, severity=9, observed=0.86, negative=118, neutral=14, positive=6, last_at=at - timedelta(minutes=1),
        summary="Acme: 86% of what is labelled in 5 minutes is negative, 24% expected",
    )  # fmt: skip
    yield from (anger, worse)
    yield an_alert(
        "volume", ago_s=1_500, severity=6, type="spike", measure="volume", observed=44.0, expected=5.2, lower=1.0, upper=12.0,
        summary="Acme: 44 mentions in 5 minutes, 5.2 expected",
    )  # fmt: skip
    yield an_alert(
        "crisis", "Northwind Air", 4_500, severity=7, state=State.ACKNOWLEDGED, actor="otto", comment="calling them",
        summary="Northwind Air: an event on twitter says recall",
    )  # fmt: skip
    yield an_alert(
        "copies", "Halden Foods", 7_200, severity=4, state=State.RESOLVED, ended_at=at - timedelta(hours=1),
        summary="Halden Foods: 62 accounts post the same text within 2 minutes",
    )  # fmt: skip


def _posts(at: datetime) -> Iterator[dict[str, object]]:
    """The newest first."""
    draw, key = Random(7), 0
    for minute in range(DAYS * 24 * 60):
        time = at - timedelta(minutes=minute, seconds=draw.random() * 59)
        hour = time.astimezone(UTC).hour + time.minute / 60
        daily = 1 + 0.85 * math.sin((hour - 9) / 24 * 2 * math.pi)
        for brand, usual in BRANDS.items():
            incident = brand == "Acme" and minute * 60 < INCIDENT_S
            expected = usual * daily / 60 * (1 if not incident else 4 + 5 * (1 - minute * 60 / INCIDENT_S)) + incident * 0.8
            for _ in range(int(expected + draw.random())):
                key += 1
                yield _post(draw, key, time, brand, incident)


def _post(draw: Random, key: int, time: datetime, brand: str, incident: bool) -> dict[str, object]:
    weights = (82, 12, 6) if incident else (24, 41, 35)
    tone = draw.choices(("negative", "neutral", "positive"), weights)[0]
    sure = 0.6 + 0.35 * draw.random()
    followers = int(draw.lognormvariate(5, 1.4))
    return {
        "event_key": key, "version": 1, "created_at": time, "text": draw.choice(TEXTS[tone]), "brands": [brand],
        "platform": draw.choices(PLATFORMS, (4, 5 + 6 * incident, 3, 2, 3))[0], "kind": "post", "visibility": "public",
        "author_handle": f"mia{draw.randrange(400)}", "author_followers": followers, "language": draw.choice(LANGUAGES),
        "sentiment_label": tone, "sentiment_status": "labelled", "sentiment_negative": sure if tone == "negative" else 0.1,
        "sentiment_positive": sure if tone == "positive" else 0.1, "metrics_likes": int(draw.lognormvariate(1, 1)),
        "metrics_shares": int(draw.lognormvariate(0, 1)),
    }  # fmt: skip
