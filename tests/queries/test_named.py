"""The values of a named query's parameters, from what people write; its picture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import EarshotError, SettingsError
from pipeline.queries.named import named, values_of
from pipeline.queries.plot import draw
from schemas.queries import NamedQuery, parse

QUERY = parse(
    "volume",
    """-- Mentions.
--
-- parameter brand = []: of these brands
-- parameter from = 30d: from then on
-- parameter to = now: until before then
-- parameter zone = UTC: whose days
-- parameter period = day: how long
-- parameter by = []: split
-- parameter least = 2: so many
-- parameter share = 0.5: so much
-- parameter text: what
-- column begins: when
-- column brand: of
-- column mentions: how many
-- plot line: begins, mentions, brand
SELECT {brand:Array(String)}, {from:DateTime64(3, 'UTC')}, {to:DateTime64(3, 'UTC')}, {zone:String},
{period:Enum('hour', 'day')}, {by:Array(Enum('platform', 'language'))}, {least:UInt8}, {share:Float64}, {text:String}""",
)
NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)


def values(**given: str | list[str]) -> dict[str, object]:
    asked = {name.removesuffix("_"): [value] if isinstance(value, str) else value for name, value in given.items()}
    return values_of(QUERY, {"text": ["x"]} | asked, NOW)


def test_values_have_defaults_and_days_begin_in_the_zone() -> None:
    assert values() == {
        "brand": [],
        "from": "2026-10-02 00:00:00.000",
        "to": "2026-11-01 12:30:00.000",
        "zone": "UTC",
        "period": "day",
        "by": [],
        "least": "2",
        "share": "0.5",
        "text": "x",
    }
    berlin = values(zone="Europe/Berlin", brand=["A'x", "Bé"], by=["language"], from_="2026-10-25", to="2026-10-26")
    assert (berlin["from"], berlin["to"]) == ("2026-10-24 22:00:00.000", "2026-10-25 23:00:00.000")  # 25 hours
    assert (berlin["brand"], berlin["by"]) == (["A'x", "Bé"], ["language"])
    india = values(zone="Asia/Kolkata", from_="1d", to="2026-11-01T10:00:00.5+01:00")
    assert (india["from"], india["to"]) == ("2026-10-30 18:30:00.000", "2026-11-01 09:00:00.500")
    assert values(from_="3h")["from"] == "2026-11-01 09:30:00.000"
    beirut = values(zone="Asia/Beirut", from_="2026-03-29", to="2026-03-30")  # without the hour after midnight
    assert (beirut["from"], beirut["to"]) == ("2026-03-28 22:00:00.000", "2026-03-29 21:00:00.000")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"zone": "Europe/Berln"}, "--zone Europe/Berln: there is no time zone 'Europe/Berln', did you mean 'Europe/Berlin'?"),
        ({"from_": "2026-11-02"}, "--from is not before --to: 2026-11-02 00:00:00.000 UTC, 2026-11-01 12:30:00.000 UTC"),
        ({"from_": "yesterday"}, "--from yesterday: it should look like 2026-11-01"),
        ({"to": "0001-01-01"}, "--to 0001-01-01: it should look like"),
        ({"period": "dya"}, "--period dya: it is one of hour, day, did you mean 'day'?"),
        ({"by": ["lang"]}, "--by lang: it is one of platform, language, did you mean 'language'?"),
        ({"least": "256"}, "--set least=256: it is a whole number from 1 to 255"),
        ({"least": "0"}, "--set least=0: it is a whole number from 1 to 255"),
        ({"least": "9" * 5000}, "it is a whole number from 1 to 255"),
        ({"least": "-1"}, "--set least=-1: it is a whole number"),
        ({"share": "half"}, "--set share=half: it is a number"),
        ({"period": ["day", "hour"]}, "--period is given 2 times"),
        ({"platfrom": "x"}, "query volume takes no --set platfrom=..., did you mean 'from'?: it takes --brand, --from"),
        ({"text": "a\udc80"}, "it is not UTF-8"),
        ({"brand": ["a\0"]}, "it is not UTF-8"),
    ],
)
def test_a_value_that_can_not_be_is_one_line(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        values(**given)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_missing_and_what_has_no_name_is_said() -> None:
    with pytest.raises(SettingsError, match="--set text=... is missing: what"):
        values_of(QUERY, {}, NOW)
    assert named("SELECT 1") is None
    with pytest.raises(EarshotError, match="no query is named 'volum'"):
        named("volum")


def test_a_picture_shows_the_largest_series_and_says_so(tmp_path: Path) -> None:
    days = [NOW + timedelta(days=n) for n in range(3)]
    rows = [(day, f"brand {n}", n) for n in range(20) for day in days]
    frame = pl.DataFrame(rows, ["begins", "brand", "mentions"], orient="row")
    draw(tmp_path / "new" / "lines.png", QUERY, frame)
    assert (tmp_path / "new" / "lines.png").read_bytes().startswith(b"\x89PNG")
    bars = parse("bars", "-- Bars.\n-- column brand: of\n-- column mentions: how many\n-- plot bar: brand, mentions\nSELECT 1")
    draw(tmp_path / "bars.svg", bars, frame)
    text = (tmp_path / "bars.svg").read_text()
    assert "<svg" in text
    draw(tmp_path / "one.pdf", bars, frame.head(1))
    assert isinstance(QUERY, NamedQuery)
