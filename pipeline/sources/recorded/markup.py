"""Texts without their markup: HTML, Markdown, and the pieces in which some platforms keep a text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from pipeline.sources.recorded.plain_html import plain_html

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from selectolax.lexbor import LexborHTMLParser

_BREAKS = (
    "br",
    "p",
    "div",
    "li",
    "tr",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "pre",
    "ul",
    "ol",
    "table",
    "hr",
    "article",
    "section",
)
_INLINE = ("a", "abbr", "b", "cite", "code", "del", "em", "i", "ins", "s", "small", "span", "strong", "sub", "sup", "u")
_MARKS = {f"{slash}{name}": "" for name in _INLINE for slash in ("", "/")}
_MARKS |= {f"{slash}{name}": "\n" for name in _BREAKS if name not in ("table", "tr") for slash in ("", "/")} | {"br/": "\n"}
"""In place of tags that neither hide their words nor move them, as a table does."""
_BLOCK_TAG = re.compile(rf"<(?=/?(?:{'|'.join(_BREAKS)})[\s/>])", re.IGNORECASE)
_ENDLESS = re.compile(r"&#[0-9]{1000,};?")
_UNSEEN = ["script", "style", "head", "template", "noscript", "title"]
_INLINE_MARK = re.compile(r"[*`\\~\]<&_]")
_BLOCK_MARK = re.compile(
    r"\n[ \t]*(?:[>#|<]|```|~~~|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|=+[ \t]*(?:\n|$)|:?-+[ \t]*(?:[-|:\n]|$))"
    r"|\n[ \t]*(?:[*_][ \t]*){3,}(?:\n|$)|\n(?: {4}| {0,3}\t)|[\x00\r]|\]:"
)
"""Of Markdown: characters that may be marks within a paragraph, and such as divide or nest paragraphs. A paragraph without
marks needs no parser, which takes fifty times as long."""
_BLANK_LINES = re.compile(r"\n[ \t]*\n")
_TEXTS = ("text", "insert", "plain_text", "simpleText", "value", "runs", "ops", "content", "children", "elements", "blocks")
"""The keys under which a piece has its text or its own pieces, the likeliest first."""
_BLOCKS = (
    "paragraph",
    "p",
    "heading",
    "blockquote",
    "list_item",
    "list-item",
    "listItem",
    "section",
    "rich_text_section",
    "line",
)
DEEPEST = 50
MOST_TAGS, MOST_HTML = 500, 20_000
"""Tags and characters of an HTML text that a parser reads as it is; a larger one may take it a minute and gigabytes."""
LONGEST = 100_000
"""Characters of a text whose Markdown is read: a parser needs up to 24 s for a million that someone wrote on purpose. Platforms
with Markdown allow 40,000 to 65,536."""


def without_html(text: str) -> str:
    """The text that a browser would show: no tags, no scripts, entities as characters, a line for each paragraph."""
    if "<" not in text and "&" not in text:
        return text
    if (words := _without_plain_tags(text)) is not None:
        return _tidy(unescaped(words))
    return shown_text(html_tree(text))


def _without_plain_tags(text: str) -> str | None:
    """The text without its tags, if these are all plain, as most networks send, in a quarter of a parser's time. Else None."""
    first, *pieces = text.replace("\r", " ").replace("\n", " ").split("<")
    parts = [first]
    for piece in pieces:
        tag, end, words = piece.partition(">")
        mark = _MARKS.get(tag)
        if mark is None:
            mark = _MARKS.get(tag.partition(" ")[0])
            if mark is None or "'" in tag or tag.count('"') % 2:
                return None
        if not end:
            return None
        parts += (mark, words)
    return "".join(parts)


def html_tree(text: str) -> LexborHTMLParser:
    """The parsed HTML, with a blank for each line end of the source, and a form feed where the shown line ends. Of a large one
    the attributes are left out, but for a few, and formatting (plain_html.py)."""
    from selectolax.lexbor import LexborHTMLParser

    blanks = text.replace("\n", " ").replace("\r", " ").replace("\f", " ")
    if blanks.count("<") > MOST_TAGS or len(blanks) > MOST_HTML:
        blanks = plain_html(blanks)
    return LexborHTMLParser(_BLOCK_TAG.sub("\f<", blanks))


def unescaped(text: str) -> str:
    """The text with the characters that entities stand for. Python alone raises for a number of over 4,300 digits."""
    return html.unescape(_ENDLESS.sub("\ufffd", text) if "&#" in text else text)


def shown_text(tree: LexborHTMLParser) -> str:
    """The text that a browser would show of what `html_tree` returned; takes scripts and styles out of it."""
    tree.strip_tags(_UNSEEN)
    root = tree.root
    return _tidy(root.text(deep=True).replace("\f", "\n") if root is not None else "")


def without_markdown(text: str) -> str:
    """The text that Markdown shows: no stars and underscores, a link's words without its target, a picture's description.

    A text of over LONGEST characters keeps its marks.
    """
    text = unescaped(text)
    if len(text) > LONGEST:
        return _tidy(text)
    if _BLOCK_MARK.search("\n" + text) is not None:
        return _tidy("".join(_shown(_markdown().parse(text))))
    if _INLINE_MARK.search(text) is None:
        return _tidy(text)
    return _tidy("\n".join(map(_paragraph, _BLANK_LINES.split(text))))


def has_markdown(text: str) -> bool:
    """Whether Markdown may show the text in another way than it stands."""
    return _INLINE_MARK.search(text) is not None or _BLOCK_MARK.search("\n" + text) is not None


def _paragraph(text: str) -> str:
    return text if _INLINE_MARK.search(text) is None else "".join(_shown(_markdown().parseInline(text)))


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _shown(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        if token.children is not None and token.type != "image":
            yield from _shown(token.children)
        elif token.type == "html_block":
            yield without_html(token.content)
        elif token.type == "html_inline":
            yield "\n" if token.content.lower().startswith("<br") else ""
        elif token.type in ("softbreak", "hardbreak"):
            yield "\n"
        else:
            yield token.content
        if token.block and token.nesting <= 0 and token.type != "inline":
            yield " " if token.type in ("td_close", "th_close") else "\n"


def _tidy(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return "\n".join(filter(None, lines))


def joined(node: object, depth: int = 0) -> str | None:
    """The text of pieces, as Telegram, YouTube, Slack and editors keep them; None if the value has no such form."""
    if isinstance(node, str):
        return node
    if depth > DEEPEST:
        return None
    if isinstance(node, list):
        parts = [joined(each, depth + 1) for each in node]
        if any(part is None for part in parts):
            return None
        mark = "\n" if len(node) > 1 and all(isinstance(each, str) for each in node) else ""
        return mark.join(part for part in parts if part is not None)
    if not isinstance(node, dict):
        return None
    if node.get("type") in ("hardBreak", "break", "br"):
        return "\n"
    inner = next((node[key] for key in _TEXTS if isinstance(node.get(key), str | list)), None)
    if inner is None:
        return "" if isinstance(node.get("type"), str) else None
    text = joined(inner, depth + 1)
    return text + "\n" if text is not None and node.get("type") in _BLOCKS else text
