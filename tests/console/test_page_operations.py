"""Page Operations: processes, figures, sources, dead letters. What is asked is real; where nothing answers it says so."""

from __future__ import annotations

import html
import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.settings import KafkaSettings, Settings
from pipeline.console.letters import typed
from pipeline.embedded.child import free_port
from pipeline.kafka.topics import migrate_topics
from pipeline.monitoring import health
from pipeline.monitoring.health import Vitals
from tests.support.console import Browser, app_of, password, users_file
from tests.support.console_rows import a_letter, asked_again, now

SOURCES = "sources:\n  - {name: our-blog, platform: rss, url: 'https://blog.example/feed'}\n"
SECRET = b'{"email": "a@b.example", "text": "<script>alert(1)</script>", "x": "\xff\x00"}'


@pytest.fixture
def settings(emptied: Settings, tmp_path: Path) -> Settings:
    """With topics and a source, and processes on ports where nothing answers."""
    migrate_topics(emptied.kafka)
    (tmp_path / "sources.yaml").write_text(SOURCES)
    away = {"control": ControlSettings(port=free_port()), "customers": CustomersSettings(port=free_port())}
    return emptied.model_copy(update={"sources": tmp_path / "sources.yaml", **away})


@pytest.fixture
def sara(settings: Settings) -> Browser:
    browser = Browser(app_of(settings))
    browser.log_in(settings, "sara")
    return browser


def on_record(settings: Settings, act: str) -> list[tuple[object, ...]]:
    with clickhouse_client(settings.clickhouse) as client:
        sql = "SELECT actor, subject, comment, outcome FROM acts WHERE way = 'console' AND act = {act:String} ORDER BY at, id"
        return [tuple(row) for row in client.query(sql, {"act": act}).result_rows]


def events_of(kafka: KafkaSettings, least: int) -> list[bytes]:
    """The records of topic events."""
    consumer = Consumer({**kafka.client(), "group.id": "read", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(kafka.topic("events"), number, 0) for number in range(kafka.partitions)])
    found = list[bytes]()
    while len(found) < least:
        message = consumer.poll(10)
        assert message is not None
        found.append(message.value() or b"")
    consumer.close()
    return found


def counted_form(page: str) -> dict[str, str]:
    """The hidden fields of the form that says how many there are."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.split('id="act-title"')[1])
    return {name: html.unescape(value) for name, value in found if name != "csrf"}


def test_each_process_is_shown_in_the_words_of_its_ready(settings: Settings) -> None:
    vitals = Vitals()
    vitals.hold("kafka", "no <b>broker</b> answers")
    stop = health.serve(vitals, "127.0.0.1", settings.worker.health_port)
    frozen = socket.create_server(("127.0.0.1", settings.control.port))  # it takes requests, and answers none
    try:
        browser = Browser(app_of(settings))
        browser.log_in(settings)
        page = browser.get("/operations").text
    finally:
        frozen.close()
        stop()
    assert "kafka: no &lt;b&gt;broker&lt;/b&gt; answers" in page and "not ready" in page
    assert page.count("not live") == 3  # control, customers, the listener
    states = dict(re.findall(r"<dt>(\w+)</dt>\s*<dd>.*?</span> (.*)</dd>", page))
    assert "timed out" in states["control"] or "control has not answered" in states["control"]
    assert "refused" in states["customers"] and "broker" in states["worker"]
    assert "0 records" in page


def test_dead_letters_are_counted_for_everybody_and_looked_at_on_record(sara: Browser, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 7, SECRET, "kind <b> is none")
        a_letter(client, 8, b"another", "text is too long")
    page = sara.get("/operations").text
    assert "kind &lt;b&gt; is none" in page and "a@b.example" not in page
    assert on_record(settings, "look at dead letters") == []
    look = re.findall(r'href="(/operations/dead-letters\?[^"]+)"', page)
    shown = sara.get(html.unescape(next(each for each in look if "kind" in each))).text
    assert "a@b.example" in shown and "<script>alert" not in shown and "another" not in shown
    assert "7b 22 65 6d 61 69 6c 22" in shown and "ff 00" in shown
    assert on_record(settings, "look at dead letters") == [("sara", "reason decode: kind <b> is none", "", "done")]
    raw = sara.get("/operations/dead-letters/raw?topic=events&partition=0&from_offset=7&to_offset=7")
    assert raw.content == SECRET and raw.headers["content-type"] == "application/octet-stream"
    assert len(on_record(settings, "look at dead letters")) == 2
    assert sara.get("/operations/dead-letters/raw?topic=events&partition=0&from_offset=9&to_offset=9").status_code == 404


def test_reasons_that_differ_in_their_place_are_one_row_and_the_numbers_say_why_they_differ(
    sara: Browser, settings: Settings
) -> None:  # fmt: skip
    with clickhouse_client(settings.clickhouse) as client:
        for offset, place in enumerate((339, 365, 365)):
            a_letter(client, offset, b"record %d" % place, f"JSON is malformed: trailing characters (byte {place})")
        a_letter(client, 3, b"", "it can't be unpacked", step="kafka")
    page = sara.get("/operations").text
    numbers = "4 dead letters, 2 to be sent again; 1 repeat one of these; of 1 Kafka&#39;s client could not unpack the bytes."
    assert numbers in page and page.count('<td class="number">3</td>') == 1 and "2 places" in page
    assert "(byte 339)" in page and "(byte 365)" in page
    looks = re.findall(r'href="(/operations/dead-letters\?[^"]+)"', page)
    whole = html.unescape(next(each for each in looks if "trailing" in each and "byte" not in each))
    assert "3 dead letters, 2 to be sent again; 1 repeat" in sara.get(whole).text
    for path in ("/operations/dead-letters", "/operations/dead-letters/replay"):
        assert numbers in sara.get(path).text


def test_what_clickhouse_quotes_of_a_row_is_for_those_who_may_look(sara: Browser, settings: Settings, tmp_path: Path) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        for offset in range(3):
            a_letter(client, offset, b"{}", f"Cannot parse 'vera{offset}@acme.example'", step="clickhouse")
    users = users_file(tmp_path / "users.yaml", vera="viewer ops analyst")
    vera = Browser(app_of(settings.model_copy(update={"console": settings.console.model_copy(update={"users": users})})))
    vera.post("/login", {"name": "vera", "password": password("vera")})
    assert sara.get("/operations/dead-letters?reason=clickhouse:+Cannot+parse+%27vera1@acme.example").status_code == 200
    assert on_record(settings, "look at dead letters") == [("sara", "reason clickhouse: refused", "", "done")]
    page = vera.get("/operations").text
    assert "refused" in page and page.count('<td class="number">3</td>') == 1
    for text in page, vera.get("/record").text, vera.get("/record.csv").text:
        assert "acme.example" not in text
    assert "Cannot parse" in sara.get("/operations").text


@pytest.mark.parametrize(
    "query", ["partition=-1", "partition=x", "from_offset=1e3", "to_offset=" + "9" * 30, "partition=4294967296"]
)
def test_a_filter_that_is_none_is_said_and_nothing_is_shown(sara: Browser, settings: Settings, query: str) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 7, SECRET)
    for path in ("", "/replay"):
        answer = sara.get(f"/operations/dead-letters{path}?{query}")
        assert answer.status_code == 400 and "it is a whole number" in answer.text and "a@b.example" not in answer.text


def test_a_problem_names_the_field_as_its_label_does() -> None:
    problems = typed({"from_offset": "two", "to_offset": "-1"}).problems
    assert [problem.split(":")[0] for problem in problems] == ["first offset 'two'", "last offset '-1'"]


def test_a_page_elsewhere_puts_no_look_on_record(sara: Browser, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 7, SECRET)
    for path in ("", "/raw?topic=events&partition=0&from_offset=7&to_offset=7"):
        for site in ("cross-site", "same-site"):
            answer = sara.get(f"/operations/dead-letters{path}", sec_fetch_site=site)
            assert answer.status_code == 403 and b"a@b.example" not in answer.content
    assert sara.get(f"/operations/dead-letters?reason={'x' * 501}").status_code == 400
    assert on_record(settings, "look at dead letters") == []


def test_they_are_sent_again_by_a_filter_that_was_counted(sara: Browser, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        for offset in range(3):
            a_letter(client, offset, b"record %d" % offset, "kind is none")
        a_letter(client, 9, b"other", "text is too long")
    path = "/operations/dead-letters/replay"
    counted = sara.get(f"{path}?reason=kind").text
    assert "Send 3 again" in counted and 'type="hidden" name="reason" value="kind"' in counted, "what it counts stays"
    chosen = sara.get(f"{path}?reason=kind&choose=1").text
    assert "Send 3 again" not in chosen and '<form method="get"' in chosen and 'name="reason" value="kind"' in chosen
    nothing = sara.get(f"{path}?reason=nobody").text
    assert (
        "reason nobody: 0 dead letters, 0 to be sent again." in nothing
        and "<button>Send" not in nothing
        and "Choose others" in nothing
    )
    other = sara.act(f"{path}?reason=kind", {"reason": "text", "comment": "x"})  # it was another filter that was counted
    assert "Send 1 again" in other.text and on_record(settings, "replay dead letters") == []
    form, second = counted_form(counted), Browser(app_of(settings))
    second.log_in(settings, "lars")
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 10, b"came since", "kind is none")
    answer = sara.act(f"{path}?reason=kind", {**form, "comment": "put right"})
    told = second.act(f"{path}?reason=kind", form)
    assert told.status_code == 409 and "sara sent these again on " in told.text and "nothing was sent now" in told.text
    assert "Send 4 again" in told.text and "all the same" not in told.text, "one came since"
    for _ in ("at first", "loaded again"):
        assert "3 records went to" in sara.follow(answer).text
    assert on_record(settings, "replay dead letters") == [("sara", "reason kind", "put right", "done")]
    restarted = Browser(app_of(settings))  # what came of it is on record
    restarted.log_in(settings, "sara")
    assert restarted.get(answer.headers["location"]).headers["location"] == "/record"
    assert sorted(events_of(settings.kafka, 3)) == [b"record 0", b"record 1", b"record 2"]


def test_one_alone_is_sent_again(sara: Browser, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        for offset in range(3):
            a_letter(client, offset, b"record %d" % offset)
    shown = sara.get("/operations/dead-letters").text
    (one,) = (each for each in re.findall(r'href="([^"]+)">Send this one again', shown) if "from_offset=1&" in each)
    where = html.unescape(one)
    fields = dict(re.findall(r'name="(topic|partition|from_offset|to_offset)" value="([^"]*)"', sara.get(where).text))
    assert fields == {"topic": "events", "partition": "0", "from_offset": "1", "to_offset": "1"}
    assert "1 record went to" in sara.follow(sara.act(where, counted_form(sara.get(where).text))).text
    assert events_of(settings.kafka, 1) == [b"record 1"]
    again = sara.get(where).text
    assert "sara sent these again on " in again and "Send 1 again all the same" in again
    assert "1 record went to" in sara.follow(sara.act(where, counted_form(again))).text


def test_what_could_not_be_sent_is_on_record_as_that(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 1, b"record")
    away = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"bootstrap": f"127.0.0.1:{free_port()}"})})
    browser = Browser(app_of(away))
    browser.log_in(away, "sara")
    form = counted_form(browser.get("/operations/dead-letters/replay").text)
    assert "Send 1 again" in browser.act("/operations/dead-letters/replay", {}, page="/record").text  # nothing was counted
    answer = browser.act("/operations/dead-letters/replay", {**form, "comment": "typed"}, page="/record")
    assert answer.status_code == 503 and 'value="typed"' in answer.text
    long = browser.act("/operations/dead-letters/replay", {**form, "comment": "x" * 2_001}, page="/record")
    assert long.status_code == 422 and f'value="{"x" * 2_001}"' in long.text
    ((actor, _, comment, outcome),) = on_record(settings, "replay dead letters")
    assert (actor, comment) == ("sara", "typed") and str(outcome).startswith("Kafka at")
    page = browser.get("/operations").text
    assert "Kafka can&#39;t be asked" in page and "record" in page  # the rest works


def test_a_source_is_paused_and_resumed_on_record(sara: Browser, settings: Settings) -> None:
    assert "no listener" in sara.get("/operations").text
    where = "/operations/sources/our-blog"
    assert "No gap is known" in sara.get(where).text
    for act in ("pause", "resume"):
        assert "our-blog" in sara.follow(sara.act(f"{where}/{act}", {"comment": f"{act} it"})).text
        assert on_record(settings, f"{act} source") == [("sara", "our-blog", f"{act} it", "done")]
    assert sara.get("/operations/sources/nobody").status_code == 404
    assert sara.get(f"{where}/steal").status_code == 404


def test_gaps_of_a_source_are_shown(sara: Browser, settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        row = ["our-blog", now(), now(), "the <b>feed</b> has no more", now()]
        client.insert("source_gaps", [row], column_names=["source", "since", "until", "reason", "found_at"])
    page = sara.get("/operations/sources/our-blog").text
    assert "the &lt;b&gt;feed&lt;/b&gt; has no more" in page
    health_rows, gap_rows = asked_again(settings, page)
    assert (health_rows, len(gap_rows)) == ([], 1)


def test_what_a_source_costs_is_shown(sara: Browser, settings: Settings) -> None:
    assert settings.sources and ">Cost<" not in sara.get("/operations").text
    settings.sources.write_text(f"{SOURCES}  - {{name: cups, platform: twitter, query: cup, token_env: X, spend: 20}}\n")
    spent = {"months": {f"{now():%Y-%m}": 1_000}, "since": now().timestamp()}
    with clickhouse_client(settings.clickhouse) as client:
        client.insert("source_cursors", [["cups", 1, json.dumps({"cursor": {"spent": spent}}), now()]])
    line = r"5\.00 of 20\.00 USD, 15\.00 left until \d{4}-\d\d-01; \d+\.00 a month at this pace"
    for where in ("/operations", "/operations/sources/cups"):
        assert re.search(line, sara.get(where).text), where


def test_only_sres_look_send_and_pause(settings: Settings, tmp_path: Path) -> None:
    users = users_file(tmp_path / "users.yaml", vera="viewer ops analyst steward", sam="sre")
    app = app_of(settings.model_copy(update={"console": settings.console.model_copy(update={"users": users})}))
    vera, sam = Browser(app), Browser(app)
    for browser, name in ((vera, "vera"), (sam, "sam")):
        assert browser.post("/login", {"name": name, "password": password(name)}).status_code == 303
    with clickhouse_client(settings.clickhouse) as client:
        a_letter(client, 7, SECRET)
    paths = ("/operations/dead-letters", "/operations/dead-letters/raw", "/operations/dead-letters/replay")
    gets: Sequence[str] = (*paths, "/operations/sources/our-blog/pause")
    for path in gets:
        assert vera.get(path).status_code == 403 and sam.get(path).status_code != 403, path
    for path in gets[2:]:
        assert vera.act(path).status_code == 403, path
    assert "Look" not in vera.get("/operations").text and "Look" in sam.get("/operations").text
    assert on_record(settings, "look at dead letters") == [("sam", "all", "", "done")]
