"""Byte order marks, UTF-16, legacy encodings, and texts whose UTF-8 was read as something else."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.sources.recorded.encoding import recognise
from tests.sources.recorded.test_delimited import AT, mapping, notes_of, read

TEXT = "Zürich, déçu 😠 “very”"
ROWS = f'id,at,text\n1,{AT},"{TEXT}"\n2,{AT},plain\n'
WESTERN = ROWS.replace("😠", ":(")


def jsonl(text: str = TEXT) -> str:
    return "".join(
        json.dumps({"id": name, "at": AT, "text": each}, ensure_ascii=False) + "\n"
        for name, each in (("1", text), ("2", "plain"))
    )


# --- recognised -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json"])
def test_unicode_is_recognised_in_every_format(tmp_path: Path, name: str, encoding: str, mark: bool) -> None:
    content = {"csv": ROWS, "tsv": f"id\tat\ttext\n1\t{AT}\t{TEXT}\n2\t{AT}\tplain\n", "jsonl": jsonl()}.get(
        name.partition(".")[2], "[" + jsonl().strip().replace("\n", ",\n") + "]"
    )
    found = read(tmp_path, name, (("\ufeff" if mark else "") + content).encode(encoding))
    assert [outcome for _, outcome in found] == [("1", TEXT), ("2", "plain")]


@pytest.mark.parametrize(
    "header",
    [
        '\ufeff"id","at","text"',
        "\ufeffid,at,text",
        '\ufeff"id",at,text',
        '\ufeff "id",at,text',
        '\ufeff\n"id",at,text',
        "\ufeff\ufeffid,at,text",
    ],
)
def test_a_mark_before_anything(tmp_path: Path, header: str) -> None:
    assert [outcome for _, outcome in read(tmp_path, "rows.csv", f"{header}\n1,{AT},a\n")] == [("1", "a")]


def test_a_mark_before_every_line_of_joined_files(tmp_path: Path) -> None:
    lines = [f'{{"id": "{number}", "at": "{AT}"}}' for number in range(3)]
    found = read(tmp_path, "rows.jsonl", "".join(f"\ufeff{line}\n" for line in lines))
    assert [outcome[0] for _, outcome in found] == ["0", "1", "2"]


@pytest.mark.parametrize("language", ["日本語の投稿です", "Очень плохо", "مرحبا بكم", "만족합니다", "plain words"])
def test_utf16_without_a_mark_in_any_script(tmp_path: Path, language: str) -> None:
    content = "id,at,text\n" + "".join(f"{number},{AT},{language}\n" for number in range(5))
    for encoding in ("utf-16-le", "utf-16-be"):
        found = read(tmp_path, "rows.csv", content.encode(encoding))
        assert [outcome for _, outcome in found] == [(str(number), language) for number in range(5)]


def test_zero_bytes_in_a_text_make_no_utf16(tmp_path: Path) -> None:
    for text in ("a\0b", "\0" * 30, "a\0b\0c"):
        found = read(tmp_path, "rows.csv", f"id,at,text\n1,{AT},{text}\n2,{AT},plain\n")
        assert [outcome for _, outcome in found] == [("1", text), ("2", "plain")]


def test_half_a_character_and_a_byte_too_few_in_utf16(tmp_path: Path) -> None:
    raw = codecs.BOM_UTF16_LE + ROWS.encode("utf-16-le").replace("😠".encode("utf-16-le"), b"\x3d\xd8")
    (first, second) = read(tmp_path, "rows.csv", raw)
    assert first[1] == ("1", TEXT.replace("😠", "\ufffd"))
    assert read(tmp_path, "rows.csv", codecs.BOM_UTF16_LE + ROWS.encode("utf-16-le")[:-1])[1][1] == ("2", "plain\ufffd")
    assert second[1] == ("2", "plain")


# --- named in the reason --------------------------------------------------------------------------------------------
LEGACY = {
    "cp1252": ["Zürich", "déçu de vous", "señor, ¿qué tal?", "“quoted” – €5", "hé"],
    "cp1251": ["Очень плохое обслуживание, больше не приду", "Спасибо за помощь, всё хорошо", "Магазин закрыт уже третий день"],
    "cp932": ["配送が遅れています。とても残念です。", "ありがとうございます。また来ます。"],
    "cp1253": ["Πολύ κακή εξυπηρέτηση, δεν θα ξανάρθω ποτέ εδώ"],
    "gb18030": ["快递太慢了，非常失望，不会再买了。", "客服态度很好，谢谢你们的帮助。"],
}


@pytest.mark.parametrize("encoding", LEGACY)
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.json"])
def test_another_encoding_is_named_with_the_key(tmp_path: Path, name: str, encoding: str) -> None:
    texts = [(str(number), text) for number, text in enumerate(LEGACY[encoding])]
    rows = [{"id": number, "at": AT, "text": text} for number, text in texts]
    content = {
        "csv": "id,at,text\n" + "".join(f'{number},{AT},"{text}"\n' for number, text in texts),
        "jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
        "json": json.dumps(rows, ensure_ascii=False),
    }[name.partition(".")[2]]
    told = read(tmp_path, name, content.encode(encoding))
    assert [f"encoding: {encoding} in the mapping may read it" in str(reason) for _, reason in told] == [True] * len(rows)
    assert [outcome for _, outcome in read(tmp_path, name, content.encode(encoding), encoding=encoding)] == texts


def test_one_stray_byte_costs_its_row(tmp_path: Path) -> None:
    found = read(tmp_path, "rows.csv", ROWS.encode() + f"3,{AT},caf".encode() + b"\xe9\n" + f"4,{AT},d\n".encode())
    assert [outcome for _, outcome in found] == [("1", TEXT), ("2", "plain"), "not UTF-8", ("4", "d")]
    found = read(tmp_path, "rows.csv", b"id,at,text\n" + f"1,{AT},a\n".encode() * 60_000 + f"2,{AT},caf".encode() + b"\xe9\n")
    assert found[-1] == (60_002, "column 3: not UTF-8 (encoding: cp1252 in the mapping may read it)")
    assert len(found) == 60_001


def test_a_header_in_another_encoding_is_one_line_with_the_key(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"defaults": {"platform": "test", "kind": "post", "location": {"from": "Größe"}}}
    content = f"id,at,text,Größe\n1,{AT},a,b\n".encode("cp1252")
    with pytest.raises(SettingsError, match=r"the header in line 1: column 4: not UTF-8 \(encoding: cp1252 in"):
        read(tmp_path, "rows.csv", content, **keys)
    assert read(tmp_path, "rows.csv", content, encoding="cp1252", **keys) == [(2, ("1", "a"))]


@pytest.mark.parametrize("name", ["utf-99", "", "base64", "rot13", "idna", "unicode_escape"])
def test_an_unknown_encoding_is_an_error_of_the_mapping(name: str) -> None:
    with pytest.raises(ValueError, match="unknown encoding"):
        mapping(encoding=name)


def test_bytes_that_the_encoding_does_not_have_cost_their_row(tmp_path: Path) -> None:
    content = f"id,at,text\n1,{AT},a\x81b\n2,{AT},b\n".encode("latin-1")
    assert read(tmp_path, "rows.csv", content, encoding="cp1252") == [(2, "not CP1252"), (3, ("2", "b"))]


def test_how_sure_a_guess_is() -> None:
    assert recognise(b"plain") == ("utf-8", True, "only ASCII")
    assert recognise(b"plain", whole=False) == ("utf-8", False, "only ASCII")
    assert recognise("déçu".encode())[:2] == ("utf-8", True)
    assert recognise("déçu".encode("cp1252"))[:2] == ("cp1252", False)
    assert recognise("déçu".encode("utf-16"))[:2] == ("utf-16", True)
    assert recognise("😠".encode()[:3], whole=False)[1:] == (False, "only ASCII"), "a character that the block cuts"
    assert recognise(b"")[:2] == ("utf-8", True)


# --- UTF-8 that was read as something else --------------------------------------------------------------------------
def broken(text: str, encoding: str = "latin-1") -> str:
    return text.encode().decode(encoding)


MOJIBAKE = ["Zürich", "déçu 😠", "日本語の投稿", "“quoted” – €5", "Очень плохо", "a\u00a0b é"]


@pytest.mark.parametrize("escapes", [True, False])
@pytest.mark.parametrize("text", MOJIBAKE)
def test_latin1_is_repaired_by_a_key_and_suggested(tmp_path: Path, text: str, escapes: bool) -> None:
    row = {"id": "1", "at": AT, "text": broken(text), "more": {"deep": [broken(text)]}}
    for name, content in (
        ("rows.json", json.dumps([row], ensure_ascii=escapes)),
        ("rows.jsonl", json.dumps(row, ensure_ascii=escapes)),
    ):
        assert read(tmp_path, name, content, repair="latin1") == [(1, ("1", text))]
        assert any("repair: latin1" in note for note in notes_of(tmp_path, name, content))
        assert notes_of(tmp_path, name, content, repair="latin1") == []


def test_a_csv_is_repaired_too(tmp_path: Path) -> None:
    content = "".join(f"{number},{AT},{broken(text)}\n" for number, text in enumerate(MOJIBAKE))
    found = read(tmp_path, "rows.csv", "id,at,text\n" + content, repair="latin1")
    assert [outcome[1] for _, outcome in found] == MOJIBAKE


@pytest.mark.parametrize(
    "text", ["Zürich", "déçu 😠", "¿qué?", "Ã", "Ã la carte", "naïve café", "100 °C ± 2", "中文", "Â£5", "Ð¡"[:1]]
)
def test_right_texts_stay_and_are_not_suspected(tmp_path: Path, text: str) -> None:
    content = json.dumps([{"id": "1", "at": AT, "text": text}])
    repaired = "£5" if text == "Â£5" else text
    assert read(tmp_path, "rows.json", content, repair="latin1") == [(1, ("1", repaired))]
    assert bool(notes_of(tmp_path, "rows.json", content)) == (repaired != text)


def test_a_text_that_is_right_in_part_is_repaired_in_part(tmp_path: Path) -> None:
    content = json.dumps([{"id": "1", "at": AT, "text": f"{broken('déçu')} 😠 {broken('Zürich')}"}])
    assert read(tmp_path, "rows.json", content, repair="latin1") == [(1, ("1", "déçu 😠 Zürich"))]


@pytest.mark.parametrize("text", ["It’s late", "“quoted” – €5", "déçu 😠", "Zürich", "naïve…"])
def test_windows_1252_is_repaired_by_ftfy_and_suggested(tmp_path: Path, text: str) -> None:
    wrong = "".join(
        chr(byte) if byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([byte]).decode("cp1252") for byte in text.encode()
    )
    content = json.dumps([{"id": "1", "at": AT, "text": wrong}])
    assert read(tmp_path, "rows.json", content, repair="ftfy") == [(1, ("1", text))]
    assert any("repair: " in note for note in notes_of(tmp_path, "rows.json", content))
