"""A file of exchange rates: what is read, and which lines are refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.maintenance.rates import read_rates


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "rates.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_rates_in_any_order_of_columns(tmp_path: Path) -> None:
    dollar = "usd,1.25,2026-11-01,"
    text = f"\ufeffcurrency, Rate ,date,note\r\n{dollar}Sunday\r\n\r\nEUR,1,2026-11-01,\r\n{dollar}again\r\n"
    assert read_rates(written(tmp_path, text)).rows() == [("USD", date(2026, 11, 1), 1.25), ("EUR", date(2026, 11, 1), 1.0)]


def test_each_bad_line_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    lines = (
        "2026-11-01,USD,1.25",
        "2026-11-01,USD,1.3",
        "01.11.2026,USD,1.25",
        "2026-11-02,Dollar,1.25",
        '2026-11-02,USD,"1,25"',
        "2026-11-03,USD,0",
        "2026-11-04,USD,inf",
        "2026-11-05,EUR,1.1",
        "2026-11-06,USD",
        "1990-11-06,USD,1",
    )
    path = written(tmp_path, "\n".join(["date,currency,rate", *lines]))
    with pytest.raises(SettingsError) as raised:
        read_rates(path)
    assert str(raised.value) == (
        f"{path}: nothing is loaded: line 3: line 2 has another rate of that day; "
        "line 4: date '01.11.2026' should look like 2026-11-01; line 5: currency 'Dollar' has not three letters; "
        "line 6: rate '1,25' is no number above 0; line 7: rate '0' is no number above 0; "
        "line 8: rate 'inf' is no number above 0; line 9: rates are for one euro, so that of EUR is 1; "
        "line 10: it has not as many cells as the header; "
        "line 11: date 1990-11-06 is not between 1995-01-01 and 2149-06-05"
    )
    many = written(tmp_path, "date,currency,rate\n" + "x,y,z\n" * 12)
    with pytest.raises(SettingsError, match="line 11: date 'x' should look like 2026-11-01; and 2 more$"):
        read_rates(many)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: the header should name date, currency, rate, once each; see date, currency, rate"),
        ("date,currency,date,rate\n", ":1: the header should name date, currency, rate, once each; see date"),
        (
            "date;currency;rate\n",
            ":1: the header should name date, currency, rate, once each; its cells are apart by ';', not by commas",
        ),
        ("date,currency,rate\n\n", ": it has no rates"),
        (b"date,currency,rate\n2026-11-01,\xff,1\n", ": it is no CSV in UTF-8"),
        ("date,currency,rate\n\0" + '"' * 3, ": "),
    ],
)
def test_a_file_that_holds_none_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as raised:
        read_rates(path)
    assert str(raised.value).startswith(f"{path}{said}") and "\n" not in str(raised.value)
    with pytest.raises(SettingsError, match="none.csv: No such file or directory$"):
        read_rates(tmp_path / "none.csv")
