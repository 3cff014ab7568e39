"""What control judges of what takes minutes, or weeks of history: by a clock that is set, with the tables that it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import asker
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.campaign_search import CampaignFinder
from pipeline.processors.alerts.evaluator import IDLE, Evaluator
from pipeline.processors.alerts.rules import Alerts
from pipeline.queries.alerts import Filter, newest, show
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert, State, alert_rows
from schemas.signals import Candidate, Signal
from tests.support.load import WORDS

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


COLUMNS = (
    "event_key", "revision", "version", "id", "platform", "kind", "direction", "visibility", "created_at", "text", "brands",
    "ingested_at", "author_id",
)  # fmt: skip


class Bench:
    """The evaluator of control over the tables of a test; the time is what the test says it is."""

    def __init__(self, settings: Settings, *rules: dict[str, Any]) -> None:
        self._settings, self._config = settings, Alerts.model_validate({"rules": rules})
        self._client = clickhouse_client(settings.clickhouse)
        self._keys = count(1)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def start(self, now: datetime) -> None:
        """As after a kill: another one begins with what is in the tables."""
        self._fence = Fence(lambda: 0.0)  # nobody polls here
        self.evaluator = Evaluator(AlertTables(Inserter(self._client, self._fence, Vitals(), "alerts")), self._config)
        self.evaluator.start(now, 0)
        self._finder = CampaignFinder()

    def rewrite(self, alert: Alert) -> None:
        """The table holds this alert, and no other."""
        self._client.command("TRUNCATE TABLE alerts")
        rows = alert_rows([alert])
        self._client.insert("alerts", rows.rows(), column_names=rows.columns)

    def land(
        self,
        brand: str,
        at: datetime,
        mentions: int = 1,
        platform: str = "x",
        text: str = "what is said of it",
        arrived: datetime | None = None,
    ) -> None:
        """So many mentions at this time, each by somebody else; they arrive at once, or at `arrived`."""
        keys = [next(self._keys) for _ in range(mentions)]
        rows = [
            (key, key, key, str(key), platform, "post", "inbound", "public", at, at, text, [brand], arrived or at, f"a{key}")
            for key in keys
        ]
        columns = (
            "event_key revision version id platform kind direction visibility created_at occurred_at text brands ingested_at "
            "author_id"
        )
        self._client.insert("interactions", rows, columns.split())

    def history(self, brand: str, platform: str, mentions: int, days: int = 2) -> None:
        """About so many mentions in each five minutes before NOON."""
        self._client.command(
            "INSERT INTO interactions (event_key, revision, version, id, platform, kind, direction, created_at, text, brands) "
            f"SELECT cityHash64('{brand}{platform}', number), number, 1, toString(number), '{platform}', 'post', 'inbound', "
            f"toDateTime64({NOON.timestamp()}, 3, 'UTC') - INTERVAL (1 + intDiv(number, {mentions}) * 300 + "
            f"sipHash64(number) % 300) SECOND, 'what was said ever since', ['{brand}'] FROM numbers({days * 288 * mentions})"
        )

    def hear(self, at: datetime, *brands: str, now: datetime | None = None) -> list[Alert]:
        """A signal: of this minute, these brands were touched. Judged at once, or late."""
        self._fence.polled()
        minute, now = at.replace(second=0, microsecond=0), now or at
        self.evaluator.ingest([Signal(newest=at, touched={minute: brands})], now)
        return self.tick(now)

    def hear_of(self, now: datetime, rule: str, brand: str, created: datetime) -> list[Alert]:
        """A candidate, always of the same event."""
        self._fence.polled()
        candidate = Candidate(rule, brand, "x", "en", 7, created, created, 1.0, ("recall",))
        return self.evaluator.ingest([Signal(newest=now, candidates=(candidate,))], now)

    def move(self, brand: str, to: str) -> None:
        """New versions of this brand's mentions, about another one. Nobody signals it, as after a rematch."""
        self._client.command(
            "INSERT INTO interactions (event_key, revision, version, id, platform, kind, direction, created_at, text, brands) "
            "SELECT event_key, revision, version + 1000000, id, platform, kind, direction, created_at, text, "
            f"['{to}'] FROM interactions FINAL WHERE has(brands, '{brand}')"
        )

    def forget_events(self) -> None:
        self._client.command("TRUNCATE TABLE alert_events")

    def tick(self, now: datetime) -> list[Alert]:
        self._fence.polled()
        return self.evaluator.tick(now)

    def look(self, now: datetime) -> list[Alert]:
        """All searches for campaigns that are due, as control has them on a thread of its own."""
        ask = asker(self._client)

        def query(sql: str) -> pl.DataFrame:
            return ask(sql, {})

        found = list[Alert]()
        while (due := self.evaluator.campaigns_due()) is not None:
            found += self.evaluator.raise_campaigns(self._finder.search(query, due), now)
        return found


def scopes(alerts: Iterable[Alert], state: State = State.FIRING) -> set[tuple[str, str, str]]:
    return {(alert.rule, alert.scope.brand, alert.scope.platform) for alert in alerts if alert.state is state}


def seconds(after: float) -> datetime:
    return NOON + timedelta(seconds=after)


def test_a_source_that_stops_talking(emptied: Settings) -> None:
    def silent(now: float, state: State = State.FIRING) -> set[str]:
        return {platform for _, _, platform in scopes(bench.tick(seconds(now)), state)}

    with Bench(emptied, {"name": "quiet", "type": "no_data", "of": "platform", "after": "1m"}) as bench:
        bench.land("Acme", seconds(-30), platform="x")
        bench.land("Acme", seconds(-8 * 86_400), platform="forgotten")
        bench.start(NOON)
        bench.land("Acme", seconds(40), platform="reddit")
        assert silent(61) == {"x"}
        bench.land("Acme", seconds(100), platform="x")
        bench.land("Acme", seconds(100), platform="reddit")
        assert silent(122, State.RESOLVED) == {"x"}
        bench.land("Acme", seconds(170), platform="reddit")
        assert silent(183) == {"x"}, "it fell silent again"


def test_an_open_alert_of_a_rule_type_that_had_another_name_goes_on_after_an_upgrade(emptied: Settings) -> None:
    """The type no_data was named silence: an alert that was raised then is not raised again, and ends when data comes."""
    with Bench(emptied, {"name": "quiet", "type": "no_data", "of": "platform", "after": "1m"}) as bench:
        bench.land("Acme", seconds(-30), platform="x")
        bench.start(NOON)
        (raised,) = bench.tick(seconds(61))
        bench.rewrite(replace(raised, type="silence"))
        bench.start(seconds(70))
        assert [alert.type for alert in bench.evaluator.lifecycle.open] == ["silence"]
        assert not scopes(bench.tick(seconds(131)))
        bench.land("Acme", seconds(180), platform="x")
        (over,) = bench.tick(seconds(200))
        assert (over.key, over.type, over.state) == (raised.key, "silence", State.RESOLVED)
        with clickhouse_client(emptied.clickhouse) as client:
            assert newest(client, Filter(), 10) == [over]
            assert {alert.type for alert in show(client, raised.key).history} == {"silence"}


def test_more_and_less_than_is_expected_and_what_a_whole_brand_says_for_its_platforms(emptied: Settings) -> None:
    rules = (
        {"name": "volume", "type": "spike"},
        {"name": "platforms", "type": "spike", "by": ["platform"]},
        {"name": "drop", "type": "spike", "direction": "below"},
    )
    with Bench(emptied, *rules) as bench:
        for brand in ("Loud", "Calm", "Gone"):
            bench.history(brand, "x", 20)
        bench.history("Moved", "x", 20)
        bench.history("Moved", "reddit", 2)
        bench.start(NOON)
        bench.land("Loud", seconds(1), 300)
        bench.land("Calm", seconds(1), 22)
        bench.land("Moved", seconds(1), 50, platform="reddit")
        changes = bench.hear(seconds(10), "Calm", "Loud", "Moved")
        assert scopes(changes) == {("volume", "Loud", ""), ("platforms", "Loud", "x"), ("platforms", "Moved", "reddit")}
        whole, part, moved = (next(a for a in changes if (a.rule, a.scope.brand) == each) for each in (
            ("volume", "Loud"), ("platforms", "Loud"), ("platforms", "Moved")
        ))  # fmt: skip
        assert part.muted == f"inhibited by {whole.hex}"
        assert not whole.muted and not moved.muted and whole.expected and whole.expected < 100

        drops = set[str]()
        for minute in range(1, 90):
            for brand in ("Calm", "Loud"):
                bench.land(brand, seconds(60 * minute), 4)
            changes = bench.hear(seconds(60 * minute + 15), "Calm", "Loud")
            drops |= {brand for rule, brand, _ in scopes(changes) if rule == "drop"}
            if len(drops) > 1:
                break
        assert drops == {"Gone", "Moved"}


def test_a_spike_that_came_and_went_while_no_control_ran_is_found_where_it_was(emptied: Settings) -> None:
    with Bench(emptied, {"name": "volume", "type": "spike"}) as bench:
        bench.history("Acme", "x", 50)
        bench.history("Bolt", "x", 50)
        times = [NOON + timedelta(minutes=minute) for minute in range(50)]
        for minute, at in enumerate(times):
            bench.land("Acme", at, 60 if 10 <= minute < 20 else 10)
            bench.land("Bolt", at, 60 if minute >= 45 else 10)
        now = times[-1] + timedelta(minutes=2)
        bench.start(now - IDLE)
        begins = {alert.scope.brand: alert.since for alert in bench.tick(now) if alert.state == State.FIRING}
        assert times[10] <= begins["Acme"] < times[15] and begins["Bolt"] >= times[45]


def test_what_was_read_before_a_kill_counts_after_it(emptied: Settings) -> None:
    """The watermark is kept every ten seconds: what came after it and was committed is in no signal any more."""
    with Bench(emptied, {"name": "many", "type": "threshold", "measure": "count", "above": 60, "window": "3m"}) as bench:
        bench.start(NOON)
        bench.hear(seconds(55))  # kept
        for brand in ("Many", "Few"):
            bench.land(brand, seconds(61), 50)
        assert not bench.hear(seconds(62), "Few", "Many")
        bench.start(seconds(110))
        bench.land("Many", seconds(121), 11)
        bench.land("Few", seconds(121), 10)
        assert scopes(bench.hear(seconds(122), "Few", "Many")) == {("many", "Many", "")}


@pytest.mark.parametrize("behind", [0, 300], ids=["in time", "events come five minutes late"])
def test_mentions_that_a_rematch_takes_away_do_not_count_any_more(emptied: Settings, behind: int) -> None:
    """However old their minutes are: as long as a window holds them."""
    with Bench(emptied, {"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "10m"}) as bench:
        bench.start(NOON)

        def hear(at: float, *brands: str) -> list[Alert]:
            return bench.hear(seconds(at), *brands, now=seconds(at + behind))

        for brand in ("Acme", "Stays"):
            bench.land(brand, seconds(1), 15)
        assert not hear(2, "Acme", "Stays")
        for second in range(62, 400, 60):
            bench.land("Other", seconds(second))
            assert not hear(second, "Other")
        bench.move("Acme", "Bolt")
        for second in range(401, 470, 4):
            assert not hear(second, "Other")
        for brand in ("Acme", "Stays", "Bolt"):
            bench.land(brand, seconds(471), 10)
        assert scopes(hear(472, "Acme", "Stays", "Bolt")) == {("many", "Stays", ""), ("many", "Bolt", "")}


def test_of_two_candidates_of_an_event_the_one_that_matched_last_counts(emptied: Settings) -> None:
    """A change that reaches the limit, and the next one, which reaches it no more than the first, in whatever signals."""
    rule = {"name": "voice", "type": "reach", "engagement": 100, "negative": False}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        old = Candidate("voice", "Acme", "x", "en", 7, seconds(-9_000), seconds(1), 100.0)
        first = replace(old, matched_at=seconds(1))
        signals = [Signal(newest=seconds(2), candidates=(each,)) for each in (first, old)]
        assert scopes(bench.evaluator.ingest(signals, seconds(3))) == {("voice", "Acme", "")}
        assert not bench.evaluator.ingest([signals[0]], seconds(4)), "a redelivery"


def test_rules_that_came_while_another_process_led(emptied: Settings) -> None:
    rule = {"name": "many", "type": "threshold", "measure": "count", "above": 3, "brands": ["Old"]}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        bench.evaluator.stop()
        bench.evaluator.use(Alerts.model_validate({"rules": [rule | {"brands": ["New"]}]}))
        bench.evaluator.start(seconds(1), 0)
        for brand in ("Old", "New"):
            bench.land(brand, seconds(2), 4)
        assert scopes(bench.hear(seconds(3), "New", "Old")) == {("many", "New", "")}


def test_an_event_that_was_not_on_record_when_its_alert_was(emptied: Settings) -> None:
    """Killed between the two inserts: it is heard again, and is no other alert, nor counted twice, even when that is over."""
    rule = {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "10s"}

    def hear(now: float) -> list[Alert]:
        bench.forget_events()
        bench.start(seconds(now))
        return bench.hear_of(seconds(now), "crisis", "Acme", seconds(1))

    with Bench(emptied, rule) as bench:
        assert scopes(hear(2)) == {("crisis", "Acme", "")}
        assert not hear(3)
        assert [alert.observed for alert in bench.evaluator.lifecycle.open] == [1]
        assert scopes(bench.tick(seconds(40)), State.RESOLVED) == {("crisis", "Acme", "")}
        assert not hear(50)
        assert not bench.evaluator.lifecycle.open


def test_a_campaign_that_was_heard_of_before_a_kill_is_found_after_it(emptied: Settings) -> None:
    rule = {"name": "copies", "type": "campaign", "accounts": 10}
    with Bench(emptied, rule) as bench:
        bench.start(NOON)
        bench.hear(seconds(1), "Early")
        bench.land("Copied", seconds(2), 10, text="buy the kettle of your dreams at half the price today")
        for n in range(10):
            bench.land("Varied", seconds(2), text=" ".join(Random(n).sample(WORDS, 12)))
        bench.hear(seconds(3), "Copied", "Varied")
        bench.start(seconds(20))
        assert not bench.look(seconds(20))  # the watermark that was kept is from before it
        bench.tick(seconds(30))
        assert scopes(bench.look(seconds(30))) == {("copies", "Copied", "")}
        assert not bench.look(seconds(31))
