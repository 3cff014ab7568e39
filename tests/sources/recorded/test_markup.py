"""A text without marks, or with bare tags alone, reads the same with the parser and without it."""

from __future__ import annotations

import html
import random
import re
import time
from collections.abc import Iterator

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.sources.recorded import markup
from pipeline.sources.recorded.markup import without_html, without_markdown

MARKDOWN = (
    "acme ", "late", " ", "\n", "\n\n", "-", "- ", "1. ", "1.", "#", "> ", "=", "===\n", "_", "~", "|", "]", "[", "(", ")",
    "*", "**",
    "  \n", ":", "!", "<3", "\t", "---", "a_b", "é", "\xa0", "&", "+", ". ", "`", "```", "\\", "    ", "](x)", "* ", "~~",
    "\n \n", "\r",
    "<b>",
)  # fmt: skip
WORDS = (
    "acme", " late ", "\n", "  ", "&amp;", "&nbsp;", "&lt;3", "é", "3 > 2", "<br>", "<br />", "<hr>", '<i class="x">y</i>',
    "<script>z</script>", "<table><tr><td>1</td><td>2</td></tr></table>", '<P id="a>b">w</P>', "<pre> a\n b</pre>",
)  # fmt: skip
TAGS = ("p", "div", "ul", "blockquote", "b", "em", "code", "a", "span")


def texts_of(pieces: tuple[str, ...]) -> Iterator[str]:
    rng = random.Random(7)
    for _ in range(3_000):
        yield "".join(rng.choices(pieces, k=rng.randint(1, 12)))


def test_markdown() -> None:
    texts = [html.unescape(text) for text in texts_of(MARKDOWN)]
    parsed = [markup._tidy("".join(markup._shown(markup._markdown().parse(text)))) for text in texts]
    assert [without_markdown(text) for text in texts] == parsed
    assert sum(markup._BLOCK_MARK.search("\n" + text) is None for text in texts) > 200


def element(rng: random.Random, depth: int) -> str:
    inner = [element(rng, depth - 1) if depth and rng.random() < 0.4 else rng.choice(WORDS) for _ in range(rng.randint(1, 4))]
    tag = rng.choice(TAGS if depth else ("h2", *TAGS))
    return f"<{tag}>{''.join(f'<li>{each}</li>' if tag == 'ul' else each for each in inner)}</{tag}>"


def by_nodes(text: str) -> str:
    """The text, with a line end before and after each block of the parsed document."""
    tree = LexborHTMLParser(re.sub(r"\s+", " ", text))
    tree.strip_tags(["script"])
    for node in tree.css("br, p, div, li, tr, h2, blockquote, pre, ul, table, hr"):
        node.insert_before("\n")
        if node.tag != "br":
            node.insert_after("\n")
    assert tree.root is not None
    return markup._tidy(tree.root.text(deep=True))


def test_html() -> None:
    rng = random.Random(7)
    texts = ["".join(element(rng, 3) for _ in range(3)) for _ in range(1_000)]
    assert [without_html(text) for text in texts] == [by_nodes(text) for text in texts]
    assert sum("class" in text for text in texts) > 300 < sum("class" not in text for text in texts)


def test_blank_lines_without_end_are_read_at_once() -> None:
    assert without_markdown("\n" * 90_000 + " " * 5_000 + "acme") == "acme"


PLAIN = (
    *(
        "kettle",
        " leaks",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\xa0",
        "&amp;",
        "&lt;b&gt;",
        "&#39;",
        "&nbsp;",
        "&quot;",
        "é",
        "👍",
        ">",
    ),
    *("a > b", '"', "<br>", "<br/>", "<br />", "</br>", "</p>", "<hr>"),
)
PLAIN_TAGS = (
    *(
        "p",
        "p",
        "p",
        "span",
        'span class="invisible"',
        'a href="https://a.example/?b=1&amp;c=2" rel="tag"',
        "em",
        "strong",
        "b",
    ),
    *("ul", "li", "blockquote", "h3", "pre", "code", 'P CLASS="x"', "div", "del"),
)
MOVING = (
    *("<script>x</script>", "<style>p{}</style>", "<title>t</title>", "<table><tr><td>1</td></tr></table>", "<!-- c -->", "<"),
    *("< b", '<a title="1 > 0">', "<a title='1 > 0'>", '<img alt="x">', "<p", "</p", "<!DOCTYPE html>", "<textarea>", "<p/x>"),
)


def written(rng: random.Random, words: tuple[str, ...], tags: tuple[str, ...] = PLAIN_TAGS, depth: int = 0) -> str:
    """Tags up to three deep, no heading or list item in itself: a parser ignores its second end tag, here it ends a line."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        if depth < 3 and rng.random() < 0.5:
            tag = rng.choice(tags)
            inner = tuple(each for each in tags if each != tag or tag not in ("h3", "li"))
            parts.append(f"<{tag}>{written(rng, words, inner, depth + 1)}</{tag.split()[0]}>")
        else:
            parts.append(rng.choice(words))
    return "".join(parts)


@pytest.mark.parametrize(("words", "plain"), [(PLAIN, 1_500), ((*PLAIN, *MOVING), 200)])
def test_plain_tags_show_what_a_parser_shows(words: tuple[str, ...], plain: int) -> None:
    rng = random.Random(7)
    texts = [text for text in (written(rng, words) for _ in range(3_000)) if "<" in text]
    assert sum(markup._without_plain_tags(text) is not None for text in texts) > plain
    parsed = [markup.shown_text(markup.html_tree(text)) for text in texts]
    assert [text for text, shown in zip(texts, parsed, strict=True) if without_html(text) != shown] == []


@pytest.mark.parametrize("piece", MOVING)
def test_other_tags_need_the_parser(piece: str) -> None:
    assert markup._without_plain_tags(f"<p>a</p>{piece}b") is None


@pytest.mark.parametrize("piece", ["<div>", "<blockquote>", "<a><b>", "<table><tr><td>", "<DIV CLASS=x>"])
def test_tags_in_tags_without_end_take_no_minute(piece: str) -> None:
    began = time.process_time()
    assert without_html(f"{piece * (400_000 // len(piece))}it &amp; is<script></script> cold") == "it & is\ncold"
    assert time.process_time() - began < 3
    assert without_html("<div>" * 300 + "it is<script>no</script> cold" + "</div>" * 300) == "it is cold"
    assert without_html("<div>a</div>" * 5_000 + "<video>") == "\n".join(["a"] * 5_000)
