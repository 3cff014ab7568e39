"""Joined hashtags: the words in #BoycottAcme, #acme2026 and #boycottacme.

A hashtag can be cut where a capital follows a small letter, before the last of several capitals that a small letter follows
(#ACMEFail), between letters and digits, and at underscores. A term counts if it reaches from one cut to another, or if terms,
one right after the other, do: #boycottacme has no cut inside, so it is read only if known terms cover the whole of it.
"""

from __future__ import annotations

import numpy as np

from pipeline.processors.mentions.fold_table import SIZE
from pipeline.processors.mentions.folding import Folded, Ints, Mask
from pipeline.processors.mentions.letters import Case, Letter, cases, kinds_of_letters
from pipeline.processors.mentions.spans import Spans

LONGEST = 140


def are_words(texts: Folded, spans: Spans, wanted: Mask, behind: Mask) -> Mask:
    """Which of the `spans` are words of a joined hashtag; only hashtags with a `wanted` one are looked at. A term may go on
    after the hashtag (#BoycottMcDonald's) if no letter is `behind` it."""
    found, signs = np.zeros(len(wanted), np.bool_), np.flatnonzero(texts.codes == ord("#"))
    if not signs.size:
        return found
    sign = np.searchsorted(signs, spans.starts) - 1
    near = (sign >= 0) & (signs[sign] >= spans.first) & (spans.ends - signs[sign] <= LONGEST)
    tags, tag = np.unique(sign[near & wanted], return_inverse=True)
    if not tags.size:
        return found
    last = np.zeros(len(tags), np.int64)
    last[tag] = spans.last[near & wanted]
    inside = np.flatnonzero(near & np.isin(sign, tags))
    tag = np.searchsorted(tags, sign[inside])
    cuts, lengths = _cuts(texts, signs[tags], last)
    starts, ends = spans.starts[inside] - signs[tags][tag] - 1, spans.ends[inside] - signs[tags][tag] - 1
    whole = ends <= lengths[tag]
    beyond = np.flatnonzero(~whole & (starts < lengths[tag]) & ~behind[inside])
    found[inside[beyond]] = cuts[tag[beyond], starts[beyond]]
    inside, tag, starts, ends = inside[whole], tag[whole], starts[whole], ends[whole]
    reached, reaching = _spread(cuts, tag, starts, ends), _spread(cuts, tag, ends, starts)
    found[inside] = reached[tag, starts] & reaching[tag, ends]
    return found


def _cuts(texts: Folded, signs: Ints, last: Ints) -> tuple[Mask, Ints]:
    """Where each hashtag can be cut, by the number of characters after its #; and how many it has."""
    at = signs[:, None] + 1 + np.arange(LONGEST)
    inside = at < last[:, None]
    kinds = cases()[np.minimum(texts.source[np.where(inside, at, 0)].astype(np.uint32), SIZE - 1)]
    lengths = np.logical_and.accumulate(inside & (kinds != Case.END), axis=1).sum(axis=1)
    before = kinds_of_letters()[texts.codes[np.maximum(signs - 1, 0)]]
    lengths[(signs > 0) & (before == Letter.WORD) & ~_begins(texts, signs)] = 0
    cuts = np.zeros((len(signs), LONGEST + 1), np.bool_)
    this, then = kinds[:, :-1], kinds[:, 1:]
    cuts[:, 1:-1] = (then == Case.UPPER) & (this != Case.UPPER)
    cuts[:, 1:-1] |= (this == Case.DIGIT) != (then == Case.DIGIT)
    cuts[:, 1:-1] |= (this == Case.SPLIT) | (then == Case.SPLIT)
    cuts[:, 1:-2] |= (kinds[:, :-2] == Case.UPPER) & (kinds[:, 1:-1] == Case.UPPER) & (kinds[:, 2:] == Case.OTHER)
    cuts &= np.arange(LONGEST + 1) < lengths[:, None]
    cuts[:, 0] = True
    cuts[np.arange(len(signs)), lengths] = True
    return cuts, lengths


def _begins(texts: Folded, signs: Ints) -> Mask:
    """Whether each # is the first character of its text."""
    borders = texts.numbers(texts.offsets)
    begins: Mask = borders[np.minimum(np.searchsorted(borders, signs), len(borders) - 1)] == signs
    return begins


def _spread(cuts: Mask, tag: Ints, origins: Ints, targets: Ints) -> Mask:
    """The places that can be reached from the cuts, over terms one after the other."""
    reached = cuts.copy()
    known = -1
    while (count := int(reached.sum())) > known:
        known = count
        on = reached[tag, origins]
        reached[tag[on], targets[on]] = True
    return reached
