"""What a large file or text may cost: so many bytes of a document are in memory, so many characters are parsed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from markdown_it.token import Token

from pipeline.sources.recorded import markup
from pipeline.sources.recorded.broken_json import closed
from pipeline.sources.recorded.markup import without_markdown
from pipeline.sources.recorded.suggest import sample
from pipeline.sources.recorded.suggest.sample import sample_of

POSTS = [{"id": f"p{n}", "text": f"Acme {n} [{{", "created_at": "2026-01-05T10:00:00Z"} for n in range(3_000)]
DOCUMENT = {"meta": {"page": 1}, "users": [{"name": "a"}], "data": {"posts": POSTS}}


@pytest.mark.parametrize("packed", [False, True])
def test_the_beginning_of_a_document_says_where_its_rows_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """The bound is on the bytes as they are unpacked: those of an archive say nothing about them."""
    content = json.dumps(DOCUMENT).encode()
    path = tmp_path / ("posts.json.gz" if packed else "posts.json")
    path.write_bytes(gzip.compress(content) if packed else content)
    monkeypatch.setattr(sample, "MOST_BYTES", 20_000)
    assert len(content) > 200_000 and 19_000 < len(sample._beginning(path, {})) <= 20_010
    found = sample_of(path)
    assert found.keys["rows"] == "data.posts" and len(found.rows) == 1_000


def test_each_beginning_of_a_document_is_closed() -> None:
    content = json.dumps({"a": [{"x": '}]\\"', "y": [1, [2]]}, {}], "b": DOCUMENT["users"], "c": POSTS[:3]}).encode()
    ended = content.index(b"[2]") + 3
    for size in range(ended, len(content)):
        assert isinstance(json.loads(closed(content[:size])), dict)
    assert closed(content) == content
    assert closed(b'{"a": [{"b": 1}, {"b": 2}, {"b"') == b'{"a": [{"b": 1}, {"b": 2}]}'
    assert closed(b'{"a": 1') == closed(b"") == b""


def test_a_text_of_any_size_keeps_its_marks_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets that open pictures cost a parser 15 s for a million characters."""
    parsed = list[int]()
    parse = markup._markdown().parse

    def counted(text: str) -> list[Token]:
        parsed.append(len(text))
        return parse(text)

    monkeypatch.setattr(markup._markdown(), "parse", counted)
    monkeypatch.setattr(markup._markdown(), "parseInline", counted)
    assert without_markdown("*a* " * 25_000).startswith("a a ") and parsed == [100_000]
    long = "*a* &amp; " + "![" * 600_000
    assert without_markdown(long) == long.replace("&amp;", "&")
    assert parsed == [100_000]
