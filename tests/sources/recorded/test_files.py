"""Mapping files and the events of recorded files: every feature, line numbers, and rows that don't map."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import xxhash
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.mapping import SHIPPED, find_mapping, load_mapping
from pipeline.sources.recorded.times import parser

BASE: dict[str, Any] = {
    "id": {"from": "id"},
    "platform": "test",
    "kind": "post",
    "created_at": {"template": "150000000{at}", "time": "epoch_s"},
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def mapped(path: Path, fields: dict[str, Any], **rest: Any) -> list[Mapped | Unmapped]:
    """The file through a mapping of `fields` added to the least that an event needs."""
    events = rest.pop("events", [{"fields": fields}])
    document = {"defaults": BASE, "events": events, **rest}
    mapping = write(path.parent, "test.mapping.yaml", yaml.safe_dump(document))
    return list(read_events(path, load_mapping(mapping)))


def fields_of(item: Mapped | Unmapped) -> dict[str, Any]:
    assert isinstance(item, Mapped), item
    assert isinstance(item.event, dict)
    return item.event


def event_of(folder: Path, row: dict[str, Any], fields: dict[str, Any], **rest: Any) -> dict[str, Any]:
    path = write(folder, "rows.jsonl", json.dumps({"id": "1", "at": 0} | row) + "\n")
    (item,) = mapped(path, fields, **rest)
    return fields_of(item)


def reason_of(folder: Path, row: dict[str, Any], fields: dict[str, Any]) -> str:
    path = write(folder, "rows.jsonl", json.dumps({"id": "1", "at": 0} | row) + "\n")
    (item,) = mapped(path, fields)
    assert isinstance(item, Unmapped), item
    return item.reason


def left_out_of(folder: Path, row: dict[str, Any], fields: dict[str, Any]) -> str:
    """The one field that the event lands without, with its reason."""
    path = write(folder, "rows.jsonl", json.dumps({"id": "1", "at": 0} | row) + "\n")
    (item,) = mapped(path, fields)
    event = fields_of(item)
    assert isinstance(item, Mapped)
    ((field, reason),) = item.left_out
    assert field.split(".")[0] not in event
    return f"{field}: {reason}"


# --- where values come from -----------------------------------------------------------------------------------------
def test_columns_constants_paths_and_nested_fields(tmp_path: Path) -> None:
    row = {"user": {"name": " ann "}, "tags": [{"t": "a"}, {"t": "b"}], "a.b": "dotted", "none": "  "}
    fields = {
        "author.handle": {"from": "user.name"},
        "author.kind": "person",
        "text": {"from": "tags.-1.t"},
        "location": {"from": "a.b"},
        "language": {"from": "none"},
        "brands": ["One", "Two"],
    }
    event = event_of(tmp_path, row, fields)
    assert event == {
        "id": "1",
        "platform": "test",
        "kind": "post",
        "created_at": "2017-07-14T02:40:00Z",
        "author": {"handle": "ann", "kind": "person"},
        "text": "b",
        "location": "dotted",
        "brands": ["One", "Two"],
    }


def test_template_needs_all_its_columns(tmp_path: Path) -> None:
    fields = {"text": {"template": "{a}/{b}!"}, "location": {"template": "{a}/{c}"}}
    assert event_of(tmp_path, {"a": "x", "b": 7}, fields)["text"] == "x/7!"
    assert "location" not in event_of(tmp_path, {"a": "x", "b": 7}, fields)


def test_first_and_switch(tmp_path: Path) -> None:
    fields = {
        "text": {"first": [{"from": "a"}, {"from": "b"}]},
        "kind": {
            "switch": [
                {"when": {"from": "b", "matches": "^RT"}, "then": "repost"},
                {"when": {"from": "b", "in": ["question"]}, "then": "question"},
                {"when": {"from": "staff"}, "then": "answer"},
                {"then": "comment"},
            ]
        },
    }
    assert event_of(tmp_path, {"b": "RT @x"}, fields)["text"] == "RT @x"
    kinds = [event_of(tmp_path, row, fields)["kind"] for row in ({"b": "RT"}, {"b": "question"}, {"staff": 1}, {"b": "an RT"})]
    assert kinds == ["repost", "question", "answer", "comment"]


def test_map_find_and_unescape(tmp_path: Path) -> None:
    side = {"from": "in", "map": {"True": "inbound", "true": "inbound"}, "else": "outbound"}
    assert event_of(tmp_path, {"in": "True"}, {"direction": side})["direction"] == "inbound"
    assert event_of(tmp_path, {"in": True}, {"direction": side})["direction"] == "inbound"
    assert event_of(tmp_path, {"in": "no"}, {"direction": side})["direction"] == "outbound"
    assert "is not in the map" in left_out_of(tmp_path, {"in": "no"}, {"direction": {"from": "in", "map": {"True": "inbound"}}})
    assert "is not in the map" in reason_of(tmp_path, {"in": "no"}, {"id": {"from": "in", "map": {"True": "1"}}})
    assert event_of(tmp_path, {"x": "'12'"}, {"text": {"from": "x", "find": "[0-9]+"}})["text"] == "12"
    assert event_of(tmp_path, {"x": "id=12;"}, {"text": {"from": "x", "find": "id=(.*);"}})["text"] == "12"
    assert "holds no" in left_out_of(tmp_path, {"x": "none"}, {"text": {"from": "x", "find": "[0-9]+"}})
    assert "holds no" in reason_of(tmp_path, {"x": "a"}, {"id": {"from": "x", "find": "[0-9]+"}})
    assert event_of(tmp_path, {"x": "a &amp; b"}, {"text": {"from": "x", "unescape": True}})["text"] == "a & b"


def test_hash_is_the_same_in_every_run_and_counts_the_line_when_asked(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", "id,at,who\n1,0,ann\n1,0,ann\n1,0,bob\n")
    same = [fields_of(item)["id"] for item in mapped(path, {"id": {"hash": ["who", "at"]}}) if isinstance(item, Mapped)]
    assert same[0] == same[1] == xxhash.xxh3_64_hexdigest(b"ann\x1f0")
    assert same[2] != same[0]
    lines = [fields_of(item)["id"] for item in mapped(path, {"id": {"hash": ["who", "$line"]}}) if isinstance(item, Mapped)]
    assert len(set(lines)) == 3


def test_hash_keeps_columns_apart(tmp_path: Path) -> None:
    fields = {"id": {"hash": ["a", "b"]}}
    assert event_of(tmp_path, {"a": "xy", "b": "z"}, fields)["id"] != event_of(tmp_path, {"a": "x", "b": "yz"}, fields)["id"]


# --- types ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "given_", "expected"),
    [
        ("metrics.likes", "12", 12),
        ("metrics.likes", "848.0", 848),
        ("metrics.likes", 12.0, 12),
        ("rating", "4.5", 4.5),
        ("author.verified", "True", True),
        ("author.verified", 0, False),
        ("brands", "One", ["One"]),
        ("hashtags", ["a", 1], ["a", "1"]),
        ("text", 12, "12"),
        ("original", {"a": [1]}, '{"a":[1]}'),
    ],
)
def test_values_take_the_fields_type(tmp_path: Path, path: str, given_: Any, expected: Any) -> None:
    event: Any = event_of(tmp_path, {"x": given_}, {path: {"from": "x"}})
    for part in path.split("."):
        event = event[part]
    assert event == expected
    assert type(event) is type(expected)


@pytest.mark.parametrize(
    ("path", "given_", "reason"),
    [
        ("metrics.likes", "many", "metrics.likes: 'aaaa' is no whole number"),
        ("metrics.likes", "1.5", "metrics.likes: '9.9' is no whole number"),
        ("metrics.likes", "9" * 30, "metrics.likes: '999999999999999999999999999999' is no whole number"),
        ("rating", "five", "rating: 'aaaa' is no number"),
        ("author.verified", "perhaps", "author.verified: 'aaaaaaa' is neither true nor false"),
        ("direction", "sideways", "direction: 'aaaaaaaa' is not one of inbound, outbound"),
        ("language", "Klingon?", "language: 'Aaaaaaa?' is no language"),
        ("location", {"city": "Ulm"}, "location: an object: name the value inside it"),
        ("hashtags", [{"text": "a"}], "hashtags: a list of objects: name the value inside each, as from: tags.*.name"),
        ("order.amount", "EUR", "order.amount: 'AAA' is no number"),
    ],
)
def test_an_optional_field_that_cannot_be_read_is_left_out(tmp_path: Path, path: str, given_: Any, reason: str) -> None:
    assert left_out_of(tmp_path, {"x": given_}, {path: {"from": "x"}}).startswith(reason)


@pytest.mark.parametrize(
    ("path", "given_", "reason"),
    [
        ("id", "", "id is empty (from x)"),
        ("created_at", "soon", "created_at: no time in 'aaaa'"),
        ("created_at", "9" * 30, "created_at: no time in"),
        ("kind", "tweet", "kind: 'aaaaa' is not one of post"),
        ("operation", "Entfernt", "operation: 'Aaaaaaaa' is not one of create, update, delete"),
        ("visibility", "friends", "visibility: 'aaaaaaa' is not one of public, private"),
    ],
)
def test_what_does_not_fit_is_unmapped_with_the_field(tmp_path: Path, path: str, given_: str, reason: str) -> None:
    value = {"from": "x"} | ({"time": "epoch_s"} if path == "created_at" else {})
    assert reason_of(tmp_path, {"x": given_}, {path: value}).startswith(reason)


# --- times ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("time", "zone", "text", "expected"),
    [
        ("%d-%m-%Y %H.%M", "-08:00", "24-02-2015 9.42", "2015-02-24T17:42:00Z"),
        ("%Y-%m-%d %H:%M:%S", "Europe/Berlin", "2024-07-01 12:00:00", "2024-07-01T10:00:00Z"),
        ("%a %b %d %H:%M:%S %z %Y", None, "Tue Oct 31 23:36:20 +0000 2017", "2017-10-31T23:36:20Z"),
        ("iso", None, "2023-05-16 19:13:49+05:30", "2023-05-16T13:43:49Z"),
        ("iso", None, "2020-04-01T17:31:32.250Z", "2020-04-01T17:31:32.250Z"),
        ("iso", "+05:30", "2020-04-01 05:30:00", "2020-04-01T00:00:00Z"),
        ("epoch_s", None, "1500000000", "2017-07-14T02:40:00Z"),
        ("epoch_ms", None, 1500000000123, "2017-07-14T02:40:00.123Z"),
        ("snowflake", None, "325208201740029952", "2013-04-19T11:24:12.028Z"),
        ("shortcode", None, "CsTlx1SgF4t", "2023-05-16T13:42:30.270Z"),
    ],
)
def test_times_become_utc(time: str, zone: str | None, text: object, expected: str) -> None:
    assert parser(time, zone)(text) == expected


@pytest.mark.parametrize(
    ("time", "text", "reason"),
    [
        ("iso", "2020-04-01 05:30:00", "no zone"),
        ("snowflake", "849", "too small"),
        ("shortcode", "not a code!", "Only base64 data|Non-base64|Invalid"),
        ("shortcode", "x" * 40, "11 characters"),
        ("epoch_s", "nan", "no number"),
    ],
)
def test_what_holds_no_time_is_a_value_error(time: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parser(time, None)(text)


@given(st.datetimes(datetime(2010, 12, 1), datetime(2060, 1, 1)))
def test_a_time_hidden_in_an_id_comes_back(moment: datetime) -> None:
    milliseconds = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
    expected = parser("epoch_ms", None)(milliseconds)
    assert parser("snowflake", None)(str((milliseconds - 1288834974657) << 22 | 12345)) == expected
    if milliseconds >= 1314220021721:
        media = (milliseconds - 1314220021721) << 23 | 77
        code = base64.urlsafe_b64encode(media.to_bytes(9, "big")).decode().lstrip("A")
        assert parser("shortcode", None)(code) == expected


# --- several events of a row, nested lists, joins -------------------------------------------------------------------
def test_a_row_can_hold_two_events_and_one_may_fail(tmp_path: Path) -> None:
    reply = {
        "when": {"from": "reply"},
        "fields": {
            "id": {"template": "{id}/reply"},
            "kind": "reply",
            "created_at": {"template": "150000000{replied}", "time": "epoch_s"},
        },
    }
    path = write(tmp_path, "rows.csv", "id,at,reply,replied\n1,0,,\n2,0,thanks,5\n3,0,thanks,soon\n")
    items = mapped(path, {}, events=[{"fields": {}}, reply])
    found = [(i.line, fields_of(i)["id"] if isinstance(i, Mapped) else i.reason[:10]) for i in items]
    assert found == [(2, "1"), (3, "2"), (3, "2/reply"), (4, "3"), (4, "created_at")]


def test_a_nested_list_gives_an_event_for_each_element(tmp_path: Path) -> None:
    document = {
        "data": [
            {"c": "c1", "turns": [{"t": "hi", "agent": None}, {"t": "hello", "agent": "x"}]},
            {"c": "c2", "turns": []},
            "no object",
        ]
    }
    path = write(tmp_path, "talks.json", json.dumps(document))
    turn = {
        "each": {"list": "turns", "as": "turn"},
        "fields": {
            "id": {"template": "{c}-{$index}"},
            "created_at": {"value": "2024-01-01T00:00:00Z"},
            "text": {"from": "turn.t"},
            "direction": {"switch": [{"when": {"from": "turn.agent"}, "then": "outbound"}, {"then": "inbound"}]},
        },
    }
    items = mapped(path, {}, events=[turn], rows="data")
    assert [(fields_of(i)["id"], fields_of(i)["direction"]) for i in items if isinstance(i, Mapped)] == [
        ("c1-0", "inbound"),
        ("c1-1", "outbound"),
    ]
    assert [i for i in items if isinstance(i, Unmapped)] == [
        Unmapped(2, "no event of the mapping applies"),
        Unmapped(3, "the row is not an object"),
    ]


def test_a_second_file_joined_by_a_key(tmp_path: Path) -> None:
    write(tmp_path, "posts.csv", "code,when\nA,1500000040\nB,1500000020\nA,1500000050\n")
    path = write(tmp_path, "comments.csv", "id,at,code\n1,0,A\n2,0,B\n3,7,C\n")
    fields = {"created_at": {"first": [{"from": "post.when", "time": "epoch_s"}, BASE["created_at"]]}}
    join = {"post": {"file": "posts.csv", "key": "code", "by": "code"}}
    times = [fields_of(i)["created_at"][-3:-1] for i in mapped(path, fields, join=join) if isinstance(i, Mapped)]
    assert times == ["40", "20", "07"]
    with pytest.raises(SettingsError, match="posts.csv.*column 'wen'"):
        mapped(path, {"text": {"from": "post.wen"}}, join=join)
    (tmp_path / "posts.csv").unlink()
    with pytest.raises(EarshotError, match=r"posts\.csv: No such file"):
        mapped(path, fields, join=join)


# --- lines ----------------------------------------------------------------------------------------------------------
def test_csv_lines_are_the_physical_ones_where_a_record_starts(tmp_path: Path) -> None:
    content = 'id,at,text\r\n1,0,"two\nlines"\r\n2,0,"bare \r return"\r\n\r\n3,0\r\n4,0,a"b\r\n5,0,x\ry\r\n6,0,end'
    items = mapped(write(tmp_path, "rows.csv", content), {"text": {"from": "text"}})
    assert [(i.line, fields_of(i)["id"] if isinstance(i, Mapped) else i.reason) for i in items] == [
        (2, "1"),
        (4, "2"),
        (5, "empty line"),
        (6, "2 columns, the header has 3"),
        (7, "4"),
        (8, "5"),
        (9, "6"),
    ]
    assert fields_of(items[5])["text"] == "x\ry"


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), st.booleans()), max_size=20
    )
)
def test_any_text_keeps_its_line_and_its_words(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, bool]]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    out = io.StringIO(newline="")
    out.write("id,at,text\n")
    expected: list[tuple[int, str | None]] = []
    for text, whole in rows:
        expected.append((out.getvalue().count("\n") + 1, text.strip() if whole else None))
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(["1", "0", text] if whole else ["1", text])
    items = mapped(write(folder, "rows.csv", out.getvalue()), {"text": {"from": "text"}})
    found = [(i.line, fields_of(i).get("text", "") if isinstance(i, Mapped) else None) for i in items]
    assert found == expected


def test_tsv_bom_and_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.tsv", b"\xef\xbb\xbfid\tat\ttext\n1\t0\tcaf\xe9\n2\t0\tfine\n")
    items = mapped(path, {"text": {"from": "text"}})
    assert items[0] == Unmapped(2, "not UTF-8")
    assert isinstance(items[1], Mapped)
    path = write(tmp_path, "latin.csv", b"id,at,text\n1,0,caf\xe9\n")
    (item,) = mapped(path, {"text": {"from": "text"}}, encoding="latin-1")
    assert fields_of(item)["text"] == "caf\u00e9"


def test_jsonl_is_split_on_newlines_only_and_a_bad_line_costs_itself(tmp_path: Path) -> None:
    lines = ['{"id":"1","at":0,"text":"a\u2028b"}', '{"id":"2","at":0}\r', "{broken", "", "[1]", '{"id":"3","at":0}']
    path = write(tmp_path, "rows.jsonl", "\n".join(lines))
    items = mapped(path, {"text": {"from": "text"}})
    assert [(i.line, isinstance(i, Mapped)) for i in items] == [
        (1, True), (2, True), (3, False), (4, False), (5, False), (6, True),
    ]  # fmt: skip
    assert isinstance(items[2], Unmapped)
    assert items[2].reason.startswith("not JSON")


def test_canonical_lines_pass_as_they_stand_even_broken_ones(tmp_path: Path) -> None:
    raw = b'{"id":"1"}\n\n{broken\xff\n\r\n{"x":"\xe2\x80\xa8"}'
    path = write(tmp_path, "events.ndjson", raw)
    items = list(read_events(path))
    assert [i.event for i in items if isinstance(i, Mapped)] == raw.split(b"\n")
    assert [i.line for i in items] == [1, 2, 3, 4, 5]
    assert list(read_events(write(tmp_path, "none.jsonl", ""))) == []


# --- errors, each one line ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"events": [{"fields": BASE}], "evnts": 1}, "evnts: unknown key"),
        ({"events": []}, "events: "),
        ({"events": [{"fields": {**BASE, "txt": "x"}}]}, "no field 'txt'"),
        ({"events": [{"fields": {"id": "1"}}]}, "event 1 lacks platform, kind, created_at"),
        ({"events": [{"fields": {**BASE, "kind": "tweet"}}]}, "kind: 'tweet' is not one of post"),
        ({"events": [{"fields": {**BASE, "text": {"form": "x"}}}]}, "form: unknown key"),
        ({"events": [{"fields": {**BASE, "text": {"from": "x", "value": "y"}}}]}, "(has value, from)"),
        ({"events": [{"fields": {**BASE, "text": {"find": "x"}}}]}, "(has none)"),
        ({"events": [{"fields": {**BASE, "text": {"from": "x", "find": "("}}}]}, "no regular expression"),
        ({"events": [{"fields": {**BASE, "created_at": {"from": "x", "time": "%H:%M"}}}]}, "name the zone"),
        ({"events": [{"fields": {**BASE, "created_at": {"from": "x", "time": "unix"}}}]}, "neither a strptime format"),
        ({"events": [{"fields": {**BASE, "created_at": {"from": "x", "time": "iso", "zone": "Mars"}}}]}, "unknown time zone"),
        ({"events": [{"fields": {**BASE, "text": {"from": "x", "else": "y"}}}]}, "'else' belongs to 'map'"),
        (["events"], "a YAML mapping"),
    ],
)
def test_a_wrong_mapping_is_one_clear_line(tmp_path: Path, document: Any, says: str) -> None:
    path = write(tmp_path, "wrong.yaml", yaml.safe_dump(document))
    with pytest.raises(SettingsError) as caught:
        load_mapping(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"rows\.csv: a CSV file needs a mapping .*: `earshot mapping new` makes one"):
        read_events(write(tmp_path, "rows.csv", "id\n"))
    with pytest.raises(SettingsError, match=r"not a \.csv"):
        read_events(write(tmp_path, "rows.xlsx", ""))
    with pytest.raises(EarshotError, match="No such file"):
        list(read_events(tmp_path / "none.jsonl"))
    with pytest.raises(SettingsError, match="column 'id', the file has ident, at"):
        mapped(write(tmp_path, "rows.csv", "ident,at\n1,0\n"), {})
    with pytest.raises(EarshotError, match="not JSON"):
        mapped(write(tmp_path, "rows.json", "{"), {})
    with pytest.raises(SettingsError, match="no rows at 'data.items'"):
        mapped(write(tmp_path, "rows.json", "{}"), {}, rows="data.items")
    with pytest.raises(SettingsError, match="key rows is for format json, this is jsonl"):
        mapped(write(tmp_path, "rows.jsonl", "{}"), {}, rows="data")
    with pytest.raises(SettingsError, match="key delimiter is for format csv and tsv, this is json"):
        mapped(write(tmp_path, "rows.json", "{}"), {}, delimiter=";")
    with pytest.raises(SettingsError, match="nothing of the mapping refers to its join 'stores'"):
        mapped(write(tmp_path, "rows.jsonl", "{}"), {}, join={"stores": {"file": "s.csv", "key": "id", "by": "store"}})
    write(tmp_path, "broken.yaml", "a: [")
    with pytest.raises(SettingsError, match=r"broken\.yaml: "):
        load_mapping(tmp_path / "broken.yaml")


# --- which mapping --------------------------------------------------------------------------------------------------
def test_a_mapping_beside_the_file_comes_before_a_shipped_one(tmp_path: Path) -> None:
    path = write(tmp_path, "airline_tweets.csv", "")
    shipped = find_mapping(path)
    assert shipped is not None
    assert shipped.files == ("airline_tweets.csv",)
    document = {"events": [{"fields": BASE}]}
    write(tmp_path, "airline_tweets.mapping.yaml", yaml.safe_dump(document))
    beside = find_mapping(path)
    assert beside is not None
    assert beside.files == ()
    assert find_mapping(tmp_path / "unknown.csv") is None


def test_shipped_mappings_load_and_name_their_file() -> None:
    folder = next(folder for folder in SHIPPED if folder.is_dir())
    shipped = sorted(folder.glob("*.yaml"))
    assert len(shipped) >= 7
    for path in shipped:
        assert load_mapping(path).files[0].startswith(path.stem + ".")


def test_the_example_in_the_docs_is_a_mapping(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "mappings.md").read_text("utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    mapping = load_mapping(write(tmp_path, "survey_may.mapping.yaml", example))
    write(tmp_path, "stores.csv", "store_id,city\n7,Ulm\n")
    header = "answer_id,at,comment,stars,store,reply,replied_at\n"
    path = write(tmp_path, "survey_may.csv", header + '1,24.12.2024 18:00,"good, fast",5,7,thanks,1735060000\n')
    review, reply = (fields_of(item) for item in read_events(path, mapping))
    assert (review["created_at"], review["rating"], review["location"]) == ("2024-12-24T17:00:00Z", 5.0, "Ulm")
    assert (reply["id"], reply["in_reply_to"], reply["direction"]) == ("1/reply", "1", "outbound")
