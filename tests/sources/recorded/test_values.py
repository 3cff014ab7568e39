"""Values as people and tools write them: missing ones, numbers, lists, texts in pieces or markup, times with a zone's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsError
from pipeline.sources.recorded import patterns
from pipeline.sources.recorded.convert import as_list
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import load_mapping
from pipeline.sources.recorded.markup import joined, without_html, without_markdown
from pipeline.sources.recorded.numbers import number, scaled
from pipeline.sources.recorded.reasons import shape
from pipeline.sources.recorded.times import parser

BASE: dict[str, Any] = {"id": {"from": "id"}, "platform": "test", "kind": "post", "created_at": "2026-01-01T00:00:00Z"}


def items_of(folder: Path, rows: list[dict[str, Any]], fields: dict[str, Any], **rest: Any) -> list[Mapped | Unmapped]:
    """The rows, each with an id of its own, through a mapping of `fields`."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": str(n)} | row) + "\n" for n, row in enumerate(rows, 1)), "utf-8")
    document = {"defaults": BASE, "events": rest.pop("events", [{"fields": fields}]), **rest}
    mapping = folder / "rows.mapping.yaml"
    mapping.write_text(yaml.safe_dump(document), "utf-8")
    return list(read_events(path, load_mapping(mapping)))


def read(folder: Path, field: str, value: object, **keys: Any) -> tuple[Any, str]:
    """The field in the event, and the reason why it was left out; `keys` of its entry in the mapping."""
    (item,) = items_of(folder, [{"x": value}], {field: {"from": "x", **keys}})
    assert isinstance(item, Mapped), item
    assert isinstance(item.event, dict)
    node: Any = item.event
    for part in field.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node, "".join(each.reason for each in item.left_out)


def test_accounts_are_named_by_platform_and_id_or_handle(tmp_path: Path) -> None:
    known = ["facebook:15", "twitter:@ann"]
    assert read(tmp_path, "author.accounts", known) == (known, "")
    assert read(tmp_path, "author.accounts", "facebook:15; twitter:@ann", split=";") == (known, "")
    left_out = "'Aaaaaaaa 99' is no account, as facebook:1024 or twitter:@name (from x)"
    assert read(tmp_path, "author.accounts", "Facebook 15") == (None, left_out)


# --- missing --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "word", ["NA", "n/a", "NULL", "null", "NaN", "nan", "None", "none", "-", "--", "—", "#N/A", r"\N", " NA "]
)
@pytest.mark.parametrize("field", ["rating", "in_reply_to", "language", "metrics.likes", "hashtags", "author.handle"])
def test_words_for_missing_are_missing_in_fields_that_are_no_text(tmp_path: Path, field: str, word: str) -> None:
    assert read(tmp_path, field, word) == (None, "")


@pytest.mark.parametrize("word", ["NA", "none", "null", "-", "N/A"])
def test_a_text_or_a_name_may_be_such_a_word(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, "text", word) == (word, "")
    assert read(tmp_path, "author.name", word) == (word, "")
    assert read(tmp_path, "text", word, missing=[word.lower()]) == (None, "")


def test_the_words_are_a_key_of_the_file_and_of_a_value(tmp_path: Path) -> None:
    rows = [{"x": "k. A.", "y": "NA"}, {"x": "-1", "y": "NULL"}]
    fields = {"location": {"from": "x"}, "in_reply_to": {"from": "y"}, "target": {"from": "y", "missing": ["null"]}}
    first, second = items_of(tmp_path, rows, fields, missing=["k. a.", -1])
    assert isinstance(first, Mapped) and isinstance(first.event, dict)
    assert isinstance(second, Mapped) and isinstance(second.event, dict)
    assert ("location" in first.event, first.event["in_reply_to"], first.event["target"]) == (False, "NA", "NA")
    assert ("location" in second.event, second.event["in_reply_to"], "target" in second.event) == (False, "NULL", False)
    assert read(tmp_path, "in_reply_to", "NA", missing=[]) == ("NA", "")
    assert read(tmp_path, "in_reply_to", "NULL", missing=[None]) == (None, "")


def test_a_missing_value_makes_no_event_and_no_name(tmp_path: Path) -> None:
    """A word for missing is no reply, the next of `first` counts, and a template or a required field is empty."""
    events = [
        {"fields": {"text": {"from": "text"}, "author.id": {"first": [{"from": "a"}, {"from": "b"}]}}},
        {"when": {"from": "reply"}, "fields": {"id": {"template": "{id}/{reply}"}}},
        {"when": {"from": "text"}, "fields": {"id": {"template": "{id}/text"}}},
        {
            "when": {"from": "reply", "in": ["NA"]},
            "fields": {"id": {"template": "{id}/none"}, "target": {"template": "r{reply}"}},
        },
    ]
    found = items_of(tmp_path, [{"text": "none", "reply": "NA", "a": "NULL", "b": "ann"}], {}, events=events)
    made = [item.event for item in found if isinstance(item, Mapped) and isinstance(item.event, dict)]
    assert [event["id"] for event in made] == ["1", "1/text", "1/none"]
    assert made[0]["author"] == {"id": "ann"}
    assert "target" not in made[2]
    (refused,) = items_of(tmp_path, [{"id": "NA"}], {})
    assert refused == Unmapped(1, "id is empty (from id)")


def test_a_map_that_names_the_word_wins(tmp_path: Path) -> None:
    assert read(tmp_path, "location", "NA", map={"NA": "Namibia"}) == ("Namibia", "")


# --- numbers --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234), ("1.234.567", 1234567), ("1 234", 1234), ("1 234 567", 1234567), ("1\u202f234", 1234), ("1’234", 1234),
        ("1'234'567", 1234567), ("12_000", 12000), ("1,23,456", 123456), ("1.2K", 1200), ("1,2k", 1200), ("3.4M", 3400000),
        ("12 Mio.", 12000000), ("2 тыс.", 2000), ("1.2万", 12000), ("３４", 34), ("5 lakh", 500000), ("848.0", 848),
        ("1.2e+06", 1200000), ("+5", 5), ("\u200e12", 12),
    ],
)  # fmt: skip
def test_counts_as_people_write_them(tmp_path: Path, text: str, value: int) -> None:
    assert read(tmp_path, "metrics.likes", text) == (value, "")


@pytest.mark.parametrize(
    "text", ["12a", "1,2,3", "1.2.3", "10 20", "1,234,5", "K", ",", "1-2", "٣x", "9" * 500, "1e999", "Infinity"]
)
def test_no_counts(tmp_path: Path, text: str) -> None:
    value, reason = read(tmp_path, "metrics.likes", text)
    assert value is None
    assert "is no whole number" in reason
    assert text not in reason or text in (",",)


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("4,5", None, 4.5), ("4.5", None, 4.5), ("1,234.50", None, 1234.5), ("1.234,50", None, 1234.5), ("1.234", None, 1.234),
        ("1.234", ",", 1234.0), ("1,234", ",", 1.234), ("1.234,5", ",", 1234.5), ("€ 12,00", None, 12.0),
        ("$1,000", None, 1000.0),         ("-3", None, -3.0), ("−3", None, -3.0),
    ],
)  # fmt: skip
def test_decimals(tmp_path: Path, text: str, decimal: str | None, value: float) -> None:
    assert read(tmp_path, "order.amount", text, **({"decimal": decimal} if decimal else {})) == (value, "")


def test_a_point_that_may_mean_thousands_is_not_guessed(tmp_path: Path) -> None:
    value, reason = read(tmp_path, "metrics.likes", "1.234")
    assert value is None
    assert 'decimal: ","' in reason
    assert read(tmp_path, "metrics.likes", "1.234", decimal=",") == (1234, "")


def test_a_number_in_a_field_of_text_is_its_digits(tmp_path: Path) -> None:
    """Whatever field a conversion to numbers stands at."""
    assert read(tmp_path, "location", "1.234", decimal=",") == ("1234", "")
    assert read(tmp_path, "original", "4/5", scale=10) == ("8", "")
    assert read(tmp_path, "brands", "1,5", decimal=",") == (["1.5"], "")


@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_change_no_number(value: int) -> None:
    for mark in (",", " ", "'", "_"):
        assert number(f"{value:,}".replace(",", mark)) == value
    assert number(f"{value:,}".replace(",", "."), ",") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5/5", 5.0), ("4 / 5", 4.0), ("8/10", 4.0), ("4 of 5", 4.0), ("4.5 out of 5", 4.5), ("4,5/5", 4.5), ("80%", 4.0),
        ("80 %", 4.0),
        ("★★★★☆", 4.0), ("⭐️⭐️⭐️", 3.0), ("★★★½", 3.5), ("4 stars", 4.0), ("3", 3.0), (4.5, 4.5), ("0/5", 0.0),
    ],
)  # fmt: skip
def test_scores_on_a_scale(tmp_path: Path, text: object, value: float) -> None:
    assert read(tmp_path, "rating", text, scale=5) == (value, "")


@pytest.mark.parametrize("text", ["6/5", "5/0", "five", "1/2/3", "%"])
def test_no_scores(text: str) -> None:
    with pytest.raises(ValueError):
        scaled(text, 5)


def test_a_share_without_a_scale_is_left_out_with_the_way_out(tmp_path: Path) -> None:
    value, reason = read(tmp_path, "rating", "5/5")
    assert value is None
    assert "scale: 5" in reason


# --- lists ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("['x', 'y']", ["x", "y"]), ('["x", "y"]', ["x", "y"]), ("['x' 'y']", ["x", "y"]), ("('x', 'y')", ["x", "y"]),
        ("{'x', 'y'}", ["x", "y"]), ("{x,y}", ["x", "y"]), ("[x, y]", ["x", "y"]), ("['it\\'s', \"a, b\"]", ["it's", "a, b"]),
        ("['x', None]", ["x"]), ("['#x', '#y']", ["x", "y"]), ("[]", None), ("['x',]", ["x"]), ("['ü', 'é']", ["ü", "é"]),
        (["#x", None, " "], ["x"]), ("#x", ["x"]), ("x [y]", ["x [y]"]), ("[x", ["[x"]), ("['x', ['y']]", ["['x', ['y']]"]),
    ],
)  # fmt: skip
def test_a_cell_that_holds_a_list(tmp_path: Path, cell: object, items: list[str] | None) -> None:
    assert read(tmp_path, "hashtags", cell) == (items, "")


@pytest.mark.parametrize(
    ("separator", "cell", "items"),
    [
        (";", "a;b;c", ["a", "b", "c"]), (",", "@acme, @other", ["acme", "other"]), ("|", "a | b||c|", ["a", "b", "c"]),
        (" ", "@a  @b\t@c", ["a", "b", "c"]), ("; ", "a; b", ["a", "b"]), (";", '["a;b"]', ["a;b"]), (";", ["x;y"], ["x;y"]),
        (",", "solo", ["solo"]), (";", ";;", None), ("\n", "a\nb", ["a", "b"]),
    ],
)  # fmt: skip
def test_split(tmp_path: Path, separator: str, cell: object, items: list[str] | None) -> None:
    assert read(tmp_path, "mentions", cell, split=separator) == (items, "")


def test_a_separator_is_not_guessed(tmp_path: Path) -> None:
    assert read(tmp_path, "brands", "Marks & Spencer; Acme") == (["Marks & Spencer; Acme"], "")


def test_the_names_in_a_list_of_objects(tmp_path: Path) -> None:
    (item,) = items_of(
        tmp_path, [{"tags": [{"t": {"n": "a"}}, {"t": {}}, {"t": {"n": "#b"}}]}], {"hashtags": {"from": "tags.*.t.n"}}
    )
    assert isinstance(item, Mapped) and isinstance(item.event, dict)
    assert item.event["hashtags"] == ["a", "b"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=1).filter(lambda t: t.strip() == t)))
def test_what_python_prints_comes_back(items: list[str]) -> None:
    assert as_list(repr(items)) == items
    assert as_list(json.dumps(items)) == items


def test_split_is_for_lists(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="location: split makes a list"):
        items_of(tmp_path, [{}], {"location": {"from": "x", "split": ";"}})


# --- texts ----------------------------------------------------------------------------------------------------------
PIECES = ["Never again ", {"type": "bold", "text": "Acme"}, ", see ", {"type": "link", "text": "https://example.org/a"}, ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (PIECES, "Never again Acme, see https://example.org/a"),
        ({"runs": [{"text": "Acme "}, {"text": "late", "bold": True}]}, "Acme late"),
        ({"simpleText": "Acme"}, "Acme"),
        ({"ops": [{"insert": "Acme "}, {"insert": "late\n", "attributes": {"bold": True}}]}, "Acme late"),
        (
            {
                "type": "doc",
                "content": [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in ("Acme", "is late")],
            },
            "Acme\nis late",
        ),
        (
            [{"type": "rich_text_section", "elements": [{"type": "text", "text": "hi "}, {"type": "text", "text": "Acme"}]}],
            "hi Acme",
        ),
        (["first line", "second line"], "first line\nsecond line"),
        ([{"type": "mention", "text": "@acme"}, " hi"], "@acme hi"),
        ([], None),
    ],
)
def test_a_text_in_pieces_is_joined(tmp_path: Path, value: object, text: str | None) -> None:
    assert read(tmp_path, "text", value) == (text, "")


def test_an_object_without_text_is_no_text(tmp_path: Path) -> None:
    value, reason = read(tmp_path, "text", {"a": 1})
    assert value is None
    assert reason.startswith("an object: name the value inside it")
    deep: object = "x"
    for _ in range(200):
        deep = [deep]
    assert joined(deep) is None


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Acme &amp; Co<br>is late</p><p>again</p>", "Acme & Co\nis late\nagain"),
        ('<a href="https://acme.example">this <b>sh</b>op</a>', "this shop"),
        ('<span class="invisible">https://</span><span>x.y</span>', "https://x.y"),
        ("<style>p {}</style><script>acme()</script>bad", "bad"),
        ("no markup,  two spaces", "no markup,  two spaces"),
        ("I <3 you & me", "I <3 you & me"),
        ("3 &lt; 4", "3 < 4"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("<div>unclosed <b>Acme", "unclosed Acme"),
        ("<!-- hidden -->shown", "shown"),
        ("<img alt='x' src='y'>", ""),
    ],
)
def test_html_to_text(markup: str, text: str) -> None:
    assert without_html(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("**Acme** is _late_, see [the post](https://example.org)", "Acme is late, see the post"),
        ("# Title\n\n> quoted\n\n- one\n- two", "Title\nquoted\none\ntwo"),
        ("snake_case \\*stars\\* &amp; ~~gone~~", "snake_case *stars* & gone"),
        ("![a kettle](k.png) `code`\n\n```\nblock\n```", "a kettle code\nblock"),
        ("| a | b |\n|--|--|\n| 1 | 2 |", "a b\n1 2"),
        ("<b>Acme</b> https://example.org/a_b_c", "Acme https://example.org/a_b_c"),
        ("plain", "plain"),
    ],
)
def test_markdown_to_text(markup: str, text: str) -> None:
    assert without_markdown(markup) == text


def test_strip_comes_after_find_and_unescape(tmp_path: Path) -> None:
    assert read(tmp_path, "text", "&lt;p&gt;Acme&lt;/p&gt;", unescape=True, strip="html") == ("Acme", "")
    assert read(tmp_path, "text", "<p></p>", strip="html") == (None, "")
    assert read(tmp_path, "text", ["*a* ", {"text": "_b_"}], strip="markdown") == ("a b", "")


# --- times ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("time", "zone", "text", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S %Z", "America/New_York", "2026-11-20 21:13:43 UTC", "2026-11-20T21:13:43Z"),
        ("%H:%M:%S %Z %d %b %Y", "America/New_York", "21:13:43 UTC 20 Nov 2026", "2026-11-20T21:13:43Z"),
        ("%a %b %d %H:%M:%S %Z %Y", None, "Tue Oct 31 23:36:20 EDT 2017", "2017-11-01T03:36:20Z"),
        ("%Y-%m-%d %H:%M %Z", "Asia/Kolkata", "2024-01-01 05:30 IST", "2024-01-01T00:00:00Z"),
        ("%Y-%m-%d %H:%M %Z", "America/Chicago", "2024-01-01 05:30 CST", "2024-01-01T11:30:00Z"),
        ("%Y-%m-%d %H:%M %Z", None, "2024-07-01 05:30 Europe/Berlin", "2024-07-01T03:30:00Z"),
        ("%Y-%m-%d %H:%M %Z", None, "2024-07-01 05:30 GMT+02:00", "2024-07-01T03:30:00Z"),
        ("%Y-%m-%d %I:%M %p %Z", None, "2024-07-01 05:30 PM PDT", "2024-07-02T00:30:00Z"),
        ("%d.%m.%Y %H:%M %Z", None, "01.07.2024 05:30 MESZ", "2024-07-01T03:30:00Z"),
        ("iso", "America/New_York", "2026-11-20 21:13:43 UTC", "2026-11-20T21:13:43Z"),
        ("iso", "America/New_York", "2026-11-20 16:13:43", "2026-11-20T21:13:43Z"),
        ("epoch_us", None, "1783175888085434", "2026-07-04T14:38:08.085Z"),
        ("epoch_ns", None, 1783175888085434000, "2026-07-04T14:38:08.085Z"),
        ("epoch_s", None, "1795168800.5", "2026-11-20T10:00:00.500Z"),
    ],
)
def test_the_zone_in_the_text_counts(time: str, zone: str | None, text: object, expected: str) -> None:
    assert parser(time, zone)(text) == expected


@pytest.mark.parametrize(
    ("time", "text", "reason"),
    [
        ("%Y-%m-%d %H:%M %Z", "2024-01-01 05:30 IST", "IST is the name of several zones"),
        ("%Y-%m-%d %H:%M %Z", "2024-01-01 05:30 XYZ", "the zone in the text is not known"),
        ("%Y-%m-%d %H:%M %Z", "2024-01-01 05:30", "names no zone"),
        ("epoch_s", "1500000000123", "looks like time: epoch_ms"),
        ("epoch_ms", "1500000000", "year 1970: it looks like time: epoch_s"),
        ("epoch_ms", 1783175888085434, "it looks like time: epoch_us"),
        ("epoch_s", 0, "in the year 1970"),
        ("epoch_s", "-5", "in the year 1969"),
        ("epoch_s", "20261120", "in the year 1970"),
        ("epoch_s", "9" * 40, "no year that there is"),
        ("epoch_s", "1e400", "no year that there is"),
    ],
)
def test_times_that_are_refused(time: str, text: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parser(time, None)(text)


# --- no stranger's text ---------------------------------------------------------------------------------------------
@given(st.text(min_size=1))
def test_the_shape_of_a_value_holds_none_of_its_letters(text: str) -> None:
    shown = shape(text).strip("'")
    assert len(shown) <= 40
    assert set(filter(str.isalnum, shown)) <= set("aA9")


@pytest.mark.parametrize(
    "field", ["created_at", "metrics.likes", "rating", "author.verified", "kind", "language", "in_reply_to", "id"]
)
@pytest.mark.parametrize("time", [None, "%Y-%m-%d", "%d %Z", "epoch_s", "epoch_ms", "snowflake", "shortcode"])
def test_no_reason_quotes_the_file(tmp_path: Path, field: str, time: str | None) -> None:
    keys = {"time": time, **({"zone": "UTC"} if time == "%Y-%m-%d" else {})} if time else {}
    for words in ("Walter Sobchak 1.25018E+18", ["Walter Sobchak"], {"Sobchak": "Walter"}):
        (item,) = items_of(tmp_path, [{"x": words}], {field: {"from": "x", **keys}})
        reasons = [item.reason] if isinstance(item, Unmapped) else [each.reason for each in item.left_out]
        assert not any("Sobchak" in reason or "Walter" in reason for reason in reasons)


@pytest.mark.parametrize("value", ["1e400", "-1e400"])
def test_a_number_beyond_all_numbers_is_left_out(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, "rating", value)[0] is None
    assert "too large" in read(tmp_path, "rating", value)[1]


@pytest.mark.parametrize("constant", [float("inf"), float("nan")])
def test_a_constant_that_is_no_number_is_a_mistake(tmp_path: Path, constant: float) -> None:
    with pytest.raises(SettingsError, match="rating: .* can't be its value"):
        items_of(tmp_path, [{}], {"rating": constant})


# --- patterns -------------------------------------------------------------------------------------------------------
def test_a_pattern_that_never_ends_on_a_text_costs_that_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.05)
    rows = [{"x": "a" * 50 + "!"}, {"x": "aaa"}]
    first, second = items_of(tmp_path, rows, {"text": {"from": "x", "find": "^(?:a|aa)+$"}})
    assert isinstance(first, Mapped) and "takes over" in first.left_out[0].reason
    assert isinstance(second, Mapped) and isinstance(second.event, dict) and second.event["text"] == "aaa"
    events = [{"when": {"from": "x", "matches": "^(a|a)*$"}, "fields": {"text": {"from": "x"}}}]
    first, second = items_of(tmp_path, rows, {}, events=events)
    assert isinstance(first, Unmapped) and "takes over" in first.reason
    assert isinstance(second, Mapped)


def test_a_pattern_that_never_ends_on_ten_texts_stops_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.02)
    with pytest.raises(SettingsError, match="10 texts took over"):
        items_of(tmp_path, [{"x": "a" * 50 + "!"}] * 11, {"text": {"from": "x", "find": "^(?:a|aa)+$"}})
