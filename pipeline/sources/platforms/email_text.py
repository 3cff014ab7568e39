"""The new text of a mail: without the mails that it quotes, and without its signature.

Lines decide, by rules whose time grows with the text's length. The package mail-parser-reply knows how letters end in 13
languages; its patterns need up to 6 s for 10,000 characters that someone wrote on purpose, so it reads the end alone: 1 ms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from pipeline.sources.platforms.email_words import DIVIDERS, FROM, SENT, SENT_FROM, SUBJECT, WROTE

LONGEST = 100_000
"""Characters of a mail's text; what is behind them is left out."""
_END_LINES, _END_LINE, _END_CHARACTERS = 20, 100, 1_000
"""What mail-parser-reply reads of the end of a text: so many lines, of so many characters each, and so many together."""
_SIGNATURE_LINES = 10
_NAMES = 4
_FOOTER_LINES = 6
_HEADER_LINES = 8
_ATTRIBUTION_LINES, _ATTRIBUTION = 3, 300
_DIVIDER = re.compile(rf"[>\s]*[-_=*]{{2,}}\s?(?:{DIVIDERS})\b", re.IGNORECASE)
_FROM = re.compile(rf"[>*\s]*(?:{FROM})[* ]*[:：]", re.IGNORECASE)
_SENT = re.compile(rf"[>*\s]*(?:{SENT})[* ]*[:：]", re.IGNORECASE)
_SUBJECT = re.compile(rf"[>*\s]*(?:{SUBJECT})[* ]*[:：]", re.IGNORECASE)
_WROTE = re.compile(rf"(?:{WROTE})", re.IGNORECASE)
_COLONS = (":", "：")
_WHEN = re.compile(r"\d{1,4}[.:/年.-]\s?\d{1,2}|\b(?:19|20)\d\d\b|@")
_BEGINS = re.compile(
    r"[-*\s]*(?:On|Am|Le|El|Il|Op|Den|Dnia|Dne|W dniu|Em|В|På|Mon|Tue|Wed|Thu|Fri|Sat|Sun|\d+)\b", re.IGNORECASE
)
_SENT_FROM = re.compile(rf"(?:{SENT_FROM})\b.{{0,60}}$", re.IGNORECASE)
_POSTSCRIPT = re.compile(r"p\.? ?s\b", re.IGNORECASE)
_RULE = re.compile(r"[-_=*]{20,}")


def new_text(text: str) -> str:
    """What the author wrote into this mail; of a mail that is forwarded without a word, the forwarded one."""
    lines = [line.rstrip() for line in text[:LONGEST].split("\n")]
    unquoted = _without_quotes(lines)
    written = _joined(unquoted[: _divider(unquoted)])
    if not written:
        return "\n".join(_joined(unquoted))
    return "\n".join(_without_signature(written) or written)


def _without_quotes(lines: list[str]) -> list[str]:
    """Without the lines that begin with >, and the line above them that names their author."""
    kept: list[str] = []
    inside = False
    for line in lines:
        if line.lstrip().startswith(">"):
            if not inside:
                del kept[_attribution(kept) :]
            inside = True
        else:
            inside = inside and not line
            kept.append(line)
    return kept


def _attribution(lines: list[str]) -> int:
    """Where the lines begin that name the author of the quote below them; the number of lines, if none do."""
    last = len(lines) - 1
    while last >= 0 and not lines[last]:
        last -= 1
    if last < 0 or not lines[last].endswith(_COLONS):
        return len(lines)
    first = _first_of_attribution(lines, last, quoted=True)
    return first if first >= 0 else len(lines)


def _first_of_attribution(lines: list[str], last: int, *, quoted: bool) -> int:
    """The first line of a sentence that names the author of a quote and ends in line `last`; below zero, if it is none."""
    found, fits = "", -1
    for first in range(last, max(last - _ATTRIBUTION_LINES, -1), -1):
        found = f"{lines[first]} {found}"
        if not lines[first] or len(found) > _ATTRIBUTION:
            break
        if _WHEN.search(found) and (quoted or _WROTE.search(found)):
            fits = max(fits, first)
            if _BEGINS.match(lines[first]):
                return first
    return fits


def _divider(lines: list[str]) -> int:
    """Where the mail that is answered begins, of which no line begins with >; the number of lines, if none does."""
    for at, line in enumerate(lines):
        begins = line[:_ATTRIBUTION]
        if _DIVIDER.match(begins) or (_FROM.match(begins) and _heads(lines, at)):
            return at
        if line.endswith(_COLONS) and (first := _first_of_attribution(lines, at, quoted=False)) >= 0:
            return first
    return len(lines)


def _heads(lines: list[str], at: int) -> bool:
    """Whether a line `From:` is the first of a mail's header lines, as a form's that a website sends is not."""
    below = [line[:_ATTRIBUTION] for line in lines[at + 1 : at + 1 + _HEADER_LINES]]
    return any(map(_SUBJECT.match, below)) and any(map(_SENT.match, below))


def _joined(lines: list[str]) -> list[str]:
    """Without blank lines at both ends, and at most one in a row."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _without_signature(lines: list[str]) -> list[str]:
    kept = _above(lines, lambda line: _RULE.fullmatch(line) is not None, _FOOTER_LINES)
    kept = _above(kept, lambda line: line in ("--", "—"), _SIGNATURE_LINES)
    while kept and (not kept[-1] or _SENT_FROM.match(kept[-1].strip())):
        kept.pop()
    return _joined(kept[: _closing(kept)])


def _above(lines: list[str], ends: Callable[[str], bool], most: int) -> list[str]:
    """The lines above the first that `ends` the text, of those with at most so many below them."""
    last = range(max(0, len(lines) - most - 1), len(lines))
    return _joined(lines[: next((at for at in last if ends(lines[at])), len(lines))])


def _closing(lines: list[str]) -> int:
    """Where a letter's closing words begin, with no more than names and addresses below; the number of lines, if none do."""
    first = max(0, len(lines) - _END_LINES)
    end = [line.strip()[:_END_LINE] for line in lines[first:]]
    while sum(map(len, end)) > _END_CHARACTERS:
        del end[0]
        first += 1
    text, at = "\n".join(("", *end)), 0
    while (found := _endings().search(text, at)) is not None:
        if _closes(found[2].strip(), text[found.end(2) :].split("\n")):
            return first + text.count("\n", 0, found.end(2) - len(found[2].lstrip())) - 1
        at = text.find("\n", found.end(2))
        if at < 0:
            break
    return len(lines)


def _closes(words: str, rest: list[str]) -> bool:
    """Whether words that close letters do so here, where `rest` is behind and below them: no sentence follows."""
    behind, below = rest[0], [line for line in rest[1:] if line]
    names = behind.strip(" ,.!").split()
    return (
        bool(words)
        and not behind[:1].isalnum()
        and len(names) <= _NAMES
        and not any(name[0].islower() for name in names)
        and len(below) <= _SIGNATURE_LINES
        and not any(len(line) == _END_LINE or _POSTSCRIPT.match(line) for line in below)
        and (not below or not (below[0][0].islower() or below[0].endswith(("?", "!", "."))))
    )


@cache
def _endings() -> re.Pattern[str]:
    """Finds in its second group how letters end, in all languages that mail-parser-reply knows."""
    from mailparser_reply.constants import MAIL_LANGUAGES
    from mailparser_reply.parser import EmailMessage

    endings: re.Pattern[str] = EmailMessage("", list(MAIL_LANGUAGES), keep_hyphen_lists=True).SIGNATURE_REGEX
    return endings
