"""The shipped mappings of exports, on placeholders of the same shape: which file gets which mapping, and all events by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import find_mapping
from schemas.untyped import JsonObject


def read(folder: Path, name: str, content: str | bytes) -> tuple[list[JsonObject], list[tuple[int, str]]]:
    """Events without ids that are hashes, source and visibility; unmapped rows."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    mapping = find_mapping(path)
    assert mapping is not None
    items = list(read_events(path, mapping))
    events: list[JsonObject] = [item.event for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]
    assert all(event.pop("source")["version"] == "1" and event.pop("visibility") == "public" for event in events)
    return events, [(item.line, item.reason) for item in items if isinstance(item, Unmapped)]


def test_comments_of_youtube(tmp_path: Path) -> None:
    rows = (
        "COMMENT_ID,AUTHOR,DATE,CONTENT,CLASS\n"
        'z12abc,Ines M,2014-11-07T06:20:48,"look, <a href=""https://kettle.example"">here</a><br />it&#39;s hot",1\n'
        "z13def,Otto,2015-05-28T21:39:52.376000,nice,0\n"
        "z14ghi,Uma,,no date,1\n"
    )
    events, unmapped = read(tmp_path, "YT_Youtube09-Kettle.csv", rows)
    assert events == [
        {
            "id": "z12abc", "platform": "youtube", "kind": "comment", "direction": "inbound",
            "created_at": "2014-11-07T06:20:48Z", "text": "look, here\nit's hot", "author": {"name": "Ines M"},
        },
        {
            "id": "z13def", "platform": "youtube", "kind": "comment", "direction": "inbound",
            "created_at": "2015-05-28T21:39:52.376Z", "text": "nice", "author": {"name": "Otto"},
        },
    ]  # fmt: skip
    assert unmapped == [(4, "created_at is empty (from DATE)")]


def test_reviews_on_google_play(tmp_path: Path) -> None:
    rows = (
        "reviewId,userName,userImage,content,score,thumbsUpCount,reviewCreatedVersion,at,replyContent,repliedAt\n"
        "11-aa,Ines M,https://a.example/i,It leaks,1,4,2.0,2023-04-23 15:04:29,We are sorry,2023-04-24 10:00:00\n"
        "22-bb,Otto,https://a.example/o,\"Good, but\nslow\",4,0,,2023-04-22 02:00:00,,\n"
    )  # fmt: skip
    events, unmapped = read(tmp_path, "me.greenlight_app_reviews_9.csv", rows)
    assert events == [
        {
            "id": "11-aa", "platform": "google_play", "kind": "review", "direction": "inbound", "conversation_id": "11-aa",
            "created_at": "2023-04-23T09:34:29Z", "text": "It leaks", "author": {"name": "Ines M", "kind": "person"},
            "rating": 1.0, "metrics": {"likes": 4},
        },
        {
            "id": "11-aa/reply", "platform": "google_play", "kind": "reply", "direction": "outbound",
            "conversation_id": "11-aa", "created_at": "2023-04-24T04:30:00Z", "text": "We are sorry",
            "author": {"kind": "organisation"},
            "in_reply_to": "11-aa",
        },
        {
            "id": "22-bb", "platform": "google_play", "kind": "review", "direction": "inbound", "conversation_id": "22-bb",
            "created_at": "2023-04-21T20:30:00Z", "text": "Good, but\nslow", "author": {"name": "Otto", "kind": "person"},
            "rating": 4.0, "metrics": {"likes": 0},
        },
    ]  # fmt: skip
    assert unmapped == []


CONSOLE = (
    "Package Name,App Version Code,App Version Name,Reviewer Language,Device,Review Submit Date and Time,"
    "Review Submit Millis Since Epoch,Review Last Update Date and Time,Review Last Update Millis Since Epoch,Star Rating,"
    "Review Title,Review Text,Developer Reply Date and Time,Developer Reply Millis Since Epoch,Developer Reply Text,"
    "Review Link\n"
)


def test_reviews_of_the_play_console_have_the_ids_of_a_live_source(tmp_path: Path) -> None:
    link = "http://play.google.com/console/developers/1/app/2/user-feedback/review-details?reviewId=1f-2&corpus=PUBLIC_REVIEWS"
    rows = (
        "com.acme.kettle,9,1.3,pt_BR,a06,2026-03-01T10:00:00Z,1772359200000,2026-03-02T10:00:00Z,1772445600000,2,Wet,It leaks,"
        f"2026-03-03T10:00:00Z,1772532000000,Sorry,{link}\n"
        "com.acme.kettle,,,ja,F51,2026-03-01T10:00:00Z,1772359200000,2026-03-01T10:00:00Z,1772359200000,5,,,,,,\n"
    )
    events, unmapped = read(tmp_path, "reviews_com.acme.kettle_202603.csv", (CONSOLE + rows).encode("utf-16"))
    assert len(events[2].pop("id")) == len(events[2].pop("conversation_id")) == 16
    assert events == [
        {
            "id": "1f-2", "platform": "google_play", "kind": "review", "direction": "inbound", "conversation_id": "1f-2",
            "created_at": "2026-03-01T10:00:00Z", "text": "Wet\nIt leaks", "language": "pt-BR", "author": {"kind": "person"},
            "rating": 2.0,
        },
        {
            "id": "1f-2/reply", "platform": "google_play", "kind": "reply", "direction": "outbound", "conversation_id": "1f-2",
            "created_at": "2026-03-03T10:00:00Z", "text": "Sorry", "in_reply_to": "1f-2", "author": {"kind": "organisation"},
        },
        {
            "platform": "google_play", "kind": "review", "direction": "inbound", "created_at": "2026-03-01T10:00:00Z",
            "language": "ja", "author": {"kind": "person"}, "rating": 5.0,
        },
    ]  # fmt: skip
    assert unmapped == []


@pytest.mark.parametrize("ident", ["gp:AOqpTOF0-x_1", "gp%3AAOqpTOF0-x_1", "gp%3aAOqpTOF0-x_1"])
@pytest.mark.parametrize("name", ["#ReviewDetailsPlace:p=com.acme.kettle&reviewid", "?reviewId"])
def test_no_review_of_the_play_console_takes_the_place_of_another(tmp_path: Path, ident: str, name: str) -> None:
    rows = "".join(
        "com.acme.kettle,9,1.3,pt_BR,a06,,1772359200000,,1772445600000,2,Wet,It leaks,,1772532000000,Sorry,"
        f"https://play.google.com/apps/publish{name}={ident}{number}\n"
        for number in (1, 2)
    )
    events, unmapped = read(tmp_path, "reviews_com.acme.kettle_202603.csv", (CONSOLE + rows).encode("utf-16"))
    whole = [f"gp:AOqpTOF0-x_1{number}{part}" for number in (1, 2) for part in ("", "/reply")]
    assert [event["id"] for event in events] == whole and unmapped == []
    assert [event["conversation_id"] for event in events] == [ident.removesuffix("/reply") for ident in whole]
    assert [event.get("in_reply_to") for event in events][1::2] == whole[::2]


def test_reviews_that_a_spreadsheet_on_a_mac_saved(tmp_path: Path) -> None:
    broken = "Don’t buy “this”".encode().decode("cp1252", "ignore").encode("mac_roman", "ignore")
    rows = b"title,rating,review,date\nLeaks,1," + broken + b",2017-12-02T23:09:25Z\nGreat,5,,2017-12-01T23:09:25Z\n"
    events, unmapped = read(tmp_path, "goat_app_reviews.csv", rows)
    assert all(len(event.pop("id")) == 16 for event in events)
    first = events[0]["text"].splitlines()
    assert (first[0], first[1][:9]) == ("Leaks", "Don’t buy")
    del events[0]["text"]
    assert events == [
        {
            "platform": "app_store", "kind": "review", "direction": "inbound", "created_at": "2017-12-02T23:09:25Z",
            "author": {"kind": "person"}, "rating": 1.0,
        },
        {
            "platform": "app_store", "kind": "review", "direction": "inbound", "created_at": "2017-12-01T23:09:25Z",
            "text": "Great", "author": {"kind": "person"}, "rating": 5.0,
        },
    ]  # fmt: skip
    assert unmapped == []


def test_reviews_of_the_app_stores_page(tmp_path: Path) -> None:
    review = {
        "userReviewId": "900000001", "body": "It leaks.", "date": "2013-09-18T05:30:00Z", "name": "ines_m", "rating": 2,
        "title": "Wet floor", "voteCount": 5, "voteSum": 3, "viewUsersUserReviewsUrl": "https://a.example/de/reviews",
        "customerType": "Customers", "reportConcernReasons": [{"reasonId": "0", "name": "Choose One"}],
    }  # fmt: skip
    events, unmapped = read(tmp_path, "appstore_reviews_2.json", json.dumps({"userReviewList": [review]}))
    assert events == [
        {
            "id": "900000001", "platform": "app_store", "kind": "review", "direction": "inbound",
            "created_at": "2013-09-18T05:30:00Z", "text": "Wet floor\nIt leaks.", "rating": 2.0, "metrics": {"likes": 3},
            "author": {"name": "ines_m", "kind": "person"},
        }
    ]  # fmt: skip
    assert unmapped == []


def test_reviews_on_yelp(tmp_path: Path) -> None:
    row = {"name": "Ines M.", "star": "4 star rating", "date": "Jan 9, 2021", "review": "Good tea"}
    events, unmapped = read(tmp_path, "yelp_reviews.json", json.dumps([row]))
    assert len(events[0].pop("id")) == 16
    assert events == [
        {
            "platform": "yelp", "kind": "review", "direction": "inbound", "created_at": "2021-01-09T00:00:00Z",
            "text": "Good tea", "author": {"name": "Ines M.", "kind": "person"}, "rating": 4.0,
        }
    ]  # fmt: skip
    assert unmapped == []


def test_reviews_on_google_with_a_date_and_without(tmp_path: Path) -> None:
    rows = [
        {"name": "Ines M", "review": "Good tea", "star": "5 stars", "date": "a year ago"},
        {"name": "Otto", "review": "Cold tea", "star": "1 star", "date": "2021-05-03"},
    ]
    events, unmapped = read(tmp_path, "google_reviews.json", json.dumps(rows))
    assert len(events[0].pop("id")) == 16
    assert events == [
        {
            "platform": "google_maps", "kind": "review", "direction": "inbound", "created_at": "2021-05-03T00:00:00Z",
            "text": "Cold tea", "author": {"name": "Otto", "kind": "person"}, "rating": 1.0,
        }
    ]  # fmt: skip
    assert unmapped == [(1, "created_at: no time in 'a aaaa aaa': it is not in ISO 8601 (from date)")]


def test_a_file_of_ones_own_gets_no_zone_of_others(tmp_path: Path) -> None:
    assert find_mapping(tmp_path / "acme_app_reviews_1.csv") is None
    assert find_mapping(tmp_path / "acme_app_reviews.csv") is None
