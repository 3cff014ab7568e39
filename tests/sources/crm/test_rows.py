"""What becomes of each row of a CRM file: a record, or a line that says why not, without a word of the row."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.crm import rows
from pipeline.sources.crm.accounts import MOST
from pipeline.sources.crm.fields import parse_fields
from pipeline.sources.crm.rows import Chunk, read_chunks
from pipeline.sources.recorded.items import Damaged, Unmapped
from schemas.identity import account_key

ALL = [f"{name}={name}" for name in ("id", "name", "email", "phone", "since", "accounts", "twitter")]
HEADER = "id,name,email,phone,since,accounts,twitter"


def read(path: Path, given: list[str] = ALL, region: str = "DE") -> list[Chunk]:
    return list(read_chunks(path, parse_fields(given), region, lambda text: None))


def csv(folder: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "crm.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def test_a_row_becomes_a_record_with_its_accounts(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "7, Jane Müller ,Jane@Example.org,030 901820,2021-03-04,shop:17 vk:@Jo;https://www.facebook.com/jane.m,@Jane",
        "8,None,NA,-,1960-05-06T10:00:00+02:00,,https://x.com/Bob",
        '9,,,,2021-03-04T10:00:00.5Z,"[""Telegram:5"", ""mastodon:@jo@mastodon.social""]",',
    )
    (chunk,) = read(path)
    assert chunk.records.rows() == [
        (2, account_key("crm", "7"), "7", "Jane Müller", "Jane@Example.org", "030 901820", datetime(2021, 3, 4, tzinfo=UTC)),
        (3, account_key("crm", "8"), "8", "None", None, None, datetime(1970, 1, 1, tzinfo=UTC)),
        (4, account_key("crm", "9"), "9", None, None, None, datetime(2021, 3, 4, 10, 0, 0, 500_000, tzinfo=UTC)),
    ]
    assert sorted(chunk.accounts.rows(), key=str) == [
        (0, "facebook", "jane.m", None), (0, "shop", None, "17"), (0, "twitter", "jane", None), (0, "vk", "jo", None),
        (1, "twitter", "bob", None),
        (2, "mastodon", "jo@mastodon.social", None), (2, "telegram", None, "5"),
    ]  # fmt: skip
    assert (chunk.rows, chunk.line, chunk.left_out, chunk.repeated) == (3, 4, [], 0)


REASONS = [
    ("", "id: there is none"),
    ("NULL", "id: there is none"),
    ("1.5E+17", "id: '9.9A+99' lost its last digits on its way: export it as text"),
    ("1.0", "id: '9.9' went through a column of decimal numbers: export it as text"),
    ("x" * 1001, "id: over 1,000 bytes"),
    ("1," + "x" * 1001, "name: over 1,000 bytes"),
    ("1,,jane", "email: 'aaaa' is no e-mail address"),
    ("1,,jane@example", "email: 'aaaa@aaaaaaa' is no e-mail address"),
    ("1,,jane@example..org", "email: 'aaaa@aaaaaaa..aaa' is no e-mail address"),
    ("1,,a@x.org; b@x.org", "email: 'a@a.aaa; a@a.aaa' is no e-mail address"),
    ("1,,,12", "phone: '99' is no phone number"),
    ("1,,,+999", "phone: '+999' is no phone number"),
    ("1,,,call me", "phone: 'aaaa aa' is no phone number"),
    ("1,,,,yesterday", "since: no time in 'aaaaaaaaa': it is not in ISO 8601"),
    ("1,,,,2999-01-01", "since: it is in the future"),
    ("1,,,,,shop", "accounts: an entry is no platform:id, platform:@handle or link to a profile"),
    ("1,,,,,shop:", "accounts: an entry is no platform:id, platform:@handle or link to a profile"),
    ("1,,,,,https://example.org/jane", "accounts: an entry is no platform:id, platform:@handle or link to a profile"),
    ("1,,,,,crm:2", "accounts: an entry is a record of a CRM"),
    ("1,,,,,shop:" + "x" * 1001, "accounts: an entry is too long"),
    ("1,,,,," + " ".join(f"shop:{n}" for n in range(MOST + 1)), f"over {MOST} accounts"),
    ("1,,,,,,@jane:x", "twitter: an entry is no handle or link to a profile"),
    ("1,,,,,,,extra", "8 columns, the header has 7"),
]


@pytest.mark.parametrize(("row", "reason"), REASONS, ids=[reason for _, reason in REASONS])
def test_a_broken_row_is_named_by_its_line_and_the_others_go_on(tmp_path: Path, row: str, reason: str) -> None:
    row += "," * max(6 - row.count(","), 0)
    (chunk,) = read(csv(tmp_path, "a,,,,,,", row, "b,,,,,,"))
    assert chunk.left_out == [Unmapped(3, reason)]
    assert chunk.records.get_column("id").to_list() == ["a", "b"]


def test_a_number_is_read_by_its_region(tmp_path: Path) -> None:
    numbers = ["030 901820", "901820", "+1 (202) 555-0147", "2025550147", "5550147", "+49 30 901820 ext. 5"]
    path = csv(tmp_path, *(f"{number},{text}" for number, text in enumerate(numbers)), header="id,phone")
    for region, good in (("DE", "012345"), ("US", "235"), ("", "012345")):
        (chunk,) = read(path, ["id=id", "phone=phone"], region)
        found = "".join(chunk.records.get_column("id"))
        assert (region, found) == (region, good), chunk.left_out


def test_of_rows_with_one_id_the_first_counts_wherever_the_others_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "1,Jane,,,,vk:1,", "1,Jane,,,,vk:1,", "2,,broken,,,,", "1,Jane,,,,vk:2,", "2,Bob,,,,,", "1,Jane,,,,vk:1,",
        "2,Rob,,,,vk:3,", "3,Zoe,,,,vk:4,",
    ]  # fmt: skip
    for size in (1, 2, 3, 100):
        monkeypatch.setattr(rows, "CHUNK", size)
        chunks = read(csv(tmp_path, *lines))
        named = [(name, chunk.accounts.filter(row=place).get_column("id").to_list()) for chunk in chunks for place, name in
                 enumerate(chunk.records.get_column("name"))]  # fmt: skip
        assert named == [("Jane", ["1"]), ("Bob", []), ("Zoe", ["4"])]
        assert sum(chunk.repeated for chunk in chunks) == 2
        assert [each for chunk in chunks for each in chunk.left_out] == [
            Unmapped(4, "email: 'aaaaaa' is no e-mail address"),
            Unmapped(5, "id: line 2 has it, with other content"),
            Unmapped(8, "id: line 6 has it, with other content"),
        ]


# --- files ------------------------------------------------------------------------------------------------------------
def test_files_are_read_in_any_form(tmp_path: Path) -> None:
    people = [{"id": 1, "name": "Jürgen Größe", "twitter": "@j"}, {"id": "2", "name": "Čapek"}]
    semicolons = "id;name;twitter\n1;Jürgen Größe;@j\n2;Čapek;\n"
    (tmp_path / "a.csv").write_text(semicolons, encoding="utf-16")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(semicolons.encode()))
    (tmp_path / "c.tsv").write_text(semicolons.replace(";", "\t"), encoding="utf-8-sig")
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(each) + "\n" for each in people))
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress((tmp_path / "d.jsonl").read_bytes()))
    (tmp_path / "f.json").write_text(json.dumps(people))
    for path in sorted(tmp_path.iterdir()):
        (chunk,) = read(path, ["id=id", "name=name", "twitter=twitter"])
        assert chunk.records.select("id", "name").rows() == [("1", "Jürgen Größe"), ("2", "Čapek")], path
        assert chunk.accounts.rows() == [(0, "twitter", "j", None)], path


def test_values_of_json_are_read_where_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "crm.jsonl"
    records: list[object] = [
        {"who": {"id": 5}, "mails": ["a@x.org"], "accounts": ["vk:1", "shop:17"], "since": "2021-01-01"},
        {"who": {"id": 6}, "mails": [], "accounts": None},
        {"who": {"id": 7}, "mails": [["a"]]},
        {"who": {"id": True}},
        {"who": {"id": 8}, "accounts": [{"vk": 1}]},
        [],
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    (chunk,) = read(path, ["id=who.id", "email=mails.0", "accounts=accounts", "since=since"])
    assert chunk.records.select("id", "email").rows() == [("5", "a@x.org"), ("6", None)]
    assert chunk.accounts.rows() == [(0, "vk", None, "1"), (0, "shop", None, "17")]
    assert [str(row.reason) for row in chunk.left_out] == [
        "email: it is a list", "id: it is true or false", "accounts: it is a list", "not a JSON object",
    ]  # fmt: skip


def test_a_file_that_breaks_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "crm.csv"
    path.write_text('id,name\n1,Jane\n2,"Bob\n')
    (chunk,) = read(path, ["id=id", "name=name"])
    assert chunk.records.get_column("id").to_list() == ["1"]
    assert [row.line for row in chunk.left_out] == [3]
    with pytest.raises(EarshotError, match="No such file"):
        read(tmp_path / "nowhere.csv")
    assert not any(isinstance(row, Damaged) for row in chunk.left_out)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_column_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"crm.{suffix}"
    path.write_text("ContactId,E-Mail\n1,a@x.org\n" if suffix == "csv" else '{"ContactId": 1}\n{"E-Mail": "a@x.org"}\n')
    said = "there is no column 'Email', did you mean 'E-Mail'.: it has ContactId, E-Mail"
    with pytest.raises(SettingsError, match=said):
        read(path, ["id=ContactId", "email=Email"])
    (chunk,) = read(path, ["id=ContactId", "email=E-Mail"])
    assert chunk.records.height == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["email=Mail"], "--map id=COLUMN is missing"),
        (["id=Id", "emial=Mail"], "there is no field 'emial', did you mean 'email'.: the fields are id, name, email"),
        (["id=Id", "twiter=T"], "did you mean 'twitter'"),
        (["id=Id", "email"], "--map email: write it as FIELD=COLUMN"),
        (["id=Id", "email="], "--map email=: write it as FIELD=COLUMN"),
        (["id=Id", "email=A", "email=B"], "email is column A already"),
    ],
)
def test_a_map_that_can_not_be_is_refused(given: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_fields(given)


def test_a_column_name_may_hold_an_equals_sign() -> None:
    assert parse_fields([" id = A=B ", "accounts=x y"]) == {"id": "A=B", "accounts": "x y"}


def test_no_reason_quotes_a_row(tmp_path: Path) -> None:
    secret = "Secretname"
    cells = [f"{secret}@", f"+{secret}", secret, f"{secret}", f"@{secret}:"]
    lines = [",".join(["1", *([""] * place), cell, *([""] * (5 - place))]) for place, cell in enumerate(cells, 1)]
    (chunk,) = read(csv(tmp_path, *lines))
    assert len(chunk.left_out) == 5 and not any(secret in row.reason for row in chunk.left_out)
    assert isinstance(chunk.records, pl.DataFrame) and chunk.records.is_empty()


def test_an_empty_file_is_named_as_one(tmp_path: Path) -> None:
    empty = tmp_path / "crm.csv"
    empty.touch()
    with pytest.raises(SettingsError, match="crm.csv: it is empty$"):
        read(empty)
