"""Page Now: the alerts, who waits for an answer, the tone of the last hour."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape

import pytest
from starlette.applications import Starlette

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.reads import Reads
from pipeline.console.waiting import place_of
from pipeline.embedded.child import free_port
from schemas.alerts import State
from tests.support.console import Browser
from tests.support.console_rows import a_thread, an_alert, asked_again, now, write_alerts


def rows_of(page: str, name: str) -> list[str]:
    """The keys of a list, in its order."""
    found = re.search(rf'<ul class="plain alerts" id="{name}".*?</ul>', page, re.DOTALL)
    assert found, page
    return re.findall(r'id="alert-([0-9a-f]{16})"', found[0])


def test_alerts_stand_in_the_list_of_their_state_the_worst_first(ines: Browser, emptied: Settings) -> None:
    low, high = an_alert("volume", severity=3), an_alert("anger", severity=9)
    seen = an_alert("crisis", state=State.ACKNOWLEDGED, actor="lars", comment="at it")
    over = an_alert("copies", state=State.RESOLVED, ended_at=now())
    old = an_alert("old", ago_s=90_000, state=State.RESOLVED)
    hidden = [an_alert("late", historical=True), an_alert("soon", state=State.PENDING), old]
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, low, high, seen, over, *hidden)
    page = ines.get("/").text
    assert rows_of(page, "firing") == [high.hex, low.hex]
    assert rows_of(page, "acknowledged") == [seen.hex] and "at it" in page
    assert rows_of(page, "resolved") == [over.hex]
    assert not any(each.hex in page for each in hidden)


def test_the_newest_change_of_an_alert_counts(ines: Browser, emptied: Settings) -> None:
    first = an_alert()
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, first, first.change(now(), state=State.RESOLVED, ended_at=now()))
    page = ines.get("/").text
    assert (rows_of(page, "firing"), rows_of(page, "resolved")) == ([], [first.hex])


def test_pages_of_one_second_are_one_question_and_their_streams_begin_where_it_was_asked(
    ines: Browser, app: Starlette, emptied: Settings
) -> None:  # fmt: skip
    reads, first, second = app.state.desk.reads, an_alert("anger"), an_alert("volume")
    started = now().timestamp()
    reads._clock = lambda: started
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, first)
        reads.mark = lambda: "17.4"
        page = ines.get("/").text
        assert rows_of(page, "firing") == [first.hex] and "/now/stream?after=17.4" in page
        write_alerts(client, second)
    reads.mark = lambda: "17.5"
    page = ines.get("/").text
    assert rows_of(page, "firing") == [first.hex] and "/now/stream?after=17.4" in page
    assert set(rows_of(ines.get("/now/alerts").text, "firing")) == {first.hex, second.hex}, "after a reload nothing is old"


def test_brand_rule_and_severity_narrow_it_down(ines: Browser, emptied: Settings) -> None:
    acme, zeta = an_alert("anger", "Acme", severity=8), an_alert("volume", "Zeta", severity=2)
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, acme, zeta)
    for query, left in (("brand=Acme", acme), ("rule=volume", zeta), ("severity=5", acme), ("brand=Zeta&severity=1", zeta)):
        assert rows_of(ines.get(f"/?{query}").text, "firing") == [left.hex], query


@pytest.mark.parametrize("severity", ["0", "11", "abc", "-1", "1e3", "٣", "9" * 1_000])
def test_a_severity_that_is_none_is_said_and_kept(ines: Browser, severity: str) -> None:
    answer = ines.get("/", params={"severity": severity}) if False else ines.client.get("/", params={"severity": severity})
    assert answer.status_code == 400
    assert "it is a whole number from 1 to 10" in answer.text and "Nothing is firing" not in answer.text
    assert f'name="severity" value="{severity}"' in unescape(answer.text)


def test_an_unknown_brand_is_said_with_the_nearest(ines: Browser, emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, an_alert(brand="Acme"))
    answer = ines.get("/?brand=Acmee")
    assert answer.status_code == 404
    assert "there is no brand &#39;Acmee&#39;" in answer.text
    assert "alert-" not in answer.text and "Nothing is firing" not in answer.text and "Nobody waits" not in answer.text


def test_each_query_that_it_shows_gives_what_it_shows(ines: Browser, emptied: Settings) -> None:
    alert = an_alert()
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, alert)
        a_thread(client, "t3_abc")
    page = ines.get("/").text
    open_, over, waiting, tones = asked_again(emptied, page)
    assert ([row[0] for row in open_], over, tones) == ([alert.key], [], [])
    assert len(waiting) == 1 and "t3_abc" in [str(value) for value in waiting[0]]


def test_who_waits_for_an_answer_with_a_link_to_the_place(ines: Browser, emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        a_thread(client, "t3_abc", waiting_since=now() - timedelta(hours=3))
        a_thread(client, "t3_zzz", private=True, platform="email")
    page = ines.get("/").text
    assert page.index("t3_abc") < page.index("t3_zzz")
    assert '<a href="https://www.reddit.com/comments/abc"' in page and "private" in page
    assert "3\u202fh" in page


def test_who_has_a_conversation_is_shown_and_what_is_done_is_off_the_list(ines: Browser, emptied: Settings) -> None:
    columns = ["brand", "platform", "conversation_id", "state", "owner", "actor", "comment", "since", "changed_at", "version"]
    with clickhouse_client(emptied.clickhouse) as client:
        for name, state in (("t3_a", "taken"), ("t3_b", "done"), ("t3_c", "free")):
            a_thread(client, name)
            owner = "" if state == "free" else "lars"
            client.insert("cases", [["Acme", "reddit", name, state, owner, "lars", "", now(), now(), 1]], column_names=columns)
    page = ines.get("/").text
    assert "t3_a" in page and "t3_c" in page and "t3_b" not in page
    assert (
        page.count('<bdi class="said">lars</bdi>') == 1 and page.count("/cases/hand-over?") == page.count("/cases/take?") == 2
    )


def test_of_thousands_that_are_done_none_takes_the_place_of_who_waits(
    ines: Browser, app: Starlette, emptied: Settings
) -> None:  # fmt: skip
    """And who takes one sees it at once."""
    started = now().timestamp()
    app.state.desk.reads._clock = lambda: started
    with clickhouse_client(emptied.clickhouse) as client:
        columns = "brand, opened, conversation, conversation_id, platform, kind, waiting, waiting_since, last_customer, version"
        ago, name = "now64(3) - 7200", "concat('t3_d', toString(number))"
        client.command(
            f"INSERT INTO threads ({columns}) "
            f"SELECT 'Acme', {ago}, number + 1, {name}, 'reddit', 'post', 1, {ago}, {ago}, 1 FROM numbers(1200)"
        )
        client.command(
            f"INSERT INTO cases SELECT 'Acme', 'reddit', {name}, 'done', 'al', '', '', now64(3), now64(3), 1 FROM numbers(1200)"
        )
        a_thread(client, "t3_waits")
        page = ines.get("/").text
        assert "t3_waits" in page and "t3_d" not in page
        a_thread(client, "t3_later")
    assert "t3_later" not in ines.get("/").text, "it is asked again in ten seconds"
    ines.act("/cases/take", {"brand": "Acme", "platform": "reddit", "conversation_id": "t3_waits"})
    assert "t3_later" in ines.get("/").text


def test_of_many_brands_those_with_the_most_mentions_have_their_tone(ines: Browser, emptied: Settings) -> None:
    """Five thousand brands in 24 quarter-hours are more rows than a query may give."""
    with clickhouse_client(emptied.clickhouse) as client:
        client.command(
            "INSERT INTO quarters (brand, quarter, platform, mentions, positive, score, version, is_deleted) "
            "SELECT concat('brand', leftPad(toString(number % 5000), 4, '0')), "
            "toDateTime(intDiv(toUnixTimestamp(now()), 900) * 900 - 900 * intDiv(number, 5000), 'UTC'), 'reddit', "
            "1 + number % 5000, 1, 1, 1, 0 FROM numbers(5000 * 22)"
        )
    page = ines.get("/").text
    names = re.findall(r'<a href="/brands/(brand\d+)">', page)
    assert names == [f"brand{number}" for number in range(4999, 4975, -1)]
    assert "4,976 brands with fewer mentions not shown" in page.replace("\u202f", ",")
    *_, tone, most = asked_again(emptied, page)
    assert len(tone) == 24 * 4 and [row[0] for row in most] == names


def test_the_place_of_a_conversation() -> None:
    for platform, name, place in (
        ("twitter", "1200000000000000001", "https://x.com/i/web/status/1200000000000000001"),
        ("reddit", "t3_1abc", "https://www.reddit.com/comments/1abc"),
        ("bluesky", "at://did:plc:abc/app.bsky.feed.post/3k", "https://bsky.app/profile/did:plc:abc/post/3k"),
        ("discourse", "forum.example:t:11", "https://forum.example/t/11"),
        ("discourse", "forum.example/@evil:t:11", ""),
        ("mastodon", "social.example:109381959", "https://social.example/statuses/109381959"),
        ("mastodon", "social.example:notification:1", ""),
        ("instagram", "CqXsG_-x1", "https://www.instagram.com/p/CqXsG_-x1/"),
        ("telegram", "-1001234567890:t:5", "https://t.me/c/1234567890/5"),
        ("telegram", "-1001234567890", ""),
        ("rss", "https://blog.example/17?a=b", "https://blog.example/17?a=b"),
        ("instagram", "17855391343811885", ""),
        ("facebook", "100_21", "https://www.facebook.com/100/posts/21"),
        ("facebook", "t_51", ""),
        ("freshdesk", "acme.freshdesk.com:7", "https://acme.freshdesk.com/a/tickets/7"),
        ("rss", "javascript:alert(1)", ""),
        ("telegram", "-1001234567890:17", "https://t.me/c/1234567890/17"),
        ("telegram", "5550:7", ""),
        ("vk", "wall-1234_6", "https://vk.com/wall-1234_6"),
        ("vk", "im1234:7", ""),
        ("linkedin", "urn:li:share:709463", "https://www.linkedin.com/feed/update/urn:li:share:709463"),
        ("youtube", "UgyZ1jqkHKYvi1-ruOZ4AaABAg", ""),
        ("twitter", "1/../../evil", ""),
        ("twitter", "1\n", ""),
        ("x", "1", ""),
    ):
        assert place_of(platform, name) == place


def test_what_strangers_wrote_is_text(ines: Browser, emptied: Settings) -> None:
    evil = '<script>alert(1)</script>\u202e"><img src=x onerror=alert(1)>'
    alert = an_alert(evil, evil, summary=evil, state=State.ACKNOWLEDGED, actor=evil, comment="a" * 100_000)
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, alert)
        a_thread(client, evil, evil, evil, team=evil)
    page = ines.get("/").text
    assert "<script>alert" not in page and "<img" not in page and "\u202e" not in page
    assert len(page) < 200_000


def test_without_clickhouse_it_does_not_say_that_nothing_is_firing(ines: Browser, app: Starlette) -> None:
    ines.get("/")
    desk = app.state.desk
    desk.reads = Reads(desk.settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{free_port()}"}))
    page = ines.get("/").text
    assert page.count('<div class="failed"') == 3 and page.count("Not known.") == 3
    assert "Nothing is firing" not in page and "Nobody waits" not in page


def test_without_anything_it_says_so(ines: Browser) -> None:
    page = ines.get("/").text
    for text in ("Nothing is firing.", "Nobody waits for an answer.", "No brand was mentioned"):
        assert text in page


def test_more_than_fit_are_counted(ines: Browser, emptied: Settings) -> None:
    with clickhouse_client(emptied.clickhouse) as client:
        write_alerts(client, *(an_alert(f"rule-{n}", ago_s=n + 1) for n in range(207)))
    page = ines.get("/").text
    assert len(rows_of(page, "firing")) == 200 and "7 alerts more" in page
    assert len(gzip.compress(page.encode(), 5)) < 60_000  # test_libraries.py has the rest of the 150 kB
