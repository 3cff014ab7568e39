"""What happens, from the stream to the record, as a person in a browser sees it: a generated stream with a burst of anger, a
worker that is killed, control, the console in Chromium. Then each page's numbers against the truth of that stream."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
import xxhash
from confluent_kafka import Consumer, TopicPartition

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ
from pipeline.config.apis import CustomersSettings
from pipeline.config.console import ConsoleSettings
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.password import password_of
from pipeline.embedded.stack import Stack
from pipeline.kafka.event_producer import EventProducer
from schemas.alerts import parse_alert
from tests.support import truth_labels
from tests.support.console import Browser, app_of
from tests.support.console_browser import chromium, logged_in, served
from tests.support.console_rows import asked_again
from tests.support.control import EAGER, Rules, Webhook, controlled, fresh, start_control
from tests.support.rollups import differences
from tests.support.told_stream import ToldStream
from tests.support.topics import lag
from tests.support.truth_labels import LABELS, SCORES
from tests.support.walked import walked
from tests.support.worker import Worker, wait_for

RULE = "many"
LONG_MS = 150_000
"""What takes seconds takes a minute on a machine that does much else."""


@dataclass
class World:
    """A stream, and what runs: a worker, control, a receiver."""

    settings: Settings
    stream: ToldStream
    hook: Webhook
    folder: Path
    worker: Worker
    sent: int = 0
    started: int = 1

    def send(self, until: int) -> None:
        """The records up to this one, acknowledged."""
        with EventProducer(self.settings.kafka) as producer:
            for key, value in self.stream.records[self.sent : until]:
                producer.produce(key, value)
        self.sent = max(self.sent, until)

    def start_worker(self) -> None:
        self.started += 1
        self.worker = start_worker(self.settings, self.folder / f"worker{self.started}.log")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with clickhouse_client(self.settings.clickhouse) as client:
            return [tuple(row) for row in client.query(sql, settings={"final": 1}).result_rows]

    def whole(self) -> None:
        """Returns when all of the stream has landed and is counted."""
        self.send(len(self.stream.records))
        wait_for("the worker lands all", lambda: not lag(self.settings.kafka))
        wait_for("all is counted", lambda: not differences(self.settings))


def start_worker(settings: Settings, log: Path) -> Worker:
    return Worker(settings, log, port=settings.worker.health_port, command=truth_labels.COMMAND)


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, hook, stream = tmp_path_factory.mktemp("story"), Webhook(), ToldStream()
    (folder / "labels.json").write_bytes(orjson.dumps(stream.tones))
    above = stream.burst["texts"] // 2
    rule = {"name": RULE, "type": "threshold", "measure": "count", "above": above, "window": "1h", "resolve": "1h"}
    with fresh(stack, folder) as settings, pytest.MonkeyPatch.context() as patch:
        patch.setenv(LABELS, str(folder / "labels.json"))
        rules = Rules(folder / "alerts.yaml", hook, [rule | {"brands": [stream.brand, *stream.quiet]}])
        settings = controlled(settings, rules.path).model_copy(
            update={
                "console": ConsoleSettings(port=free_port(), clickhouse_password=password_of(stack.data_dir, "console")),
                "customers": CustomersSettings(port=free_port()),
                "worker": settings.worker.model_copy(update={"health_port": free_port()}),
            }
        )
        world = World(settings, stream, hook, folder, start_worker(settings, folder / "worker.log"))
        control = start_control(settings, folder / "control.log", EAGER)
        try:
            world.worker.wait_ready()
            control.wait_ready()
            yield world
        finally:
            control.close()
            world.worker.close()
            hook.stop()


# --- the story --------------------------------------------------------------------------------------------------------
SEEN = """() => {
  const list = document.getElementById("firing");
  new MutationObserver(() => { window.seen = window.seen || Date.now(); }).observe(list, { childList: true });
}"""


def alert_recorded_at(settings: Settings) -> int:
    """When the first change of an alert came into its topic, in ms."""
    consumer = Consumer({**settings.kafka.client(), "group.id": "story", "auto.offset.reset": "earliest"})
    topic = settings.kafka.topic("alerts")
    consumer.assign([TopicPartition(topic, n, 0) for n in range(settings.kafka.partitions)])
    try:
        while True:
            message = consumer.poll(60)
            assert message is not None and not message.error()
            alert = parse_alert(message.value())
            if alert is not None and alert.state == "firing":
                return int(message.timestamp()[1])
    finally:
        consumer.close()


def test_an_alert_comes_and_is_acknowledged_while_the_worker_dies_and_a_dead_letter_is_repaired(world: World) -> None:
    stream, settings = world.stream, world.settings
    platform, _, refused = stream.one.partition(":")
    with chromium() as browser, served(settings) as site:
        world.rows(f"ALTER TABLE interactions ADD CONSTRAINT not_yet CHECK id != '{refused}'")
        page, said = logged_in(browser, site, settings)
        page.set_default_timeout(LONG_MS)
        page.wait_for_selector("#live .good")
        page.evaluate(SEEN)
        world.send(stream.cut)
        page.wait_for_selector("#firing .alert")
        (key,) = [each.get_attribute("id").removeprefix("alert-") for each in page.query_selector_all("#firing .alert")]
        assert stream.brand in page.inner_text("#firing")
        print(f"on the page {page.evaluate('window.seen') - alert_recorded_at(settings)} ms after its record")
        letters = "SELECT count() FROM dead_letters WHERE step = 'clickhouse'"
        wait_for("one event is refused", lambda: world.rows(letters) == [(1,)])

        read = world.worker.rows_read
        world.send(len(stream.records))
        world.worker.wait_read(read + 1)
        world.worker.kill()
        page.click(f"#ack-{key}")
        page.fill("#act input[name=comment]", "on it")
        page.keyboard.press("Enter")
        page.wait_for_selector("#act [role=status]")
        page.wait_for_selector(f"#acknowledged #alert-{key}")

        page.goto("/operations")
        page.click("#dead-letters tr:has-text('clickhouse') >> text=Look")
        assert refused in page.inner_text("pre.raw") and "not_yet" in page.inner_text("main")
        world.rows("ALTER TABLE interactions DROP CONSTRAINT not_yet")
        page.click("text=Send this one again")
        page.fill("input[name=comment]", "the constraint is gone")
        page.click("main button:has-text('Send 1 again')")
        page.wait_for_selector("main :text('Sent again.')")
        page.reload()  # sends nothing twice
        assert "1 record went to" in page.inner_text("main") and said == []
    world.start_worker()
    world.whole()

    key_of_it = xxhash.xxh3_64_intdigest(f"{platform}:{refused}".encode())
    assert world.rows(f"SELECT count() FROM interactions WHERE event_key = {key_of_it}") == [(1,)]
    gone, (end,) = len({line["event"] for line in stream.truth["delete"]}), stream.truth["end"]
    assert world.rows("SELECT count() FROM interactions") == [(end["events"] - gone,)]
    acts = world.rows("SELECT act, actor, comment, outcome FROM acts WHERE act NOT LIKE 'log%' ORDER BY at")
    assert [act for act in acts if act[0] != "look at dead letters"] == [
        ("acknowledge", "ines", "on it", "done"), ("replay dead letters", "ines", "the constraint is gone", "done")
    ]  # fmt: skip
    assert ("look at dead letters", "ines", "", "done") in acts
    newest = "SELECT state, actor, comment FROM alerts ORDER BY term DESC, version DESC LIMIT 1 BY alert_key"
    assert world.rows(newest) == [("acknowledged", "ines", "on it")]
    assert len(world.hook.of(RULE, stream.brand)) == 1


# --- the numbers ------------------------------------------------------------------------------------------------------
@pytest.fixture
def ines(world: World) -> Browser:
    """Logged in to a console of its own; all of the stream is there."""
    world.whole()
    fires = "SELECT count() FROM alerts WHERE state IN ('firing', 'acknowledged')"
    wait_for("it fires", lambda: world.rows(fires) != [(0,)])
    browser = Browser(app_of(world.settings))
    browser.log_in(world.settings)
    return browser


def lead(page: str, label: str) -> str:
    """A figure of the page."""
    found = re.search(rf'<span class="quiet">{label}</span>\s*<span class="lead">([^<]+)</span>', page)
    assert found, label
    return html.unescape(found[1])


def cells(page: str, address: str) -> list[str]:
    """The texts of the row that leads to this address."""
    found = re.search(rf'<tr>(?:(?!</tr>).)*href="{re.escape(html.escape(address))}"(.*?)</tr>', page, re.DOTALL)
    assert found, address
    return [html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r'<td class="number">(.*?)</td>', found[1])]


def number(value: float, digits: int, unit: str = "") -> str:
    return f"{value:,.{digits}f}".replace("-", "\u2212") + unit


def score(tones: list[str]) -> float:
    """The mean, from -1 to 1."""
    return sum(SCORES[tone][2] - SCORES[tone][0] for tone in tones) / len(tones)


def test_now_says_what_the_truth_says(world: World, ines: Browser) -> None:
    now, stream = datetime.now(UTC), world.stream
    ines.client.app.state.desk.clock = now.timestamp  # type: ignore[attr-defined]  # the app is one of Starlette
    page = ines.get("/").text
    alerts, over, _, tones, _ = asked_again(world.settings, page)
    assert len(re.findall(r'id="alert-[0-9a-f]{16}"', page)) == len(alerts) == 1 and over == []
    assert stream.brand in html.unescape(page)

    hour = now - timedelta(hours=1)
    quarter = datetime.fromtimestamp(-(-hour.timestamp() // 900) * 900, UTC)
    for brand in {brand for brand, *_ in stream.mentions}:
        mine = [tone for _, tone in stream.of(brand, quarter)]
        labelled = [tone for tone in mine if tone]
        share = 100 * labelled.count("negative") / len(labelled)
        percent, tone, mentions = cells(page, f"/brands/{quote(brand)}")
        assert (percent, mentions) == (number(share, 0, "\u202f%"), number(len(mine), 0)), brand
        assert abs(float(tone.replace("\u2212", "-")) - score(labelled)) < 0.0051, brand  # a half is rounded either way
    asked = Counter[str]()
    for begins, of, _, _, many, *_ in tones:
        assert isinstance(begins, datetime)
        asked[str(of)] += int(str(many)) * (begins.replace(tzinfo=UTC) >= quarter)
    assert asked == Counter(brand for brand, at, *_ in stream.mentions if at >= quarter)

    with clickhouse_client(world.settings.clickhouse) as client:
        told = walked(client, {name: value for name, value in READ.items() if name != "readonly"})
    for brand in (stream.brand, *stream.quiet[:2]):
        page = ines.get(f"/?{urlencode({'brand': brand})}").text
        waiting = asked_again(world.settings, page)[2]
        left_out = re.search(r"([\d,]+) conversations? not shown", page)
        shown = page.count('data-of="waits"') + (int(left_out[1].replace(",", "")) if left_out else 0)
        conversations = {row[12] for row in waiting}
        assert shown == len(waiting) == sum(row["waiting"] > 0 for (name, _), row in told.items() if name == brand), brand
        assert stream.unanswered[brand] <= conversations
    assert any(stream.unanswered.values())


def test_a_brand_and_its_posts_say_what_the_truth_says(world: World, ines: Browser) -> None:
    stream, brand = world.stream, world.stream.brand
    page = ines.get(f"/brands/{quote(brand)}?span=24h").text
    mine = stream.of(brand)
    labelled = [tone for _, tone in mine if tone]
    assert lead(page, "Mentions") == number(len(mine), 0)
    assert lead(page, "Negative") == number(100 * labelled.count("negative") / len(labelled), 1, "\u202f%")
    assert abs(float(lead(page, "Tone, −1 to 1").replace("\u2212", "-")) - score(labelled)) < 0.0051
    for platform, many in Counter(event["platform"] for event, _ in mine).items():
        assert re.search(rf'{platform}</bdi></a></th>\s*<td class="number">{many:,}</td>', page), platform
    alerts = [line for line in page.splitlines() if 'href="/alerts/' in line]
    assert len(alerts) == 1 and RULE in alerts[0]
    whole = Counter[int]()
    for kind, *_, mentions in (row[:6] for row in asked_again(world.settings, page)[0]):
        whole[int(str(kind))] += int(str(mentions))
    assert whole == {0: len(mine), 1: len(mine)}, "by period; over the whole time, by platform and language"

    public = [event for event, _ in mine if event.get("visibility") != "private"]
    day = datetime.now(UTC) - timedelta(days=1)
    asked = {"brand": brand, "from": f"{day:%Y-%m-%dT%H:%M}", "to": f"{day + timedelta(days=2):%Y-%m-%dT%H:%M}"}
    path, posts = f"/posts?{urlencode(asked)}", 0
    while path:
        listed = ines.get(path).text
        (rows,) = asked_again(world.settings, listed)
        assert listed.count('<li class="card">') == min(len(rows), 50)
        posts += listed.count('<li class="card">')
        older = re.search(r'<a class="button plain" href="([^"]+)">Older', listed)
        path = f"/posts{html.unescape(older[1])}" if older else ""
    assert posts == len(public) > 100


def test_operations_says_what_the_truth_says(world: World, ines: Browser) -> None:
    page = ines.get("/operations").text
    (answer,) = asked_again(world.settings, page, "console")
    row = r'>decode</bdi></td><td><bdi class="said">(.*?)</bdi>(?:(?!</td>).)*</td><td class="number">([\d,]+)</td>'
    shown = dict(re.findall(row, page, re.DOTALL))
    decoded = Counter[str]()
    for step, reason, many, _ in answer:
        if step == "decode":
            decoded[re.sub(r" \(byte \d+\)", "", str(reason))] += int(str(many))
    assert {html.unescape(reason): int(many) for reason, many in shown.items()} == decoded
    told = Counter(line["reason"] for line in world.stream.truth["broken"])
    by_part = Counter[str]()
    for reason, many in decoded.items():
        by_part[max((part for part in told if part in reason), key=reason.index)] += many
    assert by_part == told
    assert "<dt>lag</dt><dd>0 records</dd>" in page and page.count('<span class="badge good">ready</span>') == 2
