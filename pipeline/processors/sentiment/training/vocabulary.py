"""Chooses a model's pieces: those that the texts use, and every single character, so that no new word is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from pipeline.processors.sentiment.training.base import SPECIAL
from pipeline.processors.sentiment.training.fit import Texts

LONGEST = 128


def pruned(pieces: Sequence[tuple[str, float]], tokenizer: Tokenizer, texts: Sequence[str], size: int) -> list[int]:
    """The indices of `size` pieces, in order: the special ones, single characters, then those that `texts` use most."""
    used: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        used.update(encoding.ids)
    always = [index for index, (piece, _) in enumerate(pieces) if index < len(SPECIAL) or len(piece) == 1]
    more = [index for index, _ in used.most_common() if index not in set(always)]
    return sorted([*always, *more[: size - len(always)]])


def read(tokenizer: Tokenizer, texts: Sequence[str]) -> Texts:
    """The texts as pieces, cut to LONGEST."""
    tokenizer.enable_truncation(LONGEST)
    encoded = tokenizer.encode_batch_fast(list(texts))
    pieces = np.concatenate([np.array(encoding.ids, np.uint16) for encoding in encoded])
    return Texts(pieces, np.concatenate([[0], np.cumsum([len(encoding) for encoding in encoded])]).astype(np.int64))
