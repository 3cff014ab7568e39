"""CSV and TSV as people have them: quotes, delimiters, headers, line ends. Each kind in several forms; no row vanishes, none is
invented."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.settings import MAX_MESSAGE_BYTES
from pipeline.errors import SettingsError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped, Unmapped
from pipeline.sources.recorded.lines import split_lines
from pipeline.sources.recorded.mapping import MappingFile
from pipeline.sources.recorded.reader import recognise

AT = "2026-11-20T10:00:00Z"


def mapping(**keys: Any) -> MappingFile:
    """Reads columns id, at and text."""
    fields = {"id": {"from": "id"}, "created_at": {"from": "at", "time": "iso"}, "text": {"from": "text"}}
    given = {"defaults": {"platform": "test", "kind": "post"}, "events": [{"fields": fields}]}
    return MappingFile.model_validate({**given, **keys})


def read(folder: Path, name: str, content: str | bytes, **keys: Any) -> list[tuple[int, Any]]:
    """Line and id with text of each event, or the reason."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return outcomes(list(read_events(path, mapping(**keys))))


def outcomes(items: Sequence[Mapped | Unmapped]) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    for item in items:
        if isinstance(item, Mapped):
            assert isinstance(item.event, dict)
            found.append((item.line, (item.event["id"], item.event.get("text"))))
        else:
            found.append((item.line, item.reason))
    return found


def notes_of(folder: Path, name: str, content: str | bytes, **keys: Any) -> list[str]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said: list[str] = []
    list(read_events(path, mapping(**keys), said.append))
    return said


def test_to_skip_more_lines_than_the_file_has_ends_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`skip` leaves all its lines out"):
        read(tmp_path, "a.csv", f"id,at,text\n1,{AT},x\n", skip=10**18)


# --- backslashes ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (r'"it is \"fine\" I guess"', 'it is "fine" I guess'),
        (r'"\"Acme\", they say, is late"', '"Acme", they say, is late'),
        (r'"a\\b \"c\" d"', r'a\b "c" d'),
        ('"one \\"two\\" x\nthree, \\"four\\" y"', 'one "two" x\nthree, "four" y'),
        (r'"C:\temp and \"x\" y"', r'C:\temp and "x" y'),
    ],
)
def test_quotes_with_a_backslash_before_them(tmp_path: Path, cell: str, text: str) -> None:
    content = f"id,at,text\n1,{AT},{cell}\n2,{AT},plain\n"
    found = [outcome for _, outcome in read(tmp_path, "rows.csv", content)]
    assert found == [("1", text), ("2", "plain")]
    assert [outcome for _, outcome in read(tmp_path, "rows.csv", content, quotes="backslash")] == found
    assert any("quotes: backslash" in note for note in notes_of(tmp_path, "rows.csv", content))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"C:\\"', "C:\\"), (r'"he said \""no\"""', r'he said \"no\"'), ('5\\" screen', '5\\" screen'),
    ],
)  # fmt: skip
def test_a_backslash_that_escapes_nothing_is_text(tmp_path: Path, cell: str, text: str) -> None:
    content = f"id,at,text\n1,{AT},{cell}\n2,{AT},plain\n"
    assert [outcome for _, outcome in read(tmp_path, "rows.csv", content)] == [("1", text), ("2", "plain")]


# --- quotes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ['"Acme is late', 'thank you "Acme"', '"', '""', '"a" and "b"', 'a""b', '"Acme is late"', '27" screen', '"x", "y']
)
def test_tsv_has_no_quotes(tmp_path: Path, text: str) -> None:
    content = f"id\tat\ttext\n1\t{AT}\t{text}\n2\t{AT}\tfine\n"
    assert read(tmp_path, "rows.tsv", content) == [(2, ("1", text)), (3, ("2", "fine"))]


def test_a_key_turns_quotes_on_and_off(tmp_path: Path) -> None:
    content = f'id\tat\ttext\n1\t{AT}\t"a\tb"\n'
    assert read(tmp_path, "rows.tsv", content, quotes=True) == [(2, ("1", "a\tb"))]
    ((line, reason),) = read(tmp_path, "rows.tsv", content)
    assert (line, reason) == (2, "4 columns, the header has 3 (quotes: true in the mapping reads quoted cells)")
    assert read(tmp_path, "rows.csv", f'id,at,text\n1,{AT},"a"\n', quotes=False) == [(2, ("1", '"a"'))]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"say ""hi"""', 'say "hi"'),
        ('"a,b"', "a,b"),
        (' "a,b"', "a,b"),
        ('""', None),
        ('a"b', 'a"b'),
        ('"Acme" is bad', '"Acme" is bad'),
        ('"Acme", they said', None),
        ('27" screen', '27" screen'),
        ('"""quoted"""', '"quoted"'),
        ('"two\nlines"', "two\nlines"),
        ('"two\r\nlines"', "two\r\nlines"),
        ('"a\n\n\nb"', "a\n\n\nb"),
        ("bare \r return", "bare \r return"),
        ('"bare \r return"', "bare \r return"),
    ],
)
def test_csv_quotes(tmp_path: Path, cell: str, text: str | None) -> None:
    content = f"id,at,text\n1,{AT},{cell}\n2,{AT},fine\n"
    first, *_, last = read(tmp_path, "rows.csv", content)
    assert last == (content.count("\n"), ("2", "fine"))
    if "they" in cell:
        assert first == (2, "4 columns, the header has 3")
    else:
        assert first == (2, ("1", text))


def test_a_tsv_with_each_name_quoted_has_quotes_and_says_so(tmp_path: Path) -> None:
    content = f'\ufeff"id"\t"at"\t"text"\r\n"1"\t"{AT}"\t"a ""b""\nc\td"\r\n'
    assert read(tmp_path, "rows.tsv", content) == [(2, ("1", 'a "b"\nc\td'))]
    assert any("quotes: true" in note for note in notes_of(tmp_path, "rows.tsv", content))
    ((_, reason),) = read(tmp_path, "rows.csv", f'id\tat\ttext\n1\t{AT}\t"Acme is late\n')
    assert reason == "column 3: its quote is not closed (quotes: false in the mapping takes quotes as text)"


UNCLOSED = {
    "closed by the quote of a later row": ('1,{at},"never closed', "2,{at},lost", '3,{at},thank you "Acme"', "4,{at},fine"),
    "to the end of the file": ('1,{at},"never closed', "2,{at},one", "3,{at},two"),
    "closed where a later cell ends": ('1,{at},"never closed', "2,{at},lost", '3,{at},fine"'),
    "before a quoted row": ('1,{at},"never closed', '2,{at},"one, two"', "3,{at},two"),
    "before an empty quoted cell": ('1,{at},"never closed', '2,{at},""', '3,{at},"x"', "4,{at},y"),
    "before a cell over two lines": ('1,{at},"never closed', '2,{at},"one', 'two"', "3,{at},x"),
    "twice": ('1,{at},"never closed', "2,{at},x", '3,{at},"never, too', "4,{at},y"),
    "after a doubled quote": ('1,{at},"a ""b""', "2,{at},x", '3,{at},"y"'),
    "a quote that is not doubled": ('1,{at},"he said "hi" to', 'them"', "2,{at},x", "3,{at},y"),
}


@pytest.mark.parametrize("kind", UNCLOSED)
def test_a_quote_that_was_never_closed_costs_its_own_row(tmp_path: Path, kind: str) -> None:
    lines = [line.format(at=AT) for line in UNCLOSED[kind]]
    found = read(tmp_path, "rows.csv", "\n".join(["id,at,text", f"0,{AT},zero", *lines, f"9,{AT},last", ""]))
    events = [outcome[0] for _, outcome in found if isinstance(outcome, tuple)]
    told = [(line, outcome) for line, outcome in found if isinstance(outcome, str)]
    rows = [line[0] for line in lines if line[0].isdigit()]
    lost = [line[0] for line in lines if '"never' in line or '"a ' in line or '"he' in line]
    assert events == ["0", *(row for row in rows if row not in lost), "9"]
    assert len(told) == len(lost)
    assert all("column 3" in reason and "quote" in reason and "Acme" not in reason for _, reason in told)
    assert [line for line, _ in told] == [3 + lines.index(line) for line in lines if line[0] in lost]


LONG = "Acme, a line of a long mail, and more\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (LONG * 4000, 0),
        (LONG * 4000, 2),
        ("no comma at all\n" * 9000, 1),
        ("x" * 200_000, 0),
        ('she said ""hi"" to us, twice, really\n' * 4000, 1),
        ("7, 8, 9\n" * 20_000, 1),
        ("\n" * 150_000 + "end", 1),
        (LONG * 300_000, 1),
        ("a,b\r\n" * 40_000, 3),
    ],
)
def test_a_cell_of_any_length_is_one_cell(tmp_path: Path, text: str, place: int) -> None:
    rows = [f'{number},{AT},"{text if number == place else "short"}"' for number in range(4)]
    found = read(tmp_path, "rows.csv", "\n".join(["id,at,text", *rows]))
    lines = [2 + number + (text.count("\n") if number > place else 0) for number in range(4)]
    assert [line for line, _ in found] == lines
    assert [outcome[0] for _, outcome in found] == ["0", "1", "2", "3"]
    assert found[place][1][1] == text.replace('""', '"').strip()


def test_a_cell_beyond_the_limit_of_an_event_is_told_and_the_rest_lands(tmp_path: Path) -> None:
    big = "x" * (MAX_MESSAGE_BYTES + 1)
    for cell in (big, f'"{big}"', f'"{big[:100]}\n{big}"'):
        found = read(tmp_path, "rows.csv", f"id,at,text\n1,{AT},{cell}\n2,{AT},fine\n")
        (line, reason), *_, last = found
        assert (line, "over 12 MB" in reason or "within 12 MB" in reason) == (2, True)
        assert last[1] == ("2", "fine")
        assert len(found) == 2


def test_a_line_beyond_memory_is_told_with_its_number() -> None:
    blocks = [b"one\n", *[b"x" * (1 << 20)] * 40, b"\ntwo\n", b"three"]
    assert list(split_lines(blocks)) == [b"one", None, b"two", b"three"]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")).map(lambda text: text.strip() or "x"),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str, end: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([["id", "at", "text"], *([str(number), AT, text] for number, text in enumerate(texts))])
    found = read(tmp_path_factory.mktemp("csv"), "rows.csv", out.getvalue(), delimiter=delimiter)
    assert [outcome for _, outcome in found] == [(str(number), text) for number, text in enumerate(texts)]


# --- line ends ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "content",
    [
        f"id,at,text\r1,{AT},hello\r2,{AT},bye\r",
        f"id,at,text\r1,{AT},hello\r2,{AT},bye",
        f'"id","at","text"\r"1","{AT}","hello"\r"2","{AT}","bye"\r',
        f"id;at;text\r1;{AT};hello\r2;{AT};bye\r",
        f"\ufeffid,at,text\r1,{AT},hello\r2,{AT},bye\r",
        f'id,at,text\r1,{AT},"hello"\r2,{AT},"bye"',
    ],
)
def test_carriage_returns_as_line_ends(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, "rows.csv", content) == [(2, ("1", "hello")), (3, ("2", "bye"))]


def test_line_feeds_inside_cells_of_a_file_with_carriage_returns(tmp_path: Path) -> None:
    content = f'id,at,text\r1,{AT},"one\ntwo\nthree"\r2,{AT},"four\nfive"\r'
    assert read(tmp_path, "rows.csv", content) == [(2, ("1", "one\ntwo\nthree")), (3, ("2", "four\nfive"))]


def test_a_few_bare_returns_do_not_make_a_file_of_returns(tmp_path: Path) -> None:
    rows = [f"{number},{AT},a\rb\rc" if number % 3 == 0 else f"{number},{AT},x" for number in range(9)]
    found = read(tmp_path, "rows.csv", "\n".join(["id,at,text", *rows]))
    assert [outcome[1] for _, outcome in found] == ["a\rb\rc", "x", "x"] * 3


# --- delimiter, header ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("delimiter", [";", "\t", "|", ",", ":", "^"])
def test_any_delimiter_by_a_key(tmp_path: Path, delimiter: str) -> None:
    at = "2026-11-20" if delimiter == ":" else AT
    rows = [("id", "at", "text"), ("1", at, f'"a{delimiter}b"'), ("2", at, "c")]
    content = "\n".join(delimiter.join(row) for row in rows)
    fields = {"id": {"from": "id"}, "created_at": {"from": "at", "time": "%Y-%m-%d", "zone": "+00:00"}}
    keys = {"events": [{"fields": {**fields, "text": {"from": "text"}}}]} if delimiter == ":" else {}
    assert read(tmp_path, "rows.csv", content, delimiter=delimiter, **keys) == [
        (2, ("1", f"a{delimiter}b")),
        (3, ("2", "c")),
    ]


@pytest.mark.parametrize("name", ["tab", r"\t", "\t"])
def test_names_of_delimiters(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, "rows.csv", f"id\tat\ttext\n1\t{AT}\ta\n", delimiter=name) == [(2, ("1", "a"))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", f"id;at;text\n1;{AT};a,b\n", "';'"),
        ("rows.csv", f"id\tat\ttext\n1\t{AT}\ta\n", r"'\t'"),
        ("rows.csv", f"id|at|text\n1|{AT}|a\n", "'|'"),
        ("rows.tsv", f"id,at,text\n1,{AT},a\n", "','"),
        ("rows.csv", f'"id";"at";"text";"a,b"\n1;{AT};a;1,5\n', "';'"),
        ("rows.csv", f"id,at,text\n1,{AT},a\n", None),
    ],
)
def test_a_delimiter_that_only_one_choice_fits_is_found_and_said(
    tmp_path: Path, name: str, content: str, said: str | None
) -> None:
    assert [outcome[0] for _, outcome in read(tmp_path, name, content)] == ["1"]
    assert [said in note and "delimiter" in note for note in notes_of(tmp_path, name, content) if said] == [True] * bool(said)


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        ("Report:,Mentions\nFrom:,2026-11-01\n\n", 3),
        ("\n", 1),
        ("sep=,\n", 1),
        ("# exported on 2026-11-20, by a tool\n# all rights reserved\n", 2),
        ("Acme,,\n,,\nid and text,,\n", 3),
        ('"Report, of all"\n', 1),
        ("\ufeffReport\n", 1),
    ],
)
def test_lines_before_the_header(tmp_path: Path, before: str, lines: int) -> None:
    content = f"{before}id,at,text\n1,{AT},a\n"
    assert read(tmp_path, "rows.csv", content) == [(lines + 2, ("1", "a"))]
    assert read(tmp_path, "rows.csv", content, skip=lines) == [(lines + 2, ("1", "a"))]
    assert any(f"skip: {lines}" in note for note in notes_of(tmp_path, "rows.csv", content))
    assert notes_of(tmp_path, "rows.csv", content, skip=lines) == []
    with pytest.raises(SettingsError, match="the mapping names column"):
        read(tmp_path, "rows.csv", content, skip=0)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (f"1,{AT},a\n2,{AT},b\n", {}),
        (f"1;{AT};a\n2;{AT};b\n", {"delimiter": ";"}),
        (f"\ufeff1,{AT},a\n2,{AT},b", {}),
        (f'"1","{AT}","a"\n"2","{AT}","b"\n', {}),
        (f"1|{AT}|a\n2|{AT}|b\n", {}),
    ],
)
def test_a_file_without_a_header(tmp_path: Path, content: str, keys: dict[str, Any]) -> None:
    assert read(tmp_path, "rows.csv", content, columns=["id", "at", "text"], **keys) == [(1, ("1", "a")), (2, ("2", "b"))]
    with pytest.raises(SettingsError, match="`columns` names the columns of a file without one"):
        read(tmp_path, "rows.csv", content, **keys)


def test_columns_replace_a_header_that_is_skipped(tmp_path: Path) -> None:
    content = f"text,text,text\n1,{AT},a\n"
    with pytest.raises(SettingsError, match="the header has text twice"):
        read(tmp_path, "rows.csv", content)
    assert read(tmp_path, "rows.csv", content, columns=["id", "at", "text"], skip=1) == [(2, ("1", "a"))]


@pytest.mark.parametrize(
    ("header", "twice"),
    [
        ("id,at,text,text", "text"),
        ("id,id,at,text", "id"),
        ("id,at,text, text ", "text"),
        ('"id","at","text","a","a"', "a"),
        ("id,at,text,a,b,a,b", "a, b"),
    ],
)
def test_two_columns_of_one_name_are_an_error(tmp_path: Path, header: str, twice: str) -> None:
    with pytest.raises(SettingsError, match=rf"the header has {twice} twice"):
        read(tmp_path, "rows.csv", f"{header}\n1,{AT},a,,,,\n")


def test_names_in_other_letters_are_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"names column 'id', the file has ID, At, Text"):
        read(tmp_path, "rows.csv", f"ID,At,Text\n1,{AT},a\n")


def test_blank_names_are_no_names(tmp_path: Path) -> None:
    assert read(tmp_path, "rows.csv", f'"",id,at,text,,\n7,1,{AT},a,,\n') == [(2, ("1", "a"))]


def test_a_header_over_two_lines(tmp_path: Path) -> None:
    assert read(tmp_path, "rows.csv", f'id,at,text,"likes\n(total)"\n1,{AT},a,3\n') == [(3, ("1", "a"))]


def test_blank_cells_after_the_last_column_are_none(tmp_path: Path) -> None:
    content = f"id,at,text\n1,{AT},a,,\n2,{AT},b,c\n3,{AT}\n"
    assert read(tmp_path, "rows.csv", content) == [
        (2, ("1", "a")),
        (3, "4 columns, the header has 3"),
        (4, "2 columns, the header has 3"),
    ]


@pytest.mark.parametrize("name", ["", ";;", '"', "\n", "comma,"])
def test_a_delimiter_is_one_character(name: str) -> None:
    with pytest.raises(ValueError, match="it is one character"):
        mapping(delimiter=name)


def test_json_inside_a_cell(tmp_path: Path) -> None:
    fields = {
        "id": {"from": "id"},
        "created_at": {"from": "at", "time": "iso"},
        "text": {"from": "post.body.0"},
        "author.name": {"from": "post.user.name"},
    }
    rows = [
        f"""1,{AT},"{{""body"": [""a""], ""user"": {{""name"": ""ann""}}}}" """.strip(),
        f"2,{AT},no json",
        f'3,{AT},"{{broken"',
        f"4,{AT},",
    ]
    found = read(tmp_path, "rows.csv", "\n".join(["id,at,post", *rows]), events=[{"fields": fields}])
    assert [outcome for _, outcome in found] == [("1", "a"), ("2", None), ("3", None), ("4", None)]


# --- what a file shows without a mapping ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content", "delimiter", "skip", "header"),
    [
        ("id,at,text\n1,2,a\n3,4,b\n", ",", 0, True),
        ("id;at;text\n1;2;a,b\n3;4;c\n", ";", 0, True),
        ("1\t2\ta\n3\t4\tb\n", "\t", 0, False),
        ("Report\n\nid|at|text\n1|2|a\n3|4|b\n", "|", 2, True),
        ("1,2026-11-20,some words of a person\n2,2026-11-21,other words\n", ",", 0, False),
    ],
)
def test_recognised_without_a_mapping(tmp_path: Path, content: str, delimiter: str, skip: int, header: bool) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content)
    table = recognise(path).table
    assert table is not None
    assert (table.delimiter.value, table.skip.value, table.header.value) == (delimiter, skip, header)
    assert table.columns == (("id", "at", "text") if header else ())
