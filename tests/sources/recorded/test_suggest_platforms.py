"""`earshot mapping new` on exports made after the forms of platforms and tools; no real person's words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import document
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import MappingFile
from pipeline.sources.recorded.suggest.write import suggest

TEXTS = [
    f"{text} #{n}" for n in range(5) for text in ("The kettle leaks again", "Great service, thanks", "Where is my order?", "ok")
]
AT = [f"2026-01-{n + 1:02d}T10:{n:02d}:00Z" for n in range(20)]
RANGE = range(20)


def as_csv(header: list[str], row: Callable[[int], list[object]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerows([header, *map(row, RANGE)])
    return out.getvalue()


def spaced(n: int) -> str:
    return AT[n].replace("T", " ").removesuffix("Z")


def youtube(n: int) -> dict[str, Any]:
    inner = {
        "textDisplay": f"{TEXTS[n]}", "authorDisplayName": f"@u{n % 3}", "authorProfileImageUrl": "https://yt.example/a",
        "authorChannelUrl": "https://www.youtube.com/@x", "likeCount": n, "publishedAt": AT[n],
        "updatedAt": "2026-03-01T00:00:00Z",
    }  # fmt: skip
    top = {"kind": "youtube#comment", "etag": f"e{n}", "id": f"Ugx{n:05d}AaABAg", "snippet": inner}
    return {"kind": "youtube#commentThread", "id": f"Ugx{n:05d}AaABAg", "snippet": {"videoId": "v1", "topLevelComment": top}}


def reddit(n: int) -> dict[str, Any]:
    body = {
        "subreddit": "kettles", "id": f"k{n:05x}", "name": f"t1_k{n:05x}", "author": f"user_{n % 3}", "parent_id": "t3_abc",
        "score": n - 3, "ups": n, "body": TEXTS[n], "created_utc": 1767261600.0 + n * 86460, "permalink": f"/r/kettles/{n}/",
    }  # fmt: skip
    return {"kind": "t1", "data": body}


def archived(n: int) -> dict[str, Any]:
    day = f"Sat Jan {n + 1:02d} 10:{n:02d}:00 +0000 2026"
    tags = {"hashtags": [{"text": "kettle"}], "user_mentions": [{"name": "Acme", "screen_name": "acme", "id_str": "5"}]}
    return {
        "tweet": {"id_str": str(10**18 + n * 7**15), "full_text": TEXTS[n], "created_at": day, "lang": "en", "entities": tags}
    }


def commented(n: int) -> dict[str, Any]:
    text = f"déçu 😠 {TEXTS[n]}".encode().decode("latin-1")
    return {
        "timestamp": 1767261600 + n * 86460,
        "data": [{"comment": {"timestamp": 1767261600 + n * 86460, "comment": text, "author": "Z M"}}],
    }


def ticket(n: int) -> dict[str, Any]:
    return {
        "id": 4000 + n, "url": "https://acme.example/4", "created_at": AT[n], "updated_at": "2026-03-01T00:00:00Z",
        "subject": "Kettle",
        "description": TEXTS[n], "status": "open", "requester_id": 900 + n % 3, "assignee_id": 12, "tags": ["kettle", "broken"],
    }  # fmt: skip


MENTIONS = "Report:,Mentions\nFrom:,2026-01-01\n\n" + as_csv(
    ["Query Id", "Date", "Title", "Url", "Sentiment", "Language", "Author", "Full Name", "Resource Id", "Full Text"],
    lambda n: [199, spaced(n), "x", f"https://twitter.com/x/{n}", "neutral", "en", f"u{n % 3}", "Ann Berg", 7000 + n, TEXTS[n]],
)
CONSOLE = as_csv(
    ["Package Name", "Review Submit Date and Time", "Star Rating", "Review Title", "Review Text", "Developer Reply Text"],
    lambda n: ["com.acme", AT[n], n % 5 + 1, "", TEXTS[n], ""],
)
SURVEY = as_csv(
    ["Response ID", "Submitted", "How likely are you to recommend us to a friend?", "What could we do better?"],
    lambda n: [1000 + n, f"1/{n + 1}/2026 10:{n:02d}", n % 11, TEXTS[n]],
)
REVIEWS = as_csv(
    ["Bewertungs-ID", "Erstellt am", "Kundenname", "Sterne", "Bewertungstext"],
    lambda n: [f"{n + 1:024x}", f"{n + 1:02d}.01.2026 10:{n:02d}", "Ann Berg", n % 5 + 1, TEXTS[n]],
    ";",
)
WALL = as_csv(
    ["ID записи", "Дата и время", "Автор", "Текст", "Лайки"],
    lambda n: [5000 + n, spaced(n), "Анна", f"чайник течёт {n}", n],
    ";",
)


@pytest.mark.parametrize(
    ("name", "content", "identifier", "fields"),
    [
        (
            "youtube.json",
            json.dumps({"items": [*map(youtube, RANGE)]}),
            "Ugx00003AaABAg",
            {"author.handle": "u0", "platform": "youtube"},
        ),
        (
            "reddit.json",
            json.dumps({"kind": "Listing", "data": {"children": [*map(reddit, RANGE)]}}),
            "k00003",
            {"platform": "reddit"},
        ),
        (
            "tweets.js",
            f"window.YTD.tweets.part0 = {json.dumps([*map(archived, RANGE)])}",
            str(10**18 + 3 * 7**15),
            {"hashtags": ["kettle"]},
        ),
        (
            "tickets.jsonl",
            "\n".join(json.dumps(ticket(n)) for n in RANGE),
            "4003",
            {"hashtags": ["kettle", "broken"], "kind": "message"},
        ),
        ("mentions_export.csv", MENTIONS, "7003", {"platform": "twitter", "author.name": "Ann Berg", "language": "en"}),
        ("reviews_acme.csv", CONSOLE.encode("utf-16"), None, {"rating": 4.0, "kind": "review"}),
        ("survey.csv", SURVEY, "1003", {}),
        ("bewertungen.csv", REVIEWS, f"{4:024x}", {"rating": 4.0, "author.name": "Ann Berg"}),
    ],
)
def test_exports_of_platforms(
    tmp_path: Path, name: str, content: str | bytes, identifier: str | None, fields: dict[str, Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    events = events_of(path)
    assert [event["text"] for event in events] == TEXTS
    assert [event["created_at"] for event in events] == AT
    assert len({event["id"] for event in events}) == 20
    assert identifier in (None, events[3]["id"])
    for field, value in fields.items():
        head, _, tail = field.partition(".")
        assert (events[3][head][tail] if tail else events[3][head]) == value


def test_texts_in_another_encoding_and_mojibake(tmp_path: Path) -> None:
    wall, comments = tmp_path / "wall.csv", tmp_path / "facebook_comments.json"
    wall.write_bytes(WALL.encode("cp1251"))
    comments.write_text(json.dumps({"comments_v2": [*map(commented, RANGE)]}), "utf-8")
    assert [event["text"] for event in events_of(wall)] == [f"чайник течёт {n}" for n in RANGE]
    assert [event["text"] for event in events_of(comments)] == [f"déçu 😠 {text}" for text in TEXTS]


def events_of(path: Path) -> list[dict[str, Any]]:
    mapping = document.parse(suggest(path).text.encode(), path, MappingFile)
    items = [item for item in read_events(path, mapping) if isinstance(item, Mapped)]
    assert not any(item.left_out for item in items)
    return [item.event for item in items if isinstance(item.event, dict)]
