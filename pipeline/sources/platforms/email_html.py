"""The text of an HTML mail, with its quoted parts in the form that plain text has for them (email_text.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.sources.recorded.markup import html_tree, shown_text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

LONGEST = 500_000
"""Characters that are read; mails of over 100,000 are newsletters."""
_MOST_QUOTES = 100
"""Each is found from the beginning of the text on."""
_QUOTED = "blockquote, .gmail_quote, .gmail_quote_container, .yahoo_quoted, .protonmail_quote, .zmail_extra, .tutanota_quote"
_SIGNATURES = ".gmail_signature, .gmail_signature_prefix, .moz-signature, #Signature, #ms-outlook-mobile-signature"
_DIVIDERS = (
    "#divRplyFwdMsg, #x_divRplyFwdMsg, #appendonsend, #OLK_SRC_BODY_SECTION, #zwchr, hr#stopSpelling, .OutlookMessageHeader, "
    "#mail-editor-reference-message-container, #replySplit, .moz-forward-container, "
    '[style*="border-top:solid #E1E1E1"], [style*="border-top:solid #B5C4DF"], [style*="border-top:1px solid #B5C4DF"]'
)
"""Above these programs of Microsoft, Zimbra and others put what is new."""
DIVIDER = "----- Original Message -----"


def plain_of_html(html: str, *, quotes: bool = True) -> str:
    """The text that a browser would show; with `quotes`, a quoted part is a line >, and DIVIDER stands where a program put the
    mail that is answered."""
    tree = html_tree(html[:LONGEST])
    if quotes:
        _mark(tree)
    return shown_text(tree)


def _mark(tree: LexborHTMLParser) -> None:
    for selector, mark in ((_DIVIDERS, f"\n{DIVIDER}\n"), (_QUOTED, "\n>\n"), (_SIGNATURES, "")):
        for _ in range(_MOST_QUOTES):
            node = tree.css_first(selector)
            if node is None:
                break
            if mark:
                node.insert_before(mark)
            if selector == _DIVIDERS:
                break  # all behind the first is cut
            node.decompose()
