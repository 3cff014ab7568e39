"""`earshot label`: files in, lines of JSON out, and a check against the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.main import app
from pipeline.errors import EarshotError, SettingsError

pytestmark = pytest.mark.slow

TEXTS = ["I love this, thank you so much!", "The worst service, I am so angry.", "", "Danke, das ist super!"]


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["label", *arguments], catch_exceptions=True)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.stdout


def file(tmp_path: Path, name: str, content: str) -> str:
    (tmp_path / name).write_text(content)
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("texts.txt", "\n".join(TEXTS) + "\n", ()),
        ("texts.csv", "id,body\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS)), ("--column", "body")),
        ("texts.tsv", "id\tbody\n" + "".join(f"{n}\t{text}\n" for n, text in enumerate(TEXTS)), ("--column", "body")),
        ("texts.jsonl", "".join(json.dumps({"n": 1, "body": text}) + "\n" for text in TEXTS), ("--column", "body")),
    ],
)
def test_a_line_a_text_in_order(tmp_path: Path, name: str, content: str, arguments: tuple[str, ...]) -> None:
    rows = [json.loads(line) for line in run(file(tmp_path, name, content), "--model", "fast", *arguments).splitlines()]
    assert [row["label"] for row in rows] == ["positive", "negative", None, "positive"]
    assert rows[2] == {"label": None, "language": None, "reason": "no text"}
    assert rows[3]["language"] == "de"
    assert rows[0]["scores"].keys() == {"negative", "neutral", "positive"}
    assert rows[0]["model"].startswith("fast@")


def test_output_goes_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    assert run(file(tmp_path, "t.txt", "Great!\n"), "--language", "en", "-o", str(out)) == ""
    assert json.loads(out.read_text())["label"] == "positive"


@pytest.mark.parametrize("truth", ["2\n0\n1\n2\n", "positive\nNegative\nneutral\npositive\n"])
def test_check_counts_a_text_without_a_label_as_wrong(tmp_path: Path, truth: str) -> None:
    shown = run(file(tmp_path, "t.txt", "\n".join(TEXTS) + "\n"), "--check", file(tmp_path, "labels", truth))
    assert "accuracy      0.7500" in shown
    assert "macro recall  0.6667" in shown
    assert "macro F1      0.6667" in shown


def test_check_by_a_column(tmp_path: Path) -> None:
    path = file(tmp_path, "t.csv", 'body,truth\n"Great, thank you!",positive\n"Awful, never again",negative\n')
    assert "accuracy      1.0000" in run(path, "--column", "body", "--language", "en", "--check", "truth")


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    assert run(file(tmp_path, "t.txt", "")) == ""


@pytest.mark.parametrize(
    ("name", "content", "arguments", "says"),
    [
        ("t.csv", "a,b\n1,2\n", (), "--column"),
        ("t.csv", "a,b\n1,2\n", ("--column", "c"), "no column 'c'; it has a, b"),
        ("t.jsonl", "{", ("--column", "c"), "t.jsonl"),
        ("t.txt", "good\n", ("--column", "c"), "t.txt: a file with columns ends in .csv, .tsv, .jsonl, .ndjson"),
        ("t.json", '[{"c": "good"}]', ("--column", "c"), "t.json: a file with columns ends in"),
        ("t.json", '[{"c": "good"}]', (), "t.json: a file with columns ends in"),
        ("t.txt", "good\n", ("--language", "Englsh"), "--language Englsh: it is no language, as en"),
        ("t.txt", "good\n", ("--language", "xx"), "--language xx: it is no language, as en"),
        ("t.txt", "good\n", ("--check", "nowhere"), "nowhere: No such file"),
        ("t.txt", "good\n", ("--model", "nowhere/at-all"), "model nowhere/at-all"),
        ("t.txt", "good\n", ("--model", "fats"), "model fats: the bundled models are accurate, fast, did you mean 'fast'"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, name: str, content: str, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        run(file(tmp_path, name, content), *arguments)


def test_bytes_that_are_no_text_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"good\nbad \xff\n")
    with pytest.raises(SettingsError, match="line 2 is not UTF-8"):
        run(str(tmp_path / "t.txt"))


def test_labels_that_are_none_and_labels_that_are_missing(tmp_path: Path) -> None:
    texts = file(tmp_path, "t.txt", "good\nbad\n")
    with pytest.raises(SettingsError, match="label 2 is '7'"):
        run(texts, "--check", file(tmp_path, "wrong", "0\n7\n"))
    with pytest.raises(EarshotError, match="2 texts and 1 labels"):
        run(texts, "--check", file(tmp_path, "few", "0\n"))
