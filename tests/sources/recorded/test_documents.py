"""JSON as people have it: one bad element, objects keyed by id, lines in a .json file, replies to any depth."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.documents import Document
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Damaged, Mapped
from pipeline.sources.recorded.json_text import NotJson, parsed
from tests.sources.recorded.test_delimited import AT, mapping, read


def row(number: int, text: object = "x", **more: object) -> dict[str, object]:
    return {"id": str(number), "at": AT, "text": text, **more}


def ids(found: list[tuple[int, Any]]) -> list[Any]:
    return [outcome[0] if isinstance(outcome, tuple) else None for _, outcome in found]


# --- one bad element ------------------------------------------------------------------------------------------------
BAD = {
    "NaN": '{"id": "2", "at": "", "score": NaN}',
    "Infinity": '{"id": "2", "score": -Infinity}',
    "a word": '{"id": "2", "ok": None}',
    "an unknown escape": r'{"id": "2", "text": "\x41"}',
    "a raw line end in a text": '{"id": "2", "text": "a\nb"}',
    "a trailing comma": '{"id": "2", "text": "a",}',
    "single quotes": "{'id': '2', 'text': 'a'}",
    "a key without quotes": '{id: "2", text: "a"}',
    "no colon": '{"id" "2"}',
    "two values": '{"id": "2" "3"}',
    "a number too large": '{"id": "2", "score": 1e999}',
    "a leading zero": '{"id": "2", "score": 007}',
    "a comment": '{"id": "2" /* why */}',
    "the wrong bracket": '{"id": "2", "list": [1, 2}',
    "a quote that is not closed": '{"id": "2", "text": "abc}',
    "a bracket that is not closed": '{"id": "2", "more": {"a": 1}',
    "a text after it": '{"id": "2"} and more',
    "no object": '"2"',
    "a bare word": "nothing",
    "brackets in a text": '{"id": "2", "text": "}]{[", "score": NaN}',
    "a quote in a text": r'{"id": "2", "text": "say \"}\"", "score": NaN}',
}


@pytest.mark.parametrize("form", ["[\n %s,\n %s,\n %s\n]", "[%s,%s,%s]", '{"rows": [%s,\n%s,%s], "end": {}}'])
@pytest.mark.parametrize("kind", BAD)
def test_one_bad_element_costs_itself(tmp_path: Path, kind: str, form: str) -> None:
    good = [json.dumps(row(number, 'Acme } { ] [ " \\')) for number in (1, 3)]
    content = form % (good[0], BAD[kind], good[1])
    keys = {"rows": "rows"} if "rows" in form else {}
    found = read(tmp_path, "rows.json", content, **keys)
    assert ids(found) == ["1", None, "3"]
    (_, reason) = found[1]
    assert reason == "the row is not an object" or ("line" in reason and "column" in reason and "abc" not in reason)


def test_where_a_bad_element_is(tmp_path: Path) -> None:
    content = '[{"id":"1"},\n {"id":"2","score":NaN},\n {"id": "3",\n  "score": NaN}]'
    found = read(tmp_path, "rows.json", content)
    assert [reason for _, reason in found][1:] == [
        "not JSON: NaN is no number of JSON: line 2, column 20",
        "not JSON: NaN is no number of JSON: line 4, column 12",
    ]


def test_many_bad_elements_and_a_comma_too_many_or_too_few(tmp_path: Path) -> None:
    rows = [json.dumps(row(number)) if number % 3 else '{"id": NaN}' for number in range(3_000)]
    assert ids(read(tmp_path, "rows.json", "[" + ",\n".join(rows) + "]")) == [
        str(number) if number % 3 else None for number in range(3_000)
    ]
    for content in ("[{},,{},]", "[{}\n{}]", "[,{},{}]", "{},\n{},\n", "{}{}", "[{}][{}]", "[{}]\n[{}]\n"):
        whole = content.replace("{}", "%s") % (json.dumps(row(1)), json.dumps(row(2)))
        assert ids(read(tmp_path, "rows.json", whole)) == ["1", "2"], content


@pytest.mark.parametrize(
    ("escape", "expected"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\udc00a", "\ufffda"),
        (r"\ud83d\ud83d\ude20", "\ufffd😠"),
        (r"\ud83d\ude20", "😠"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\uD83D x \uDE20", "\ufffd x \ufffd"),
    ],
)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_half_a_character_is_replaced(tmp_path: Path, name: str, escape: str, expected: str) -> None:
    assert read(tmp_path, name, f'{{"id": "1", "at": "{AT}", "text": "{escape}"}}') == [(1, ("1", expected))]


def test_bytes_of_half_a_character_are_replaced() -> None:
    assert parsed(b'"a\xed\xa0\xbdb"') == "a\ufffdb"
    with pytest.raises(NotJson, match="not UTF-8"):
        parsed(b'"\xff"')


@pytest.mark.parametrize("end", ["", ",", ', {"id": "3", "te', ', {"id": "3", "text": "abc', ', {"id": "3"}', "]]", "}"])
def test_a_document_that_breaks_off_gives_its_rows_and_says_so(tmp_path: Path, end: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text("[" + json.dumps(row(1)) + "," + json.dumps(row(2)) + end)
    items = list(read_events(path, mapping()))
    assert len(items) >= 3
    last = items[-1]
    assert isinstance(last, Damaged)
    assert last.reason.startswith("not JSON")
    assert "line 1" in last.reason


@pytest.mark.parametrize("content", ["", "   ", "\n", "{", "[", "hello", '{"a"', '{"a":', "]", "\x00\x01\x02", "<html><p>"])
def test_no_json_at_all_is_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(EarshotError) as caught:
        read(tmp_path, "rows.json", content)
    assert str(caught.value).startswith(f"{tmp_path / 'rows.json'}: not JSON")
    assert "\n" not in str(caught.value)


def test_replies_inside_a_broken_row_are_no_rows(tmp_path: Path) -> None:
    replies = json.dumps([row(7), row(8), row(9)])
    for broken in (
        f'{{"id": "2", "replies": {replies}, "score": NaN}}',
        f'{{"id": "2", "replies": {replies}',
        f'{{"id": "2", "replies": {replies[:-1]}, "text": None}}',
    ):
        assert ids(read(tmp_path, "rows.json", f"[{json.dumps(row(1))}, {broken}, {json.dumps(row(3))}]")) == ["1", None, "3"]
    cut = f'[{json.dumps(row(1))}, {{"id": "2", "replies": {replies[:-20]}'
    assert ids(read(tmp_path, "rows.json", cut)) == ["1", None]


# --- shapes ---------------------------------------------------------------------------------------------------------
BY_ID: dict[str, Any] = {
    "minified": json.dumps({"101": row(1), "102": row(2)}, separators=(",", ":")),
    "printed": json.dumps({"101": row(1), "102": row(2)}, indent=2),
    "a line each": "{" + ",\n".join(f'"{key}": {json.dumps(row(key))}' for key in (1, 2)) + "}",
    "uuids": json.dumps({"6f1c-4a": row(1), "9b2e-11": row(2)}),
    "below a path": json.dumps({"meta": {"a": 1}, "posts": {"101": row(1), "102": row(2)}}),
    "only one": json.dumps({"101": row(1)}),
}


@pytest.mark.parametrize("kind", BY_ID)
def test_objects_keyed_by_id_are_rows(tmp_path: Path, kind: str) -> None:
    keys = {"rows": "posts"} if "path" in kind else {}
    assert ids(read(tmp_path, "rows.json", BY_ID[kind], **keys)) == ["1", "2"][: 1 if kind == "only one" else 2]


def test_the_key_is_a_value(tmp_path: Path) -> None:
    fields = {"id": {"from": "$key"}, "created_at": {"from": "at", "time": "iso"}}
    content = json.dumps({"a1": {"at": AT}, "b 2": {"at": AT}})
    found = read(tmp_path, "rows.json", content, events=[{"fields": fields}])
    assert ids(found) == ["a1", "b 2"]


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ({"data": {"items": [row(1), row(2)]}}, "data.items"),
        ({"data": [{"items": [row(1)]}, {"items": [row(2)]}]}, "data.*.items"),
        ({"2026-11-01": [row(1)], "2026-11-02": [row(2)]}, "*"),
        ({"chats": {"list": [{"messages": [row(1)]}, {"messages": [row(2)]}]}}, "chats.list.*.messages"),
        ({"users": {"a": {"posts": {"x": row(1)}}, "b": {"posts": {"y": row(2)}}}}, "users.*.posts.*"),
        ({"a": [[row(1), row(2)], [row(9)]]}, "a.0"),
        ({"data.items": [row(1), row(2)]}, "data.items"),
        ([{"page": 1, "items": [row(1)]}, {"page": 2, "items": [row(2)]}], "*.items"),
    ],
)
def test_rows_at_a_path(tmp_path: Path, document: object, rows: str) -> None:
    for indent in (None, 2):
        assert ids(read(tmp_path, "rows.json", json.dumps(document, indent=indent), rows=rows)) == ["1", "2"]
    with pytest.raises(SettingsError, match=r"no rows at 'else\.where'"):
        read(tmp_path, "rows.json", json.dumps(document), rows="else.where")


def test_a_document_whose_rows_are_deeper_says_so(tmp_path: Path) -> None:
    for document in ({"messages": [row(1)], "count": 1}, {"error": {"code": 429}}):
        ((_, reason),) = read(tmp_path, "rows.json", json.dumps(document))
        assert "`rows` says where its rows are" in str(reason)


def test_one_object_is_one_row(tmp_path: Path) -> None:
    for content in (
        row(1, user={"name": "a"}),
        row(1),
        {"user": {"name": "a"}, **row(1)},
        {"a": {"b": 1}, "c": {"d": 2}, **row(1)},
    ):
        assert ids(read(tmp_path, "rows.json", json.dumps(content, indent=1))) == ["1"]


@pytest.mark.parametrize(
    "content",
    [
        "{}\n{}\n",
        "{}\n\n{}",
        "\ufeff{}\r\n{}\r\n",
        "{} {}",
        "{}\n{}\n{broken\n",
        "{}\r{}\r",
    ],
)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_json_lines_by_any_name(tmp_path: Path, name: str, content: str) -> None:
    if name == "rows.jsonl" and content == "{} {}":
        return
    whole = content.replace("{}", "%s") % (json.dumps(row(1)), json.dumps(row(2)))
    assert [each for each in ids(read(tmp_path, name, whole)) if each] == ["1", "2"]


def test_lines_with_a_comma_after_each(tmp_path: Path) -> None:
    lines = f"{json.dumps(row(1))},\n{json.dumps(row(2))},\n"
    assert ids(read(tmp_path, "rows.jsonl", lines)) == ["1", "2"]
    assert ids(read(tmp_path, "rows.json", lines)) == ["1", "2"]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_in_a_jsonl_file(tmp_path: Path, indent: int | None) -> None:
    assert ids(read(tmp_path, "rows.jsonl", json.dumps([row(1), row(2)], indent=indent))) == ["1", "2"]


@pytest.mark.parametrize("before", ["window.YTD.tweets.part0 = ", "var data = ", "const x=\n", "data="])
def test_a_document_inside_javascript(tmp_path: Path, before: str) -> None:
    for name in ("tweets.js", "tweets.json"):
        assert ids(read(tmp_path, name, before + json.dumps([row(1), row(2)], indent=1) + ";\n")) == ["1", "2"]


# --- replies --------------------------------------------------------------------------------------------------------
def thread(depth: int, width: int) -> dict[str, Any]:
    return {"text": f"{depth}", "replies": [thread(depth - 1, width) for _ in range(width)] if depth else []}


def test_nested_replies_to_any_depth(tmp_path: Path) -> None:
    event = {
        "each": {"list": "comments", "as": "comment", "nested": "replies"},
        "fields": {
            "id": {"template": "{id}/{$index}"},
            "created_at": {"from": "at", "time": "iso"},
            "text": {"from": "comment.text"},
            "location": {"first": [{"from": "$parent.text"}, {"value": "top"}]},
        },
    }
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row(1, comments=[thread(2, 2), thread(0, 0)])]))
    events: list[Any] = [item.event for item in read_events(path, mapping(events=[event])) if isinstance(item, Mapped)]
    assert [each["id"] for each in events] == [
        "1/0", "1/0.0", "1/0.0.0", "1/0.0.1", "1/0.1", "1/0.1.0", "1/0.1.1", "1/1",
    ]  # fmt: skip
    assert [each["location"] for each in events] == ["top", "2", "1", "1", "2", "1", "1", "top"]
    path.write_text(json.dumps([row(1, comments=[thread(300, 1)])]))
    assert len(list(read_events(path, mapping(events=[event])))) == 301
    cells = json.dumps([{"text": "a", "replies": [{"text": "b"}]}]).replace('"', '""')
    path = tmp_path / "rows.csv"
    path.write_text(f'id,at,comments\n1,{AT},"{cells}"\n')
    assert len(list(read_events(path, mapping(events=[event])))) == 2


def test_deeper_than_json_goes_is_told(tmp_path: Path) -> None:
    content = json.dumps(row(1)) + "," + '{"a":' * 5_000 + "1" + "}" * 5_000 + "," + json.dumps(row(3))
    assert ids(read(tmp_path, "rows.json", f"[{content}]")) == ["1", None, "3"]
    with pytest.raises(EarshotError, match="not JSON"):
        read(tmp_path, "rows.json", "[" * 200_000)


# --- in blocks ------------------------------------------------------------------------------------------------------
def in_blocks(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[start : start + size] for start in range(0, len(raw), size))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\{}[],:', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.text('ab"\\{}[]', max_size=3), VALUES, max_size=3), max_size=5),
    st.integers(1, 40),
    st.booleans(),
)
def test_any_document_in_any_blocks_is_what_json_loads(rows: list[dict[str, Any]], size: int, escapes: bool) -> None:
    for indent in (None, 1):
        raw = json.dumps(rows, indent=indent, ensure_ascii=escapes).encode()
        elements = list(Document(in_blocks(raw, size), None, ()).elements())
        assert [parsed(element.raw) for element in elements] == rows
        lines = raw.split(b"\n")
        for element in elements:
            assert lines[element.line - 1][element.column - 1 :].startswith(element.raw.split(b"\n")[0])
        inside = json.dumps({"a": {"x": rows[:1]}, "b": {"c": rows}}, indent=indent).encode()
        assert [parsed(each.raw) for each in Document(in_blocks(inside, size), "b.c", ()).elements()] == rows


@pytest.mark.slow
def test_a_document_needs_the_memory_of_its_elements() -> None:
    element = json.dumps(row(1, "x" * 1_000)).encode() + b","
    blocks = (element * 1_000 for _ in range(60))
    tracemalloc.start()
    count = sum(1 for _ in Document(chain((b"[",), blocks, (b"]",)), None, ()).elements())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 16 << 20, "60 MB were read"
