"""`earshot mapping new` on exports as hard as real ones: pages, replies inside, archives, lines before the header."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import document
from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import MappingFile
from pipeline.sources.recorded.suggest.write import suggest

RANGE = range(24)
TEXTS = [
    f"{text} #{n}" for n in range(6) for text in ("The kettle leaks again", "Great service, thanks", "Where is it?", "no!")
]


def at(n: int) -> str:
    return f"2026-01-{n % 20 + 1:02d}T{n:02d}:05:00Z"


def events_of(path: Path, content: str | bytes, member: str | None = None) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    mapping = document.parse(suggest(path, member).text.encode(), path, MappingFile)
    items = [item for item in read_events(path, mapping) if isinstance(item, Mapped)]
    assert not any(item.left_out for item in items)
    return [item.event for item in items if isinstance(item.event, dict)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_pages_of_an_api_with_replies_inside_their_comments(tmp_path: Path) -> None:
    def comment(n: int, name: str, **rest: object) -> dict[str, Any]:
        inner = {"textDisplay": TEXTS[n], "authorDisplayName": f"@u{n}", "publishedAt": at(n), "etag": f"e{n}"}
        return {"kind": "youtube#comment", "etag": f"x{n}", "id": name, "snippet": inner | rest}

    def thread(n: int) -> dict[str, Any]:
        replies = {"comments": [comment(n, f"Ugz{n}.r", parentId=f"Ugz{n}")]} if n % 3 == 0 else {"comments": []}
        top = {"topLevelComment": comment(n, f"Ugz{n}"), "totalReplyCount": n % 3}
        return {"kind": "youtube#commentThread", "etag": "t", "id": f"Ugz{n}", "snippet": top, "replies": replies}

    pages = [
        {"kind": "youtube#list", "etag": "p", "nextPageToken": "z", "items": [*map(thread, RANGE[a : a + 8])]}
        for a in (0, 8, 16)
    ]
    events = events_of(tmp_path / "youtube_comments.json", json.dumps(pages))
    assert [event["text"] for event in events if event["kind"] == "comment"] == TEXTS
    replies = {event["id"]: event["in_reply_to"] for event in events if event["kind"] == "reply"}
    assert replies == {f"Ugz{n}.r": f"Ugz{n}" for n in RANGE if n % 3 == 0}


@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_excels_line_with_the_separator_is_no_header(tmp_path: Path, begin: str) -> None:
    rows = "".join(f'{n:09d};"{TEXTS[n]}\r\nbye; Ann";{n + 1:02d}/01/2026 10:00\r\n' for n in RANGE)
    events = events_of(tmp_path / "tickets.csv", f"{begin}sep=;\r\nTicket ID;Description;Created at\r\n{rows}")
    assert [event["id"] for event in events] == [f"{n:09d}" for n in RANGE]
    assert events[23]["created_at"] == "2026-01-24T10:00:00Z"


def reddit(n: int) -> dict[str, Any]:
    return {
        "id": f"k{n:04x}", "author": "[deleted]" if n == 5 else f"u{n % 7}", "author_fullname": f"t2_{n % 7}",
        "parent_id": f"t1_k{n:04x}",
        "link_id": "t3_abc", "created_utc": 1767261600.0 + n * 90, "subreddit": "kettles", "score": -n,
        "body": "[removed]" if n == 5 else f"**{TEXTS[n]}** [link](https://e.org) &amp; more",
    }  # fmt: skip


def test_a_packed_file_whose_name_says_no_format(tmp_path: Path) -> None:
    events = events_of(tmp_path / "RC_2026-01.gz", gzip.compress(lines([*map(reddit, RANGE)]).encode()))
    assert events[3]["text"] == f"{TEXTS[3]} link & more" and events[3]["author"] == {"handle": "u3", "id": "t2_3"}
    assert (events[3]["in_reply_to"], events[3]["conversation_id"]) == ("k0003", "abc")
    assert "text" not in events[5] and "handle" not in events[5]["author"]


def test_one_file_of_an_archive_with_several(tmp_path: Path) -> None:
    head = '\ufeffURL,https://www.tiktok.com/@x/video/73\r\nExported,"1/30/2026, 9:00:00\u202fAM"\r\n\r\n'
    names = ",,Name (click to view profile),Profile ID,Date,Likes,Comment,(view source)\r\n"
    rows = "".join(
        f'{n},,Zoë ✨,user{n % 5},"1/{n + 1}/2026, 9:{n:02d}:00\u202fPM",1.2K,"{TEXTS[n]}\n🔥",https://www.tiktok.com/?c={n}\r\n'
        for n in RANGE
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("tiktok/Overview.csv", "Time,Views\n1,2\n")
        archive.writestr("tiktok/Comments.csv", head + names + rows)
        archive.writestr("__MACOSX/tiktok/._Comments.csv", b"\0")
    path = tmp_path / "export.zip"
    with pytest.raises(SettingsError, match=r"holds tiktok/Comments.csv, tiktok/Overview.csv.*--member"):
        events_of(path, packed.getvalue())
    events = events_of(path, packed.getvalue(), "Comments.csv")
    assert [event["text"] for event in events] == [f"{text}\n🔥" for text in TEXTS]
    assert events[1]["created_at"] == "2026-01-02T21:01:00Z"
    assert (events[1]["platform"], events[1]["kind"], events[1]["metrics"]) == ("tiktok", "comment", {"likes": 1200})


def test_an_id_and_a_time_that_their_names_hardly_say(tmp_path: Path) -> None:
    rows = [
        {
            "cid": f"Ugx{n:03d}",
            "text": TEXTS[n],
            "time": "2 weeks ago",
            "author": f"@u{n % 5}",
            "time_parsed": 1767261600.25 + n,
        }
        for n in RANGE
    ]
    events = events_of(tmp_path / "comments.json", lines(rows))
    assert [event["id"] for event in events] == [f"Ugx{n:03d}" for n in RANGE]
    assert events[2]["created_at"] == "2026-01-01T10:00:02.250Z" and events[2]["platform"] == "youtube"


def test_reviews_without_a_text_in_one_second_are_different_events(tmp_path: Path) -> None:
    header = "Review Submit Date and Time,Review Submit Millis Since Epoch,Reviewer Language,Star Rating,Review Text\n"
    rows = "".join(
        f"2026-01-01T10:00:0{n // 8}Z,{1767261600000 + n},de,{n % 5 + 1},{TEXTS[n] if n % 8 == 0 else ''}\n" for n in RANGE
    )
    events = events_of(tmp_path / "reviews.csv", (header + rows).encode("utf-16"))
    assert len({event["id"] for event in events}) == len(events) == 24
    assert {event["language"] for event in events} == {"de"}


def test_platform_and_kind_by_the_columns_of_a_tool(tmp_path: Path) -> None:
    messages = [
        {
            "id": n,
            "type": "message",
            "date_unixtime": str(1767261600 + n),
            "from": "Zoë",
            "from_id": f"user{n}",
            "text": [TEXTS[n]],
        }
        for n in RANGE
    ]
    chat = tmp_path / "result.json"
    events = events_of(chat, json.dumps({"name": "Kettle club", "id": 7, "messages": messages}))
    assert {(event["platform"], event["kind"]) for event in events} == {("telegram", "message")}
    assert "Telegram counts the messages of each chat anew" in suggest(chat).text
    tweets = [
        {
            "id_str": str(10**18 + n * 7**15),
            "full_text": "RT @x: " * (n == 4) + TEXTS[n],
            "created_at": at(n),
            "retweet_count": 1,
        }
        for n in RANGE
    ]
    tweets[9]["in_reply_to_status_id_str"] = "1000000000000000001"
    kinds = [event["kind"] for event in events_of(tmp_path / "tweets.json", json.dumps(tweets))]
    assert (kinds.pop(9), kinds.pop(4), set(kinds)) == ("reply", "repost", {"post"})


def test_a_device_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.symlink_to("/dev/zero")
    with pytest.raises(EarshotError, match="a device, and no file"):
        suggest(path)
