"""Conversations about brands, by loops over the rows of `interactions`: what table threads should say. The generated stream has
no bots among its authors, and each word of ours names what it answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client
from xxhash import xxh3_64_intdigest

from pipeline.rollups.rollup import quarter_of

Row = dict[str, Any]
SQL = (
    "SELECT conversation_id, event_key, brands, direction, created_at, account_key, in_reply_to, platform, visibility, kind, "
    "thread_status, thread_team, metrics_at FROM interactions FINAL "
    "WHERE kind IN ('post', 'comment', 'reply', 'review', 'message', 'call', 'email', 'idea', 'question', 'answer') "
    "ORDER BY created_at, direction != 'inbound', event_key"
)


def walked(client: Client, settings: Mapping[str, object]) -> dict[tuple[str, str], Row]:
    """Of each brand and conversation: columns of threads by their names; `quarters` is how many."""
    rows = client.query(SQL, settings=dict(settings), query_tz="UTC", tz_mode="aware").named_results()
    talks: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        talks[row["platform"], row["conversation_id"]].append(row)
    return {
        (brand, name): walk(brand, talk)
        for (_, name), talk in talks.items()
        for brand in {brand for row in talk for brand in row["brands"]}
        if any(brand in row["brands"] for row in talk if row["direction"] == "inbound")
    }


def walk(brand: str, talk: list[Row]) -> Row:
    by_key = {row["event_key"]: row for row in talk}

    def named(row: Row) -> Row | None:
        return by_key.get(xxh3_64_intdigest(f"{row['platform']}:{row['in_reply_to']}".encode())) if row["in_reply_to"] else None

    ours = [row for row in talk if row["direction"] == "outbound" and brand in row["brands"]]
    heard = {row["account_key"] for row in talk if row["direction"] == "inbound" and brand in row["brands"]}
    heard |= {word["account_key"] for row in ours if (word := named(row)) and word["direction"] == "inbound"}
    heard |= {row["account_key"] for row in talk if row["direction"] == "inbound" and row["visibility"] == "private"}
    words = [row for row in talk if row["direction"] == "inbound" and row["account_key"] in heard]
    waits: dict[int, list[Row]] = defaultdict(list)
    answers, asked, began = list[int](), list[datetime](), list[datetime]()
    for row in talk:
        if any(row is word for word in words):
            waits[row["account_key"]].append(row)
        elif any(row is each for each in ours) and (word := named(row)) is not None:
            run = waits.pop(word["account_key"], [])
            if run:
                answers.append(row["event_key"])
                began.append(run[0]["created_at"])
                remarks = [
                    each["created_at"]
                    for each in run
                    if (other := named(each))
                    and other["direction"] == "inbound"
                    and other["account_key"] != each["account_key"]
                    if each["created_at"] <= word["created_at"]
                ]
                asked.append(max([run[0]["created_at"], *remarks]))
    statuses = sorted((row["metrics_at"], row["thread_status"]) for row in (*words, *ours) if row["thread_status"])
    closed = statuses[-1][0] if statuses and statuses[-1][1] == "closed" else datetime.min.replace(tzinfo=UTC)
    written = {row["event_key"]: row["created_at"] for row in ours}
    rest = [row["created_at"] for run in waits.values() for row in run]
    left, ended = sorted(at for at in rest if at > closed), sorted(at for at in rest if at <= closed)
    first = min((row["created_at"] for row in ours if row["event_key"] in answers), default=None)
    turn = first or (closed if closed.year > 1 else None)
    started = [*began, *left[:1], *ended[:1]]
    over = closed if closed.year > 1 else None
    teams = [(row["metrics_at"], row["event_key"], row["thread_team"]) for row in (*words, *ours) if row["thread_team"]]
    return {
        "opened": words[0]["created_at"], "words": len(words), "customers": len({row["account_key"] for row in words}),
        "ours": len(ours), "answers": answers, "asked_at": asked, "waiting": len(left),
        "waiting_since": left[0] if left else None, "last_ours": ours[-1]["created_at"] if ours else None,
        "reopened": sum(turn is not None and at > turn for at in started),
        "platform": words[0]["platform"], "kind": words[0]["kind"], "private": words[0]["visibility"] == "private",
        "customer": words[0]["account_key"], "team": max(teams)[2] if teams else "",
        "answered_at": [written[key] for key in answers],
        "closed_at": over, "resolved_at": over or (written[answers[-1]] if answers and not left and not statuses else None),
        "quarters": len({quarter_of(row["created_at"]) for row in (*words, *ours)}),
    }  # fmt: skip
