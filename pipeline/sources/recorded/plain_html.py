"""Plain HTML in place of HTML that somebody wrote on purpose: the same words and tags, which a parser reads in bounded time.

Parsers open <b>, <i> and other formatting again in each paragraph (20 KB become a gigabyte), look through all open tags at each
tag, and through all attributes at each attribute. The HTML that this module returns is nested in order, at most DEEPEST_TAGS
deep, without formatting, comments, scripts and styles, and has no attributes but those that somebody asks for.
"""

from __future__ import annotations

import re
from collections import Counter

DEEPEST_TAGS = 500
"""Tags in tags. Browsers stop at 512."""
_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)|<[!?][^<>]*>|<(/?)([a-zA-Z][^\s/<>]*)(?:((?:[^<>"']|"[^"<]*"|'[^'<]*')*+)|([^<>]*))>""", re.DOTALL
)
_ATTRIBUTE = re.compile(
    r"""(?<![^\s"'/])(class|id|href|style|alt|data-onebox-src)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
"""Those by which readers of the tree find something."""
_FORMATTING = frozenset(("b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"))
_UNSEEN = frozenset(("noscript", "script", "style", "template", "title"))
_ENDS = {name: re.compile(rf"</{name}[\s/>]", re.IGNORECASE) for name in _UNSEEN}
_WITHOUT_TAG = frozenset(
    ("applet", "button", "form", "frame", "frameset", "head", "iframe", "listing", "marquee", "math", "noembed", "noframes",
     "object", "optgroup", "option", "plaintext", "select", "svg", "textarea", "xmp")
)  # fmt: skip
"""Their words stay: within these tags, parsers have other rules."""
_CLOSE_THEMSELVES = frozenset(
    ("area", "base", "br", "caption", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "p",
     "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr")
)  # fmt: skip


def plain_html(text: str) -> str:
    """HTML that shows what `text` shows."""
    parts, open_tags, at = list[str](), _Open(), 0
    while found := _TOKEN.search(text, at):
        parts.append(text[at : found.start()].replace("<", "&lt;"))
        at = found.end()
        name = (found[2] or "").lower()
        if name in _UNSEEN:
            if not found[1]:
                end = _ENDS[name].search(text, at)
                at = end.start() if end else len(text)
                parts.append(open_tags.instead())
        elif name and name not in _WITHOUT_TAG:
            name = "span" if name in _FORMATTING else name
            parts.append(open_tags.end(name) if found[1] else open_tags.start(name, found[3] or found[4] or ""))
    parts.append(text[at:].replace("<", "&lt;"))
    return "".join(parts)


class _Open:
    """The tags that are open. An end tag within a table closes none around it, as in a browser."""

    def __init__(self) -> None:
        self._levels: list[list[str]] = [[]]
        """For each table in a table."""
        self._counts = [Counter[str]()]
        self._depth = 0

    def start(self, name: str, attributes: str) -> str:
        kept = f"<{name}{_kept(attributes)}>"
        if name in _CLOSE_THEMSELVES:
            return kept
        if instead := self.instead():
            return instead
        self._depth += 1
        if name == "table":
            self._levels.append([])
            self._counts.append(Counter())
        else:
            self._levels[-1].append(name)
            self._counts[-1][name] += 1
        return kept

    def instead(self) -> str:
        """In place of a tag that would nest too deep."""
        return "\f" if self._depth >= DEEPEST_TAGS else ""

    def end(self, name: str) -> str:
        if name in _CLOSE_THEMSELVES:
            return f"</{name}>"
        is_open = len(self._levels) > 1 if name == "table" else self._counts[-1][name] > 0
        if not is_open:
            return f"</{name}>"  # a parser passes over it
        ends = list[str]()
        while self._levels[-1] and ends[-1:] != [f"</{name}>"]:
            inner = self._levels[-1].pop()
            self._counts[-1][inner] -= 1
            self._depth -= 1
            ends.append(f"</{inner}>")
        if name == "table":
            self._levels.pop()
            self._counts.pop()
            self._depth -= 1
            ends.append("</table>")
        return "".join(ends)


def _kept(attributes: str) -> str:
    if "=" not in attributes:
        return ""
    kept: dict[str, str] = {}
    for found in _ATTRIBUTE.finditer(attributes):
        value = next(filter(None, found.group(2, 3, 4)), "")
        kept.setdefault(found[1].lower(), value.replace('"', "&quot;"))
    return "".join(f' {name}="{value}"' for name, value in kept.items())
