"""Texts as a reader sees them: without markup, with the characters that entities and escapes stand for.

- HTML: tags, attributes, comments, scripts and styles go; a block (a paragraph, a list item) is apart from its neighbours,
  other tags join the texts around them (`<b>Ac</b>me`). Entities become their characters, also those that were escaped twice.
- Markdown, BBCode, wikis and Slack: a link's text stays, its target and title go; pictures go whole. Backslashes before
  punctuation go; line breaks that were written as `\\n` are spaces.
- Addresses with a scheme or www. are targets of links, wherever they stand. `acme.com` and `me@acme.org` are text.

Only texts with one of CHANGED or REMOVED are prepared. Columnar: some ten regular expressions over these texts.
"""

from __future__ import annotations

import html
from html.entities import html5

import polars as pl

CHANGED = ("<", "&", "\\", "`", "\x7f")
"""Without one of these, and without an address, a text has no term that its stored form has not."""
CHANGED_RE2 = r"<[A-Za-z!?/@]|&[#A-Za-z]|\\[nrt!-/:-@\[-`{-~]|[`\x7f\x00-\x08\x0e-\x1b]"
"""The ASCII texts that preparation or folding may change so that they have other terms, as a pattern for ClickHouse."""
REMOVED = ("://", "www.", "[")
"""The beginnings of what can only take terms away."""

_BLOCKS = (
    "address|article|aside|audio|blockquote|body|br|button|canvas|caption|center|col|dd|details|dialog|div|dl|dt|embed|fieldset"
    "|figcaption|figure|footer|form|frame|h[1-6]|head|header|hr|html|iframe|img|input|legend|li|link|main|map|meta|nav|noscript"
    "|object|ol|optgroup|option|p|param|picture|pre|section|select|source|sup|svg|path|table|tbody|td|textarea|tfoot|th|thead|title"
    "|tr|track|ul|video"
)
_INLINE = (
    "a|abbr|acronym|b|bdi|bdo|big|blink|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|marquee|meter|nobr|q|rp|rt|ruby|s|samp"
    "|small|span|strike|strong|sub|summary|time|tt|u|var|wbr"
)
_ATTRIBUTES = r"""(?:[^<>"']|"[^"]*"|'[^']*')*"""
_REST = rf"(?:[\s/]{_ATTRIBUTES})?>"
_NO_TEXT = r"(?is)<!--.*?-->|<script\b.*?</script\s*>|<style\b.*?</style\s*>|<!doctype[^>]*>|<\?xml[^>]*>"
_HTML = (
    (_NO_TEXT, " "),
    (rf"(?is)</?(?:{_BLOCKS}){_REST}", " "),
    (rf"(?is)</?(?:{_INLINE}){_REST}", ""),
    (rf"(?is)<[a-z][\w:-]*\s{_ATTRIBUTES}={_ATTRIBUTES}>|</[a-z][\w:-]*\s*>", ""),
    (rf"(?is)<(?:{_BLOCKS}|{_INLINE})\s[^<>]*\z", " "),
    (r"(?i)<[a-z][a-z0-9+.-]*:[^\s<>|]*\|([^<>\n]*)>", " $1 "),
    (r"<@[A-Z0-9]+\|([^<>\n]*)>", "@$1"),
)
_TARGET = r"""\(\s*(?:<[^<>\n]*>|(?:[^\s()<>]|\([^\s()]*\))*)(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)"""
_BBCODE = (
    r"b|i|u|s|url|img|quote|code|list|size|color|colour|font|email|user|mention|spoiler|center|left|right|align"
    r"|table|tr|td|th|attach|noparse|indent|sub|sup|hr|ol|ul|li|\*"
)
_BRACKETS = (
    (rf"!\[[^\]\n]*\]{_TARGET}", " "),
    (rf"\]{_TARGET}", "] "),
    (r"\[\[(?:[^\]|\n]*\|)([^\]\n]*)\]\]", "$1"),
    (r"(?is)\[img\b[^\]\n]*\].*?\[/img\]", " "),
    (r"(?i)\[(?:youtube|vimeo|video|media)\b[^\]\n]*\][^\[\n]*\[/(?:youtube|vimeo|video|media)\]", " "),
    (rf"(?i)\[/?(?:{_BBCODE})(?:=[^\]\n]*|\s[^\]\n=]*=[^\]\n]*)?\]", ""),
)
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_PLACE = rf"(?:[/=#?&_-][{_UNSPACED}ー]+|[^\s<>\"“”«»\[\]{{}}|\\^`{_UNSPACED}ー、-〟！（），：；？…])*"
_ADDRESSES = rf"(?i)(?:https?://|\b[a-z][a-z0-9+.-]*://|\bwww\.){_PLACE}"
_REST_OF_IT = ((_ADDRESSES, " "), (r"\\[nrt]", " "), (r"\\([!-/:-@\[-`{-~])", "$1"), ("`", "'"), ("\x7f", ""))
_ESCAPED_TWICE = (("&(?:amp|AMP|#0*38|#[xX]0*26);", "&"),)
_ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31};)"


def prepared(texts: pl.Series) -> pl.Series:
    """The texts as a reader sees them; null stays null."""
    texts = decoded(texts)
    families = [family for sign, family in (("<", _HTML), ("[", _BRACKETS)) if _any(texts, sign)]
    return _replaced(texts, *families, _REST_OF_IT)


def decoded(texts: pl.Series) -> pl.Series:
    """The texts with the characters that entities stand for."""
    return _entities(_replaced(texts, _ESCAPED_TWICE)) if _any(texts, "&") else texts


def _entities(texts: pl.Series) -> pl.Series:
    names = texts.str.extract_all(_ENTITY + ";?").explode().drop_nulls().unique().sort(descending=True).to_list()
    meant = {name: html.unescape(name) for name in names if name[1] == "#" or name[1:] in html5}
    known = {name: text for name, text in meant.items() if text != name}
    return texts.str.replace_many(list(known), list(known.values()), leftmost=True) if known else texts


def _any(texts: pl.Series, character: str) -> bool:
    return bool(texts.str.contains(character, literal=True).any())


def _replaced(texts: pl.Series, *families: tuple[tuple[str, str], ...]) -> pl.Series:
    column = pl.col(texts.name)
    for pattern, by in (pair for family in families for pair in family):
        column = column.str.replace_all(pattern, by)
    return texts.to_frame().select(column).to_series()
