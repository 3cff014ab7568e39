"""The bundled models as a torch module: a BERT with mean pooling and a linear head (extra `models`).

Training makes it, and the torch engine loads it from the tensors of the shipped ONNX file, so that both speak of one model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHT_MAX = 63
"""Weights have 7 bits: the AVX2 kernels for 8-bit ones add pairs in 16 bits and saturate (ONNX Runtime's `reduce_range`)."""
INPUT_MAX = 255


@dataclass(frozen=True)
class Shape:
    """`inner`: width of the feed-forward layers; `places`: the longest text in pieces."""

    words: int
    hidden: int = 384
    layers: int = 12
    heads: int = 12
    inner: int = 1536
    places: int = 128
    eps: float = 1e-12


class Linear(nn.Linear):
    """A linear layer with the precision it is stored in: weights of 7 bits with a scale an output, inputs of 8 bits within
    fixed bounds.

    `watch` makes it note the bounds of its inputs; `quantise` makes it compute, and train, with what storing it leaves of it.
    Fixed bounds, not those of each batch: a text has the same figures whatever it is labelled with.
    """

    low: Tensor
    high: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.watch = self.quantised = False
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.watch:
            self.low.copy_(torch.minimum(self.low, x.detach().min()))
            self.high.copy_(torch.maximum(self.high, x.detach().max()))
        if not self.quantised:
            return functional.linear(x, self.weight, self.bias)
        weight = self.weight + (self.stored() * self.weight_scale() - self.weight).detach()
        scale, zero = self.input_scale(), self.input_zero()
        clipped = torch.clamp(x, -zero * scale, (INPUT_MAX - zero) * scale)
        seen = clipped + ((clipped / scale).round() * scale - clipped).detach()
        return functional.linear(seen, weight, self.bias)

    def weight_scale(self) -> Tensor:
        return self.weight.detach().abs().amax(1, keepdim=True).clamp_min(1e-8) / WEIGHT_MAX

    def stored(self) -> Tensor:
        """The weights as whole numbers."""
        return (self.weight.detach() / self.weight_scale()).round()

    def input_scale(self) -> Tensor:
        return (self.high - self.low).clamp_min(1e-8) / INPUT_MAX

    def input_zero(self) -> Tensor:
        return (-self.low / self.input_scale()).round()


class Layer(nn.Module):
    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = Linear(shape.hidden, 3 * shape.hidden)
        self.out = Linear(shape.hidden, shape.hidden)
        self.norm1 = nn.LayerNorm(shape.hidden, shape.eps)
        self.up = Linear(shape.hidden, shape.inner)
        self.down = Linear(shape.inner, shape.hidden)
        self.norm2 = nn.LayerNorm(shape.hidden, shape.eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(x).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.norm1(x + self.dropout(self.out(seen.transpose(1, 2).reshape(rows, length, width))))
        return self.norm2(x + self.dropout(self.down(functional.gelu(self.up(x)))))


class Encoder(nn.Module):
    """`forward(ids, lengths)`: pieces (rows, length) and their number without padding, to logits (rows, 3)."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.words, shape.hidden)
        self.places = nn.Embedding(shape.places, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, shape.eps)
        self.layers = nn.ModuleList(Layer(shape, dropout) for _ in range(shape.layers))
        self.head = nn.Linear(shape.hidden, 3)
        self.dropout = nn.Dropout(dropout)

    def encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The last layer's states (rows, length, hidden)."""
        here = torch.arange(ids.shape[1], device=ids.device)
        mask = (here < lengths[:, None])[:, None, None, :]
        x = self.dropout(self.norm(self.words(ids) + self.places(here)))
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        counts = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        return (states * counts[..., None]).sum(1) / lengths[:, None]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.pool(self.encode(ids, lengths), lengths)))
        return logits

    def linears(self) -> list[Linear]:
        return [module for module in self.modules() if isinstance(module, Linear)]
