"""The search for campaigns, against the real engine: what is found, and what is no campaign."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import LONG_SQL
from pipeline.clickhouse.row_versions import COLUMNS_SQL, insert_versions
from pipeline.config.settings import Settings
from pipeline.generate import targets
from pipeline.generate.phrases import LANGUAGES
from pipeline.generate.plan import Plan
from pipeline.generate.texts import Texts
from pipeline.processors.alerts.campaign import Campaign
from pipeline.processors.alerts.campaign_search import CampaignFinder, Search
from pipeline.processors.alerts.campaign_texts import read_minute
from pipeline.processors.alerts.minutes import minute_of
from pipeline.processors.alerts.rule_types import CampaignRule
from pipeline.processors.alerts.similarity import readable

SINCE = datetime(2026, 9, 1, 10, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)
RULE = CampaignRule(name="copies", type="campaign")
LETTERS = "abcdefghijklmnopqrstuvwxyz "
COLUMNS = (
    "event_key", "revision", "version", "is_deleted", "id", "platform", "kind", "direction", "visibility", "created_at", "text",
    "brands", "author_id", "author_handle", "ingested_at",
)  # fmt: skip


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def row(number: int, words: str, **more: Any) -> list[Any]:
    values: dict[str, Any] = {
        "event_key": number, "revision": number, "version": 1, "is_deleted": 0, "id": str(number), "platform": "x",
        "kind": "post", "direction": "inbound", "visibility": "public", "text": words,
        "created_at": SINCE + timedelta(seconds=number % 600),
        "brands": ["Acme"], "author_id": f"a{number}", "author_handle": "", "ingested_at": SINCE,
    }  # fmt: skip
    return [(values | more)[column] for column in COLUMNS]


def insert(client: Client, *rows: list[Any]) -> None:
    client.insert("interactions", rows, COLUMNS)


def asked(client: Client, sql: str) -> pl.DataFrame:
    settings = {"output_format_arrow_low_cardinality_as_dictionary": 0, "max_query_size": 64 << 20}
    found = pl.from_arrow(client.query_arrow(sql, settings=settings, use_strings=True))
    assert isinstance(found, pl.DataFrame)
    return found


def search(client: Client, rule: CampaignRule = RULE, touched: Iterable[int] | None = None) -> list[Campaign]:
    """The campaigns of windows from SINCE to UNTIL, by brand, those of touched minutes (None: of each) alone."""

    minutes = range(minute_of(SINCE), minute_of(UNTIL))
    due = Search([rule], sorted(minutes if touched is None else touched), minutes[-1], minutes[0], SINCE)
    return [campaign for _, campaign in CampaignFinder().search(lambda sql: asked(client, sql), due)]


def vocabulary(random: Random) -> list[str]:
    return ["".join(random.choices("etaoinshrdlucmfwyp", k=random.randint(2, 9))) for _ in range(500)]


def salad(random: Random, words: list[str], length: int = 100) -> str:
    text = ""
    while len(text) < length:
        text += random.choice(words) + " "
    return text[:length]


def edited(random: Random, text: str, edits: int = 5) -> str:
    letters = list(text)
    for place in random.choices(range(len(text) - edits), k=edits):
        match random.randrange(3):
            case 0:
                letters[place] = random.choice(LETTERS)
            case 1:
                letters.insert(place, random.choice(LETTERS))
            case _:
                del letters[place]
    return "".join(letters)


# --- what is a campaign ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("accounts", [10, 25, 100])
def test_variants_with_five_edits_in_a_hundred_characters_are_found(client: Client, accounts: int) -> None:
    random, trials, number = Random(accounts), 100, 0
    words, rows = vocabulary(random), []
    for trial in range(trials):
        text = salad(random, words)
        for _ in range(accounts):
            number += 1
            rows.append(row(number, edited(random, text), brands=[f"brand {trial}"]))
    insert(client, *rows)
    found = search(client)
    assert len({campaign.brand for campaign in found}) == len(found) >= 99
    assert sum(campaign.accounts == accounts for campaign in found) >= 98


def test_case_links_handles_and_spaces_make_no_difference(client: Client) -> None:
    text = "The new Acme kettle burnt my kitchen down and nobody there picks up the phone"
    rows = [row(n, f"@friend{n} {text.upper() if n % 2 else text}  https://t.co/{n * 7919:010x}") for n in range(1, 11)]
    insert(client, *rows)
    (found,) = search(client)
    assert (found.brand, found.accounts, found.events) == ("Acme", 10, 10)
    assert set(found.event_keys) == set(range(1, 11))
    assert found.representative in found.event_keys and len(set(found.samples)) == 3
    assert (found.first_at, found.last_at) == (SINCE + timedelta(seconds=1), SINCE + timedelta(seconds=10))


def test_other_scripts_count_as_well(client: Client) -> None:
    text = "Чайник этой фирмы сгорел на второй день, а деньги никто возвращать не собирается"
    insert(client, *(row(n, text[: n * 3] + "!" + text[n * 3 :]) for n in range(1, 11)))
    assert [campaign.accounts for campaign in search(client)] == [10]


TEXT = "I bought an Acme kettle last week and it leaks all over the table, stay away from it"


def test_accounts_count_not_events(client: Client) -> None:
    insert(client, *(row(n, TEXT, author_id=f"a{n % 9}") for n in range(1, 41)))
    assert search(client) == []
    # The same id on another platform is somebody else; a handle counts where there is no id; nobody's texts count for nothing.
    insert(client, row(50, TEXT, author_id="", author_handle=""), row(51, TEXT, author_id="", author_handle=""))
    assert search(client) == []
    insert(client, row(52, TEXT, author_id="a1", platform="forum"), row(53, TEXT, author_id="", author_handle="a1"))
    (found,) = search(client)
    assert (found.accounts, found.events) == (11, 42)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "repost"},
        {"kind": "reaction"},
        {"direction": "outbound"},
        {"brands": []},
        {"text": "thank you Acme"},
        {"created_at": SINCE - timedelta(milliseconds=1)},
        {"created_at": UNTIL},
    ],
)
def test_what_is_no_part_of_one(client: Client, change: dict[str, Any]) -> None:
    insert(client, *(row(n, TEXT, **change) for n in range(1, 31)))
    assert search(client) == []


def test_rules_and_touched_minutes_bound_the_search(client: Client) -> None:
    insert(client, *(row(n, TEXT, brands=["Acme", "Bolt"]) for n in range(1, 11)))

    def rule(**values: Any) -> CampaignRule:
        return RULE.model_copy(update=values)

    assert [campaign.brand for campaign in search(client)] == ["Acme", "Bolt"]
    assert [campaign.brand for campaign in search(client, rule(brands=("Acme", "Bolt")))] == ["Acme", "Bolt"]
    assert [campaign.brand for campaign in search(client, rule(brands=("Bolt", "Nobody")))] == ["Bolt"]
    assert search(client, rule(brands=("Nobody",))) == []
    assert search(client, touched=[]) == search(client, touched=[minute_of(SINCE) + 1]) == []
    assert [campaign.brand for campaign in search(client, touched=[minute_of(SINCE)])] == ["Acme", "Bolt"]
    assert search(client, rule(accounts=11)) == []
    assert search(client, rule(platforms=("forum",))) == []


def test_late_rows_edits_and_deletes(client: Client) -> None:
    insert(client, *(row(n, TEXT) for n in range(1, 10)))
    assert search(client) == []
    insert(client, row(30, "Something else that is long enough to count", version=1))
    insert(client, row(30, TEXT, version=2, ingested_at=UNTIL + timedelta(hours=1)))
    assert [campaign.event_keys for campaign in search(client)] == [(*range(1, 10), 30)]
    insert(client, row(4, "", version=3, is_deleted=1))
    assert search(client) == []
    insert(client, row(40, TEXT))
    assert [campaign.accounts for campaign in search(client)] == [10]
    insert(client, row(5, "The author came to other thoughts about the thing", version=2))
    assert search(client) == []
    client.command("OPTIMIZE TABLE interactions FINAL")
    assert search(client) == []


def test_private_texts_count_and_are_never_shown(client: Client) -> None:
    insert(client, *(row(n, TEXT, visibility="private") for n in range(1, 11)))
    (found,) = search(client)
    assert (found.accounts, found.samples) == (10, ())
    insert(client, row(11, TEXT + "!!"))
    (found,) = search(client)
    assert (found.accounts, found.samples, found.representative) == (11, (11,), 11)


# --- what is none ---------------------------------------------------------------------------------------------------
def test_ten_thousand_word_salads_raise_none(client: Client) -> None:
    random = Random(1)
    words = vocabulary(random)
    insert(client, *(row(n, salad(random, words)) for n in range(10_000)))
    assert search(client) == []


def test_a_chain_of_texts_each_like_the_next_is_none(client: Client) -> None:
    random = Random(2)
    words = vocabulary(random)
    text = salad(random, words, 120)
    links = []
    for n in range(1, 31):
        text = text[15:] + salad(random, words, 15)
        links.append(row(n, text))
    insert(client, *links)
    assert search(client) == []


def test_generated_talk_is_grouped_by_its_sentences(client: Client) -> None:
    """The generator fills few sentences: of 10,000 different texts many are the same, give or take. Each campaign is one of
    these sentences, and none is told of those that are said by fewer than the rule asks for."""
    plan = Plan(1_000, targets.sample_brands())
    texts, voice = Texts(Random(3), plan.voices), plan.voices[0]
    different = list(dict.fromkeys(texts.about(voice, "en", texts.tone())[0] for _ in range(14_000)))[:10_000]
    insert(client, *(row(n, text) for n, text in enumerate(different)))
    for campaign in search(client):
        openings = [{template for template in _templates() if _fits(different[key], template)} for key in campaign.event_keys]
        assert set.intersection(*openings), [different[key] for key in campaign.event_keys[:5]]


def _templates() -> list[str]:
    words = LANGUAGES["en"]
    return [*words.negative, *words.positive, *words.neutral, *words.hostile]


def _fits(text: str, template: str) -> bool:
    parts = [part for part in template.replace("{t}", "{b}").split("{b}") if len(part.strip()) > 3]
    return all(part.strip() in text for part in parts)


def test_recorded_tweets_about_airlines_raise_none(client: Client, recorded: Path) -> None:
    """9,494 of nine days, as if all had come within ten minutes and about one brand."""
    with (recorded / "stream/airline_tweets.csv").open(encoding="utf-8") as file:
        texts = [tweet["text"] for tweet in csv.DictReader(file)]
    assert len(texts) > 9_000
    insert(client, *(row(n, text) for n, text in enumerate(texts)))
    assert search(client) == []


# --- the sketch -----------------------------------------------------------------------------------------------------
SKETCHED = "notEmpty(text_sketch) AND kind NOT IN ('repost', 'reaction', 'like', 'follow', 'vote')"
"""What a row that a search compares has."""


@pytest.mark.parametrize("names", [None, {"Bolt"}])
def test_no_row_that_has_to_be_compared_is_left_out_for_a_cheap_reason(client: Client, names: set[str] | None) -> None:
    """A search computes the sketches of few rows: of those alone that it would compare if it computed all of them."""
    random, letters = Random(9), "aaab İßЖ漢é👩\0\n@"
    words = [*vocabulary(random)[:30], "https://t.co/a", "@friend", "İİİİ", "漢字仮名交じり文"]

    def some(number: int) -> list[Any]:
        end = "".join(random.choices(letters, k=random.randrange(30)))
        values = {
            "brands": random.sample(["Acme", "Bolt"], k=random.randrange(3)), "kind": random.choice(["post", "repost"]),
            "direction": random.choice(["inbound", "outbound", ""]), "author_id": random.choice(["", "a", "b"]),
            "author_handle": random.choice(["", "a"]), "created_at": SINCE,
        }  # fmt: skip
        return row(number, " ".join(random.choices(words, k=random.randrange(6))) + end, **values)

    insert(client, *(some(number) for number in range(4_000)))
    texts = f"SELECT event_key, substringUTF8(text, 1, 400) AS text, brands FROM interactions WHERE {SKETCHED} "
    sketched = readable(asked(client, f"{texts} AND (author_id != '' OR author_handle != '')"))
    pairs = {tuple(each) for each in sketched.explode("brands").select("event_key", "brands").rows()}
    minute = read_minute(lambda sql: asked(client, sql), minute_of(SINCE), names)
    found = {(key, brand) for brand, place in minute.brands.items() for key in minute.keys[place].tolist()}
    assert found == {pair for pair in pairs if names is None or pair[1] in names} and len(found) > 100


def test_new_versions_get_a_sketch_of_their_own(client: Client) -> None:
    """A rematch gives brands to what had none, and its text is looked at from then on."""
    insert(client, *(row(n, TEXT, brands=[]) for n in range(1, 11)))
    columns = [name for (name,) in client.query(COLUMNS_SQL).result_rows]
    assert "text_sketch" not in columns and "text" in columns
    rows = pl.DataFrame(
        {"event_key": range(1, 11), "revision": range(1, 11)}, schema={"event_key": pl.UInt64, "revision": pl.UInt64}
    )
    client.command(insert_versions(columns, rows, {"brands": "['Acme']"}, 2, "1"), settings=LONG_SQL)
    assert [campaign.accounts for campaign in search(client)] == [10]


def test_the_sketch_of_a_text_is_bounded_and_has_no_zeros(client: Client) -> None:
    texts = ["", "ab", "abcdef", "x" * 5_000, "ж" * 450, "кто-то сказал " * 60, "\0\0 \0 binary \0", "漢字" * 300]
    insert(client, *(row(n, text) for n, text in enumerate(texts)))
    sketches = [s for (s,) in client.query("SELECT text_sketch FROM interactions ORDER BY event_key").result_rows]
    assert all(len(sketch) <= 8 and 0 not in sketch for sketch in sketches)
    assert [len(sketch) for sketch in sketches[:2]] == [0, 0] and len(sketches[5]) == 8


def test_the_sketch_of_a_long_text_is_that_of_all_of_it_in_lower_case(client: Client) -> None:
    random, letters = Random(7), "aB ΣσİßẞЖ漢\u212aȺé👩\0\n"
    texts = ["\u212a" * 900, "\u212a" * 399 + "Σ" * 30, "Ⱥ" * 900, "Σ " * 700, "É" * 1_000_000, "👩" * 300 + "x" * 300]
    texts += ["".join(random.choices(letters, k=random.randrange(1_500))) for _ in range(300)]
    insert(client, *(row(n, text) for n, text in enumerate(texts)))
    pieces = "ngrams(substring(lowerUTF8(text), 1, 400), 5)"
    whole = f"arraySlice(arraySort(arrayFilter(x -> x < 2147483648, arrayMap(x -> xxHash32(x), {pieces}))), 1, 8)"
    assert client.query(
        f"SELECT countIf(text_sketch = {whole}), countIf(notEmpty(text_sketch)) > 290 FROM interactions"
    ).result_rows == [(len(texts), 1)]
