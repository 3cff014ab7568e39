"""`earshot replay --platform`: recorded payloads of any kind of file through a platform's mapper."""

from __future__ import annotations

import gzip
import json
import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.errors import EarshotError, SettingsError
from pipeline.kafka.topics import migrate_topics
from pipeline.sources.platforms.registry import PLATFORMS
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.open_files import Line, read_files
from pipeline.sources.recorded.payloads import payloads
from pipeline.sources.recorded.platform_files import ByPlatform
from pipeline.sources.recorded.replay import _by_time, replay
from pipeline.sources.recorded.report import ReplayReport
from tests.sources.platforms.test_weibo import status
from tests.sources.recorded.test_replay import read_topic
from tests.support.commands import Run, run, stacked
from tests.support.platform_events import RECORDED, needs_recorded

__all__ = ["run", "stacked"]
NOW = "2026-11-28T12:00:00Z"
WEIBO = ByPlatform("weibo", now=NOW)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def found(path: Path, platform: str = "weibo") -> list[tuple[int, object]]:
    """Line and payload, or line and why there is none."""
    notes: list[str] = []
    items = payloads(path, platform, notes.append)
    return [(item.line, item.reason if isinstance(item, Unmapped) else item.value) for item in items]


def events(files: list[Path], by: ByPlatform = WEIBO) -> tuple[list[dict[str, Any]], ReplayReport]:
    report = ReplayReport()
    read = list(read_files(files, by, report, False))
    assert all(isinstance(event, dict) for event in read)
    return [event for event in read if isinstance(event, dict)], report


# --- the files ------------------------------------------------------------------------------------------------------
ONE, TWO = {"a": 1}, {"b": [{"c": 2}, {"c": 3}]}


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("one.json", json.dumps(TWO, indent=2), (1,)),
        ("keyed.json", '{"x": {"a": 1}, "y": {"a": 2}}', (1,)),
        ("list.json", '[\n{"a": 1},\n{"b": [{"c": 2}, {"c": 3}]}\n]\n', (2, 3)),
        ("concatenated.json", '{"a": 1}{"b": [{"c": 2},\n {"c": 3}]}', (1, 1)),
        ("concatenated", '{\n"a": 1}\n\n{"b": [{"c": 2},\n {"c": 3}]}', (1, 4)),
        ("lines.jsonl", '{"a": 1}\n\r\n\n{"b": [{"c": 2}, {"c": 3}]}\n', (1, 4)),
        ("lines.log", '{"a": 1}\n{"b": [{"c": 2}, {"c": 3}]}\n', (1, 2)),
        ("pages.jsonl", '[{"a": 1}, {"b": [{"c": 2}, {"c": 3}]}]\n[]\n', (1, 1)),
    ],
)
def test_json_of_any_form(tmp_path: Path, name: str, content: str, lines: tuple[int, ...]) -> None:
    others: dict[str, list[object]] = {"one.json": [TWO], "keyed.json": [{"x": {"a": 1}, "y": {"a": 2}}]}
    values = others.get(name, [ONE, TWO])
    expected = list(zip(lines, values, strict=True))
    assert found(write(tmp_path, name, content)) == expected
    assert found(write(tmp_path, f"{name}.gz", gzip.compress(content.encode()))) == expected
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr(name, content)
    assert found(tmp_path / "packed.zip") == expected
    assert found(write(tmp_path, name, content.encode("utf-16"))) == expected


def test_a_bad_payload_costs_itself(tmp_path: Path) -> None:
    lines = write(tmp_path, "a.jsonl", '{"a": 1}\n{"a": \n"x"\n{"a": NaN}\n{"a": 2}\n')
    problems = "not JSON: unexpected end of data: column 6", "not JSON: NaN is no number of JSON: column 7"
    assert found(lines) == [(1, {"a": 1}), (2, problems[0]), (3, "x"), (4, problems[1]), (5, {"a": 2})]
    document = found(write(tmp_path, "a.json", '[{"a": 1},\n{"a": NaN}, {"a": 2}]'))
    assert [value for _, value in document] == [
        {"a": 1}, "payload 2: not JSON: NaN is no number of JSON: line 2, column 7", {"a": 2},
    ]  # fmt: skip


def test_a_document_that_breaks_off_gives_its_payloads(tmp_path: Path) -> None:
    read, report = events([write(tmp_path, "a.json", json.dumps([status(1), status(2)])[:-9])])
    assert ([event["id"] for event in read], report.damaged, len(report.unmapped)) == (["1"], True, 1)


@pytest.mark.parametrize(
    ("content", "why"), [("", "the file is empty"), ("<html>", "text where an object or a list should be")]
)
def test_a_file_that_is_no_json_is_one_line(tmp_path: Path, content: str, why: str) -> None:
    path = write(tmp_path, "a.json", content)
    with pytest.raises(EarshotError, match=why):
        events([path])


COMMENTS = ",user_name,created_at,attitudes_count,comments\n0,茶友甲,Tue Dec 01 14:13:09 +0800 2020,3,壶盖太紧了我打不开\n"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_rows_of_a_table_in_the_platforms_encoding(tmp_path: Path, encoding: str) -> None:
    read, report = events([write(tmp_path, "comments.csv", COMMENTS.encode(encoding))])
    assert [(event["kind"], event["text"], event["metrics"]) for event in read] == [
        ("comment", "壶盖太紧了我打不开", {"likes": 3})
    ]
    assert len(report.notes) == (encoding == "gb18030")
    assert "GB18030" in "".join(report.notes) or encoding != "gb18030"


MAIL = b"From: Ines <ines@mail.example>\r\nSubject: Kettle\r\n\r\nIt leaks.\r\n"


def test_a_mail_is_a_payload(tmp_path: Path) -> None:
    assert found(write(tmp_path, "one.eml", MAIL), "email") == [(1, MAIL)]
    assert found(write(tmp_path, "one.eml.gz", gzip.compress(MAIL)), "email") == [(1, MAIL)]


def test_the_mails_of_an_mbox(tmp_path: Path) -> None:
    mbox = (
        b"From ines@mail.example Sat Nov 28 10:00:00 2026\nSubject: 1\n\nthe mail\n>From here on\n>>From there\n"
        b"From the middle of a text\n\nFrom afar, no header below\nbody\n\n"
        b"From - Sat Nov 28 10:01:00 2026\nSubject: 2\n\nanother\n"
    )
    first, second = found(write(tmp_path, "box.mbox", mbox), "email")
    assert first == (
        1,
        b"Subject: 1\n\nthe mail\nFrom here on\n>From there\nFrom the middle of a text\n\nFrom afar, no header below\nbody\n\n",
    )
    assert second == (12, b"Subject: 2\n\nanother\n")


def test_a_feed_is_one_payload_in_its_own_encoding(tmp_path: Path) -> None:
    feed = '<?xml version="1.0" encoding="ISO-8859-1"?><rss><channel><title>Té</title></channel></rss>'.encode("latin-1")
    assert found(write(tmp_path, "feed.xml", feed), "rss") == [(1, feed)]


def test_a_mail_of_fifty_megabytes_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.recorded.payloads.MAX_LINE", 1_000)
    large = b"From a Sat Nov 28 10:00:00 2026\nSubject: 1\n\n" + b"x" * 70 + b"\n" * 1_000
    box = write(tmp_path, "box.mbox", large + b"\nFrom b Sat Nov 28 10:01:00 2026\nSubject: 2\n")
    assert [line for line, _ in found(box, "email")] == [1, 1_005]
    assert found(box, "email")[0][1] == "the mail is longer than 0 MB"
    assert found(write(tmp_path, "one.eml", b"Subject: 1\n\n" + b"x" * 2_000), "email") == [(1, "the mail is longer than 0 MB")]


# --- changes --------------------------------------------------------------------------------------------------------
def test_an_item_is_created_once_then_updated_and_deleted(tmp_path: Path) -> None:
    gone = {**status(1), "deleted": "1"}
    first = write(tmp_path, "1.jsonl", "".join(json.dumps(each) + "\n" for each in (status(1), status(1), status(2))))
    second = write(tmp_path, "2.json", json.dumps({"statuses": [status(1, attitudes_count=5), status(1, text="开了")]}))
    third = write(tmp_path, "3.json", json.dumps([status(3, retweeted_status=status(2)), gone, status(1), gone]))
    read, report = events([first, second, third])
    named = [(event["operation"], event["id"], event.get("occurred_at")) for event in read]
    assert named == [
        ("create", "1", None), ("create", "2", None), ("update", "1", NOW), ("update", "1", NOW), ("create", "3", None),
        ("delete", "1", NOW),
    ]  # fmt: skip
    assert read[2].keys() == {"id", "platform", "created_at", "operation", "occurred_at", "metrics"}
    assert read[2]["metrics"] == {"likes": 5, "shares": 0, "replies": 0}
    assert (read[3]["text"], read[3]["metrics"]["likes"]) == ("开了", 0)
    assert (report.rows, report.events, report.unchanged, list(report.unmapped)) == (8, 6, 4, [])


def test_a_change_that_the_platform_dates_is_of_that_time(tmp_path: Path) -> None:
    edit = status(1, text="开了", edit_at="Tue Aug 06 12:00:00 +0800 2013")
    read, _ = events([write(tmp_path, "a.json", json.dumps([status(1), edit]))])
    assert [event.get("occurred_at") for event in read] == [None, "2013-08-06T04:00:00Z"]


def test_what_is_not_mapped_is_counted_and_what_is_unreadable_named(tmp_path: Path) -> None:
    late, blank = status(1, created_at="-"), {**status(1), "idstr": "", "mid": "", "id": None}
    lines = [status(1), late, {"bad": 1}, 7, [late, blank], status(2)]
    first = write(tmp_path, "a.jsonl", "".join(json.dumps(each) + "\n" for each in lines))
    other = write(tmp_path, "b.json", json.dumps([blank, {"bad": 1}]))
    read, report = events([first, other])
    assert [event["id"] for event in read] == ["1", "2"]
    assert report.not_mapped == {"status without a time": 2, "status without an id": 2}
    assert {str(row) for row in report.first_not_mapped.values()} == {
        f"{first}:2: status without a time",
        f"{first}:5: status without an id",
    }
    assert [str(row) for row in report.unmapped] == [
        f"{first}:3: no status, comment or vendor's post of Weibo",
        f"{first}:4: no status, comment or vendor's post of Weibo",
        f"{other}:1: payload 2: no status, comment or vendor's post of Weibo",
    ]
    assert (report.rows, report.events, report.barren) == (9, 5, [other])


def test_the_server_is_in_ids_that_are_local_to_it(tmp_path: Path) -> None:
    account = {"id": "7", "username": "ines", "acct": "ines", "url": "https://forum.example/@ines"}
    post = {
        "id": "42", "created_at": "2026-11-28T10:00:00.000Z", "uri": "https://forum.example/users/ines/statuses/42",
        "content": "<p>It leaks</p>", "visibility": "public", "account": account,
    }  # fmt: skip
    read, _ = events([write(tmp_path, "a.json", json.dumps([post]))], ByPlatform("mastodon", "social.example"))
    assert read[0]["id"] == "social.example:42"


FEED = """<?xml version="1.0" encoding="ISO-8859-1"?><rss version="2.0"><channel><title>Té</title><item><guid>tag:a,1</guid>
<title>Un té</title><pubDate>Sat, 28 Nov 2026 10:00:00 GMT</pubDate></item></channel></rss>"""
JSON_FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "Tea",
    "items": [{"id": "tag:a,1", "content_text": "A tea", "date_published": "2026-11-28T10:00:00Z"}],
}


@pytest.mark.parametrize(
    ("platform", "name", "content", "kind", "text"),
    [
        ("rss", "feed.xml", FEED.encode("latin-1"), "post", "Un té"),
        ("rss", "feed.json", json.dumps(JSON_FEED).encode(), "post", "A tea"),
        (
            "email",
            "one.eml",
            MAIL.replace(b"\r\n\r\n", b"\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n\r\n"),
            "email",
            "Kettle\n\nIt leaks.",
        ),
    ],
)
def test_a_feed_and_a_mail_become_events(
    tmp_path: Path, platform: str, name: str, content: bytes, kind: str, text: str
) -> None:
    read, report = events([write(tmp_path, name, content)], ByPlatform(platform, now=NOW))
    assert [(each["kind"], each["text"], each["created_at"]) for each in read] == [(kind, text, "2026-11-28T10:00:00Z")]
    assert (report.rows, list(report.unmapped)) == (1, [])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_has_a_mapper_that_refuses_another_shape(tmp_path: Path, platform: str) -> None:
    read, report = events([write(tmp_path, "a.json", '{"neither": 1}')], ByPlatform(platform))
    assert (read, report.events, len(report.unmapped), len(report.barren)) == ([], 1, 1, 1)


def test_all_files_are_opened_before_the_first_event(tmp_path: Path) -> None:
    good = write(tmp_path, "a.json", json.dumps(status(1)))
    for bad, why in (
        (tmp_path / "none.json", "No such file"),
        (write(tmp_path, "b.json.gz", b"\x1f\x8b\x08broken"), "archive"),
    ):
        with pytest.raises(EarshotError, match=why):
            read_files([good, bad], WEIBO, ReplayReport(), False)


def test_an_unknown_platform_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--platform: there is no mapper for platform 'weib'.*weibo"):
        read_files([write(tmp_path, "a.json", "{}")], ByPlatform("weib"), ReplayReport(), False)


def test_by_time_a_change_without_a_time_stays_behind_its_event() -> None:
    made: list[Line] = [
        {"id": "1", "created_at": "2020-01-01T00:01:00Z"},
        {"id": "1", "operation": "update", "occurred_at": NOW, "created_at": "2020-01-01T00:01:00Z"},
        {"id": "2", "created_at": "2020-01-01T00:00:00Z"},
    ]
    assert [event for _, event in _by_time(iter(made), NOW)] == [made[2], made[0], made[1]]


@needs_recorded
@pytest.mark.parametrize(
    ("name", "sent", "unchanged"),
    [("weibo_statuses.json", 6, 0), ("vendor_weibo.json", 100, 0), ("weibo_comments.csv", 1_120, 1)],
)
def test_recorded_files_of_weibo(name: str, sent: int, unchanged: int) -> None:
    read, report = events([RECORDED / "platforms" / "weibo" / name])
    assert (len(read), report.unchanged, len(report.unmapped), report.not_mapped) == (sent, unchanged, 0, {})


# --- the command ----------------------------------------------------------------------------------------------------
def test_a_dry_run_counts_by_kind(run: Run) -> None:
    Path("a.json").write_text(
        json.dumps([status(2, retweeted_status=status(1)), status(1, text="开了"), [1], status(3, created_at="-")])
    )
    done = run("replay", "--platform", "weibo", "--dry-run", "a.json")
    assert done.code == 0
    shown = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    assert [(event["operation"], event["id"]) for event in shown] == [("create", "1"), ("create", "2"), ("update", "1")]
    assert "rows 4  events 3  unmapped 1  nothing is sent" in done.out
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.out.splitlines() if line.startswith("│")]
    assert [each for each in cells if len(each) == 2 and each[0] != "1"] == [
        ["post", "1"], ["repost", "1"], ["update", "1"], ["not mapped: status without a time", "1"],
    ]  # fmt: skip
    assert done.err.splitlines()[:2] == [
        "unmapped a.json:1: payload 3: no status, comment or vendor's post of Weibo",
        "not mapped status without a time, 1 times, first: a.json:1: payload 4: status without a time",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--platform", "weibo", "--mapping", "m.yaml"], "--mapping goes without --platform, which has a mapper"),
        (["--host", "mastodon.example"], "--host goes with --platform"),
        (["--platform", "redit"], "there is no mapper for platform 'redit', did you mean 'reddit'?"),
        (["--platform", "weibo", "--dry-run", "--rate", "3"], "--rate goes without --dry-run, which sends nothing"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, options: list[str], says: str) -> None:
    Path("a.json").write_text("{}")
    done = run("replay", "a.json", *options)
    assert (done.code, says in done.err, len(done.err.splitlines())) == (2, True, 1)


def test_a_file_without_an_event_is_exit_code_1(run: Run) -> None:
    Path("a.json").write_text('{"error": "expired", "error_code": 21327}')
    done = run("replay", "a.json", "--platform", "weibo", "--dry-run")
    assert done.code == 1
    assert "a.json: no row of it has an event" in done.err


# --- with a broker --------------------------------------------------------------------------------------------------
@pytest.fixture
def topics(settings: Settings) -> KafkaSettings:
    migrate_topics(settings.kafka)
    return settings.kafka


def test_the_events_of_payloads_are_in_kafka(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    made = [status(2, retweeted_status=status(1)), {"error": 1}, status(1, attitudes_count=4), {**status(2), "deleted": "1"}]
    path = write(tmp_path, "a.jsonl", "".join(json.dumps(each) + "\n" for each in made))
    report = replay(settings, [path], mapping=WEIBO)
    assert (report.rows, report.events, report.produced, report.complete) == (4, 5, 4, True)
    assert [str(row) for row in report.unmapped] == [f"{path}:2: no status, comment or vendor's post of Weibo"]
    sent = [(record.key(), orjson.loads(record.value() or b"")["operation"]) for record in read_topic(topics)]
    assert sorted(sent) == [
        (b"weibo:1", "create"), (b"weibo:1", "update"), (b"weibo:2", "create"), (b"weibo:2", "delete"),
    ]  # fmt: skip
    for key in (b"weibo:1", b"weibo:2"):
        assert [operation for other, operation in sent if other == key][0] == "create"


def test_as_now_and_speed_keep_an_items_changes_together(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    made = [status(1), status(2, created_at="Tue Aug 06 11:52:07 +0800 2013"), status(1, attitudes_count=4)]
    path = write(tmp_path, "a.json", json.dumps(made))
    assert replay(settings, [path], mapping=WEIBO, speed=60, as_now=True).produced == 3
    sent = [orjson.loads(record.value() or b"") for record in read_topic(topics)]  # of one item in their order
    create, update = (event for event in sent if event["id"] == "1")
    (other,) = (event for event in sent if event["id"] == "2")
    assert [event["operation"] for event in (create, other, update)] == ["create", "create", "update"]
    assert create["created_at"] == update["created_at"] < other["created_at"] <= update["occurred_at"]


def test_the_command_sends_and_reports(stacked: Run) -> None:
    os.mkfifo("pipe.json")  # it can be read once only
    made = json.dumps([status(1), status(1), {"ad": 1}])
    writer = threading.Thread(target=lambda: Path("pipe.json").write_text(made), daemon=True)
    writer.start()
    done = stacked("replay", "--platform", "weibo", "pipe.json")
    writer.join(10)
    assert (done.code, done.out) == (0, "rows 3  events 2  sent 1  failed 0  unmapped 1\n")
    assert done.err.splitlines()[-2:] == [
        "unmapped pipe.json:1: payload 3: no status, comment or vendor's post of Weibo",
        "seen again without a change, 1 times",
    ]
