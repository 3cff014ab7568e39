"""The training loop: batches by length, AdamW, a linear warm-up and decay, an average of the weights.

On a CUDA device a whole step (forward, backward, update) is one CUDA graph a length: the models are small, and launching some
thousand kernels a step would take longer than running them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.processors.sentiment.encoder import Encoder

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
PAD = 1
STEP_LENGTH = 8
CALIBRATION_TEXTS = 4_000


@dataclass(frozen=True)
class Texts:
    """The pieces of all texts, joined; the start of each text, and the end of the last."""

    pieces: npt.NDArray[np.uint16]
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.starts)

    def padded(self, rows: Ints, length: int) -> Ints:
        ids = np.full((len(rows), length), PAD, np.int64)
        for index, row in enumerate(rows):
            pieces = self.pieces[self.starts[row] : self.starts[row + 1]]
            ids[index, : len(pieces)] = pieces
        return ids


@dataclass(frozen=True)
class Recipe:
    """`batch` in texts; `warm_up` and `quantise_from` are shares of the steps: from `quantise_from` on, training uses the
    precision in which the weights are stored."""

    epochs: float = 2
    rate: float = 1e-4
    batch: int = 32
    warm_up: float = 0.1
    decay: float = 0.01
    dropout: float = 0.1
    quantise_from: float = 1.0
    seed: int = 1


def batches(texts: Texts, rows: Ints, size: int, random: np.random.Generator) -> Iterator[Ints]:
    """All rows once, in batches of texts of similar length, in random order."""
    order = rows[np.argsort(texts.lengths[rows] + random.random(len(rows)) * 4)]
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    for part in random.permutation(len(parts)):
        yield parts[part]


def fit(
    model: Encoder,
    texts: Texts,
    rows: Ints,
    targets: Floats,
    weights: Floats,
    recipe: Recipe,
    on_step: Callable[[int, int], None] = lambda done, steps: None,
) -> Encoder:
    """Trains the model in place on `rows` (`targets`: a distribution a text of `texts`, `weights`: a number a text)."""
    torch.manual_seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    steps = int(np.ceil(len(rows) / recipe.batch) * recipe.epochs)
    optimiser = _optimiser(model, recipe)
    run = _Step(model, optimiser)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout
    model.train()
    done = 0
    while done < steps:
        for part in batches(texts, rows, recipe.batch, random):
            if done == steps:
                break
            if done == int(steps * recipe.quantise_from):
                calibrate(model, texts, random.choice(rows, min(CALIBRATION_TEXTS, len(rows)), replace=False))
                model.train()
                run = _Step(model, optimiser)
            share = min((done + 1) / (steps * recipe.warm_up), (steps - done) / (steps * (1 - recipe.warm_up)))
            _set_rate(optimiser, recipe.rate * share)
            run(*_tensors(texts, part, targets, weights, recipe.batch))
            done += 1
            on_step(done, steps)
    model.eval()
    return model


def _optimiser(model: Encoder, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, without weight decay of biases and norms. On CUDA its rate is a tensor, so that a graph can read it."""
    device = next(model.parameters()).device
    rate = torch.zeros((), device=device) if device.type == "cuda" else 0.0
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=rate, betas=(0.9, 0.98), fused=True, capturable=device.type == "cuda",
    )  # fmt: skip


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def calibrate(model: Encoder, texts: Texts, rows: Ints) -> None:
    """Sets the bounds of the layers' inputs from these texts, and makes the layers compute within them."""
    for linear in model.linears():
        linear.watch, linear.quantised = True, False
        linear.low.zero_()
        linear.high.zero_()
    predict(model, texts, rows)
    for linear in model.linears():
        linear.watch, linear.quantised = False, True


def _tensors(texts: Texts, rows: Ints, targets: Floats, weights: Floats, size: int) -> tuple[Tensor, ...]:
    """A batch of exactly `size` rows; rows that fill it up have weight 0."""
    more = np.resize(rows, size)
    length = int(-(-texts.lengths[more].max() // STEP_LENGTH) * STEP_LENGTH)
    counted = weights[more].copy()
    counted[len(rows) :] = 0
    arrays = (texts.padded(more, length), texts.lengths[more], targets[more], counted)
    return tuple(torch.from_numpy(array) for array in arrays)


class _Step:
    """One training step; on a CUDA device captured once per length and replayed."""

    def __init__(self, model: Encoder, optimiser: torch.optim.Optimizer) -> None:
        self._model, self._optimiser = model, optimiser
        self._parameters = list(model.parameters())
        self._cuda = self._parameters[0].is_cuda
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}

    def __call__(self, *batch: Tensor) -> None:
        if not self._cuda:
            self._run(*batch)
            return
        length = batch[0].shape[1]
        if length not in self._graphs:
            self._capture(length, batch)
        graph, inputs = self._graphs[length]
        for target, tensor in zip(inputs, batch, strict=True):
            target.copy_(tensor.pin_memory(), non_blocking=True)
        graph.replay()

    def _capture(self, length: int, batch: tuple[Tensor, ...]) -> None:
        inputs = [tensor.cuda() for tensor in batch]
        if not self._graphs:
            self._warm_up(inputs)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._run(*inputs)
        self._graphs[length] = graph, inputs

    def _warm_up(self, inputs: list[Tensor]) -> None:
        """Runs a step outside a graph, so that optimiser and libraries allocate their state; then restores the weights."""
        before = [parameter.detach().clone() for parameter in self._parameters]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._run(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for parameter, value in zip(self._parameters, before, strict=True):
                parameter.copy_(value)

    def _run(self, ids: Tensor, lengths: Tensor, targets: Tensor, weights: Tensor) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._cuda, cache_enabled=False):
            logits = self._model(ids, lengths).float()
        loss = -((targets * torch.log_softmax(logits, 1)).sum(1) * weights).sum() / weights.sum().clamp_min(1)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0, foreach=True)
        self._optimiser.step()


@torch.inference_mode()
def predict(model: Encoder, texts: Texts, rows: Ints, batch: int = 512) -> Floats:
    """Logits (rows, 3)."""
    model.eval()
    device = next(model.parameters()).device
    order = np.argsort(texts.lengths[rows])
    logits = np.zeros((len(rows), 3), np.float32)
    for start in range(0, len(rows), batch):
        part = order[start : start + batch]
        length = int(texts.lengths[rows[part]].max())
        ids = torch.from_numpy(texts.padded(rows[part], length)).to(device)
        counts = torch.from_numpy(texts.lengths[rows[part]]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits[part] = model(ids, counts).float().cpu().numpy()
    return logits
