"""Terms found in folded texts, and the characters around them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.processors.mentions.fold_table import Codes
from pipeline.processors.mentions.folding import Folded, Ints, Mask
from pipeline.processors.mentions.letters import Letter, kinds_of_letters

Strings = npt.NDArray[np.str_]


class Spans(NamedTuple):
    """Parts of folded texts, by the numbers of their characters; the text of each goes from `first` to `last`."""

    starts: Ints
    ends: Ints
    first: Ints
    last: Ints

    def where(self, mask: Mask | Ints) -> Spans:
        return Spans(*(column[mask] for column in self))


def before(texts: Folded, spans: Spans, width: int) -> Codes:
    """The `width` characters before each span, the nearest first; 0 before the text."""
    at = spans.starts[:, None] - np.arange(1, width + 1)
    return _read(texts, at, at >= spans.first[:, None])


def after(texts: Folded, spans: Spans, width: int) -> Codes:
    """The `width` characters after each span; 0 after the text."""
    at = spans.ends[:, None] + np.arange(width)
    return _read(texts, at, at < spans.last[:, None])


def _read(texts: Folded, at: Ints, inside: Mask) -> Codes:
    return np.where(inside, texts.codes[np.where(inside, at, 0)], 0).astype(np.uint32)


def is_letter(codes: Codes) -> Mask:
    """Whether each character is a letter or digit of a script that separates words; an underscore is none."""
    kinds = kinds_of_letters()[codes]
    letters: Mask = ((kinds == Letter.WORD) | (kinds == Letter.MARK)) & (codes != ord("_"))
    return letters


def leading(mask: Mask) -> Ints:
    """How many columns from the left are true, in each row."""
    columns: Ints = np.logical_and.accumulate(mask, axis=1).sum(axis=1)
    return columns


def words(codes: Codes) -> Strings:
    """The letters at the left of each row, as a text; blank if the word goes on, beyond the width or after an underscore."""
    mask = np.logical_and.accumulate(is_letter(codes), axis=1)
    beyond = np.minimum(mask.sum(axis=1), codes.shape[1] - 2)[:, None]
    this, then = (np.take_along_axis(codes, beyond + n, axis=1) for n in (0, 1))
    goes_on = mask[:, -1:] | ((this == ord("_")) & is_letter(then))
    letters = np.where(mask & ~goes_on, codes, 0).astype(np.uint32)
    return np.ascontiguousarray(letters).view(f"U{codes.shape[1]}").ravel()
