"""Accounts end where their names end: `@acme.bsky.social`, `@acme@server` and `@acme.fanclub` are no @acme, `@acme.` is.

A name goes on after a full stop or an @ with a letter, digit or underscore behind it; on platforms whose names have hyphens
(DASHED) after a hyphen, too. A keyword that is only a part of an account's name is not found in it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipeline.processors.mentions.fold_table import SIZE, Codes
from pipeline.processors.mentions.folding import Folded, Mask
from pipeline.processors.mentions.spans import Spans, after, before, leading

DASHED = ("bluesky", "github", "gitlab", "linkedin", "mastodon", "reddit", "youtube")
LONGEST = 64
_AT, _DOT, _DASH, _UNDERSCORE = map(ord, "@.-_")
GOES_ON = np.isin(np.arange(SIZE), (_AT, _DOT, _DASH))
"""Whether an account's name may go on at a character right beside a term."""


def is_other_account(texts: Folded, spans: Spans, handles: Mask, platforms: pl.Series | None) -> Mask:
    """Whether each term is a part of another account's name. `handles`: which of them are handles with their @."""
    dashed = np.zeros(len(handles), np.bool_) if platforms is None else platforms.is_in(DASHED).fill_null(False).to_numpy()
    goes_on = _goes_on(texts, spans, dashed)
    heads = before(texts, spans, LONGEST)
    name = leading(_is_name(heads) | (heads == _AT) | (heads == _DOT) | (dashed[:, None] & (heads == _DASH)))
    # The first @ of the run: `name` characters before the term, after full stops and hyphens in front of it.
    run = np.arange(LONGEST) < name[:, None]
    punctuation = run & ((heads == _DOT) | (heads == _DASH))
    trailing = leading(np.flip(punctuation | ~run, axis=1)) - (LONGEST - name)
    first = np.take_along_axis(heads, np.maximum(name - trailing - 1, 0)[:, None], axis=1)[:, 0]
    in_account = (name > trailing) & (first == _AT) & GOES_ON[heads[:, 0]]
    return np.where(handles, goes_on, in_account & (goes_on | (name - trailing > 1)))


def _goes_on(texts: Folded, spans: Spans, dashed: Mask) -> Mask:
    tails = after(texts, spans, 2)
    # Folding makes a plain hyphen of a dash, and a plain letter of é: neither goes on.
    this, then = (texts.source[np.minimum(spans.ends + n, len(texts.source) - 1)] for n in (0, 1))
    hyphen = dashed & (tails[:, 0] == _DASH) & (this == _DASH)
    goes_on: Mask = ((tails[:, 0] == _DOT) | (tails[:, 0] == _AT) | hyphen) & _is_name(tails[:, 1]) & (then < 128)
    return goes_on


def _is_name(codes: Codes) -> Mask:
    digit, letter = (codes >= ord("0")) & (codes <= ord("9")), (codes >= ord("a")) & (codes <= ord("z"))
    name: Mask = digit | letter | (codes == _UNDERSCORE)
    return name
