"""HTML that somebody wrote on purpose: a parser reads it in bounded time and memory, and other HTML as a browser shows it."""

from __future__ import annotations

import random
import time

import pytest

from pipeline.sources.recorded import markup
from pipeline.sources.recorded.plain_html import DEEPEST_TAGS
from tests.sources.recorded.test_markup import MOVING, PLAIN, written

BROKEN = ("<", "< b", "<p", "</p", "<textarea>")
"""Tags without an end: a browser shows nothing of them, here they are text."""
FORMATTING = "".join(f"<b id={number}>" for number in range(400))


@pytest.mark.parametrize(
    "html",
    [
        f"<nav>{FORMATTING}</nav>{'<nav>a</nav>' * 3_000}",
        f"<nav>{FORMATTING.replace('>', '><object></b></object>')}</nav>{'<nav>a</nav>' * 3_000}",
        f"<dd>{FORMATTING.replace('<b', '<FONT')}</dd>{'<dd>a' * 3_000}",
        f"<svg><address>{FORMATTING.replace('<b', '<<b>i')}</address></svg>{'<dt>a' * 3_000}",
    ],
    ids=["bold", "in objects", "fonts", "within"],
)
def test_formatting_is_not_opened_again_in_each_paragraph(html: str) -> None:
    assert len(markup.html_tree(html).css("*")) < 20_000
    assert markup.without_html(html).endswith("a" * 3_000)


@pytest.mark.parametrize(
    "piece",
    [
        "<div></x>",
        "<div><!--</div>-->",
        "<div title='</div>'>",
        "<x><div></x>",
        "<div><style></div></style>",
        "<section></div>",
    ],
)
def test_tags_nest_no_deeper_than_a_parser_bears(piece: str) -> None:
    deepest = markup.html_tree(piece * 3_000 + "<p class=last>it is cold").css_first(".last")
    depth = 0
    while deepest is not None:
        depth, deepest = depth + 1, deepest.parent
    assert 0 < depth < DEEPEST_TAGS + 20


def test_a_tag_with_attributes_without_end() -> None:
    attributes = " ".join(f"a{number}=1" for number in range(10_000))
    (tag,) = markup.html_tree(f"<p {attributes} class='quote \"x' href=>a</p>").css("p")
    assert tag.attributes == {"class": 'quote "x'}


@pytest.mark.parametrize(
    "piece", ["<!--", "<b ", "<style>", "</table>", "<table>", '<a class="', "<![CDATA[", "<y><table></y>"]
)
def test_time_grows_with_the_length_alone(piece: str) -> None:
    began = time.process_time()
    markup.without_html(piece * (400_000 // len(piece)))
    assert time.process_time() - began < 3


def test_it_shows_what_a_browser_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(11)
    texts = [written(rng, (*PLAIN, *(piece for piece in MOVING if piece not in BROKEN))) for _ in range(2_000)]
    shown = [markup.shown_text(markup.html_tree(text)) for text in texts]
    monkeypatch.setattr(markup, "MOST_HTML", -1)
    assert [text for text, was in zip(texts, shown, strict=True) if markup.shown_text(markup.html_tree(text)) != was] == []


def test_a_number_without_end_stands_for_no_character() -> None:
    assert markup.unescaped(f"a &amp; &#{'1' * 5_000}; &#65;") == "a & \ufffd A"
    assert markup.without_html(f"<p>&#{'1' * 5_000}") == markup.without_markdown(f"&#{'1' * 5_000}") == "\ufffd"
