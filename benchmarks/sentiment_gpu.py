"""`make bench-gpu`: the bundled models on a CUDA device, up to the batch that fills it, and their share of its peak.

Self-contained: the texts are made of the model's own pieces, lengths as tweets have them (26 pieces in the mean), and it needs
torch, onnx, tokenizers and numpy only. The card's peak is measured beside it, by a large product of bfloat16 matrices.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from pipeline.processors.sentiment import torch_backend
from pipeline.processors.sentiment.encoder import Encoder, Shape
from pipeline.processors.sentiment.engine import Engine, Ints

MODELS = Path(torch_backend.__file__).parent / "models"
TEXTS, MEAN_PIECES, RUNS = 65_536, 26, 5
BUDGETS = (1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20)


def lengths(count: int) -> Ints:
    """Pieces of a text: log-normal as those of the labelled tweets, special ones included."""
    drawn = np.random.default_rng(1).lognormal(0, 0.45, count)
    pieces: Ints = np.clip(np.round(drawn * MEAN_PIECES / drawn.mean()), 4, 128).astype(np.int64)
    return pieces


def operations(shape: Shape, pieces: Ints) -> float:
    """Floating-point operations of the texts, padding left out: two for each weight, and the attention's products."""
    weights = shape.layers * (4 * shape.hidden**2 + 2 * shape.hidden * shape.inner)
    return float((2 * weights * pieces + 4 * shape.layers * shape.hidden * pieces**2).sum())


def peak() -> float:
    """The operations a second that the card reaches in a product of matrices of 8,192 x 8,192."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / median_s(lambda: a @ b)


def median_s(work: object, runs: int = 20) -> float:
    times = []
    for _ in range(runs + 3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()  # type: ignore[operator]  # any function without arguments
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return statistics.median(times[3:])


def run(name: str, counts: Ints, card: float) -> float:
    """Prints a line a batch size; returns the best texts/s."""
    folder = MODELS / name
    backend = torch_backend.bundled(folder, "cuda")
    network = backend.network
    assert isinstance(network, Encoder)
    random = np.random.default_rng(2)
    ordered = np.sort(counts)
    best = 0.0
    for budget in BUDGETS:
        backend.pieces = budget
        parts = []
        start = 0
        while start < len(ordered):
            size = max(1, int(np.searchsorted(ordered[start:] * np.arange(1, len(ordered) - start + 1), budget, "right")))
            size = 1 << (size.bit_length() - 1)  # full graphs: rows are powers of two
            part = ordered[start : start + size]
            ids = random.integers(4, network.shape.words, (len(part), int(part.max())))
            parts.append((ids, part))
            start += size
        for ids, part in parts:
            backend.logits(ids, part)
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            for ids, part in parts:
                backend.logits(ids, part)
            times.append(time.perf_counter() - began)
        rate = len(counts) / statistics.median(times)
        share = operations(network.shape, counts) / statistics.median(times) / card
        print(
            f"{name:9} batches of {budget:>9,} pieces  {rate:>9,.0f} texts/s  {share:5.1%} of the card's bf16 peak", flush=True
        )
        best = max(best, rate)
    return best


def whole(name: str, counts: Ints) -> None:
    """The same with texts instead of pieces: splitting them is the CPU's work, and stated apart."""
    folder = MODELS / name
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = [piece for piece in tokenizer.get_vocab() if piece.startswith("▁") and piece[1:].isalpha()]
    random = np.random.default_rng(3)
    texts = [" ".join(piece[1:] for piece in random.choice(vocabulary, max(1, count - 2))) for count in counts]
    began = time.perf_counter()
    tokenizer.encode_batch_fast(texts)
    print(f"{name:9} tokenisation alone        {len(texts) / (time.perf_counter() - began):>9,.0f} texts/s on the CPU")
    engine = Engine(tokenizer, torch_backend.bundled(folder, "cuda"), 3, 128)
    engine.run(texts)
    began = time.perf_counter()
    engine.run(texts)
    print(f"{name:9} engine, tokenisation included {len(texts) / (time.perf_counter() - began):>5,.0f} texts/s")


def main() -> int:
    if not torch.cuda.is_available():
        print("no CUDA device: nothing is measured", file=sys.stderr)
        return 1
    counts, card = lengths(TEXTS), peak()
    print(f"{torch.cuda.get_device_name()}: {card / 1e12:.0f} TFLOP/s in bf16; {TEXTS:,} texts of {counts.mean():.1f} pieces")
    for name in ("accurate", "fast"):
        print(f"sentiment.gpu_{name} {run(name, counts, card):,.0f}")
        whole(name, counts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
