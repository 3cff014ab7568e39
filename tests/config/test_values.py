"""Values of YAML: libyaml reads what it reads as PyYAML does, and no depth ends the process."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from yaml.scanner import Scanner

from pipeline.config import values
from pipeline.config.document import parse
from pipeline.config.values import values_of
from pipeline.errors import SettingsError
from pipeline.processors.mentions.brands import Brands

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for folder in ("pipeline", "docs", "deploy", ".github")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".yaml", ".yml")
]
TEXTS = (
    "a: 15:00\nb: 2024-01-01\nc: ~\nd: yes\ne: 0x1f\nf: 1e3\ng: .inf\nh: 1_000\n",
    "a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: [*x, *x]\n",
    "a: |\n  two\n  lines\nb: >-\n  one\n  line\n",
    "a: 'it''s'\nb: \"\\u00e9\\n\\x41\"\nc: # nothing\n",
    "? a\n: - b\n  - - c\n    - d\n",
    "name: Yahoo! Mail\r\nkeywords: [é, 😀, '#x', 'a: b']\r\n",
    "a:\tb\n",
    "a: b\tc\n",
    "a: b\x85c\n",
    "a: b\u2028 c\n",
    "\ufeffa: b\n",
    "a: b\ufeffc\n",
    "a: !!str 1\nb: !!set {c, d}\nc: !!binary aGk=\n",
)


def as_pyyaml(content: bytes) -> object:
    return yaml.load(content, values._Own)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_our_own_files_have_the_values_that_pyyaml_reads(path: Path) -> None:
    content = path.read_bytes()
    assert repr(values_of(content)) == repr(as_pyyaml(content))


@pytest.mark.parametrize("text", TEXTS)
def test_each_form_has_the_value_that_pyyaml_reads(text: str) -> None:
    try:
        expected = repr(as_pyyaml(text.encode()))
    except yaml.YAMLError:
        with pytest.raises(yaml.YAMLError):
            values_of(text.encode())
    else:
        assert repr(values_of(text.encode())) == expected
        assert repr(values_of(text.encode("utf-16"))) == expected


def test_libyaml_alone_reads_a_right_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's own scanner takes three times as long: seconds for 10,000 brands."""
    asked = list[object]()
    brands = [{"name": f"Brand {n}", "keywords": [f"word{n}"]} for n in range(100)]
    text = yaml.safe_dump({"brands": brands}).encode()
    monkeypatch.setattr(Scanner, "fetch_more_tokens", asked.append)
    assert len(parse(text, Path("brands.yaml"), Brands).brands) == 100
    assert not asked


@pytest.mark.parametrize("levels", [900, 100_000])
@pytest.mark.parametrize("level", [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_no_depth_ends_the_process(level: tuple[str, str], levels: int) -> None:
    begin, end = level
    text = begin * levels + "a" + end * levels
    with pytest.raises(SettingsError, match=r"^brands.yaml: the file: it (nests too deep|is a YAML mapping)|brands.yaml: a: "):
        parse(text.encode(), Path("brands.yaml"), Brands)
