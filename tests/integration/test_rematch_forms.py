"""A rematch finds in stored rows exactly what a worker finds, in each form in which people write names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.maintenance import rematch as module
from pipeline.maintenance.rematch import rematch
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Matching
from schemas import events
from tests.processors.mentions import texts_seen, texts_unseen
from tests.processors.mentions.test_forms import ENTRIES, FOUND
from tests.processors.mentions.texts_brands import ENTRIES as MORE

START = datetime(2026, 9, 1, 10, tzinfo=UTC)
VERSION = 1_790_000_000_000 << events.TIME_SHIFT
BRANDS = [*ENTRIES, *(entry for entry in MORE if entry["name"] not in {known["name"] for known in ENTRIES})]
RULES = 'rules: [{name: calls, type: keyword, words: {any: [boycott, "won\'t work"]}}]'
PIECES = [
    *(text for cases in FOUND.values() for text in cases),
    *(text for _, text, _ in (*texts_seen.TEXTS, *texts_unseen.TEXTS)),
    " ", "\n", "_", "#", "@", ".", "&", ";", "<b>", "</b>", "\\", "`", "™", "\u200b", "\x00", "\x7f",
    "s", "é", "#Boycott", "&shy;", "[",
    "](x)", "mcdonald", "'s", "https://", "acme", "zed", "youtube",
]  # fmt: skip


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def texts(random: Random) -> list[str]:
    """Each piece by itself, and pieces right behind each other."""
    joined = ["".join(random.choice(PIECES) for _ in range(random.randint(2, 5))) for _ in range(3_000)]
    return [*PIECES, *joined]


def test_a_rematch_finds_what_a_worker_finds(
    emptied: Settings, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0)
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    random = Random(seed)
    (tmp_path / "brands.yaml").write_text(yaml.safe_dump({"brands": BRANDS}))
    (tmp_path / "alerts.yaml").write_text(RULES)
    settings = emptied.model_copy(update={"brands": tmp_path / "brands.yaml", "alerts": tmp_path / "alerts.yaml"})
    said = texts(random)
    before = random.choices([[], ["Acme"], ["YouTube", "Zed"]], k=len(said))
    rows = pl.DataFrame({"text": said, "platform": random.choices(["twitter", "youtube", "mastodon"], k=len(said))})
    rows = rows.with_columns(pl.lit(None, pl.List(pl.String)).alias(name) for name in ("mentions", "brands"))
    columns = ["event_key", "revision", "version", "id", "platform", "created_at", "ingested_at", "text", "brands"]
    client.insert(
        "interactions",
        [
            [key, key + 1, VERSION, str(key), platform, START + timedelta(seconds=key), START, text, names]
            for key, (text, platform, names) in enumerate(zip(said, rows.get_column("platform"), before, strict=True))
        ],
        columns,
    )
    rematch(settings, [brand["name"] for brand in BRANDS])
    stored = client.query(
        "SELECT event_key, text, brands, brands_linked FROM interactions FINAL ORDER BY event_key"
    ).result_rows
    brands, linked, _ = Matching(Brands.model_validate({"brands": BRANDS}).brands, ["boycott", "won't work"]).columns(rows)
    worker = zip(brands.to_list(), linked.fill_null([]).to_list(), strict=True)
    assert [text for _, text, _, _ in stored] == said, "the texts stay as they were"
    differ = [(text, found, by) for (_, text, *found), by in zip(stored, worker, strict=True) if found != list(by)]
    assert not differ, differ[:20]
