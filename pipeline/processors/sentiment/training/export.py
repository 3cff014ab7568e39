"""An encoder as the folder that ships: model.onnx in 8-bit numbers, tokenizer.json, config.json.

The graph uses ONNX Runtime's fused operators (domain com.microsoft). Inputs: `ids` (int64, rows x length) and `lengths` (int32,
rows); output: `logits` (float, rows x 3). A matrix is stored as whole numbers with a scale an output (`Linear.stored`), the
pieces' vectors as whole numbers with a scale a piece; all else in full precision.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from pipeline.processors.sentiment.encoder import Encoder, Linear
from schemas.labels import LABELS

FUSED = "com.microsoft"


def export(model: Encoder, tokenizer: Tokenizer, languages: list[str], folder: Path) -> None:
    """Writes the folder's three files. `languages`: those that the model supports."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_Graph(model.cpu().float()).build(), str(folder / "model.onnx"))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    shape = model.shape
    config = {
        "id2label": {str(number): label for number, label in enumerate(LABELS)},
        "languages": languages,
        "vocab_size": shape.words,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.places,
        "layer_norm_eps": shape.eps,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


class _Graph:
    def __init__(self, model: Encoder) -> None:
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        model = self._model
        x = self._norm("norm", self._node("Add", [self._words(), self._places()]))
        for number in range(model.shape.layers):
            x = self._layer(f"layers.{number}", x)
        pooled = self._pooled(x)
        weight = self._tensor("head.weight", model.head.weight.detach().numpy().T)
        bias = self._tensor("head.bias", model.head.bias.detach().numpy())
        self._node("Add", [self._node("MatMul", [pooled, weight]), bias], "logits")
        graph = helper.make_graph(
            self._nodes,
            "sentiment",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["rows", "length"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]),
            ],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 3])],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(FUSED, 1)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="earshot")
        onnx.checker.check_model(made)
        return made

    def _words(self) -> str:
        vectors = self._model.words.weight.detach().numpy()
        scale = np.maximum(np.abs(vectors).max(1, keepdims=True) / 127, 1e-8).astype(np.float32)
        stored = self._tensor("words.weight", np.round(vectors / scale).astype(np.int8))
        numbers = self._node("Cast", [self._node("Gather", [stored, "ids"])], to=TensorProto.FLOAT)
        return self._node("Mul", [numbers, self._node("Gather", [self._tensor("words.scale", scale), "ids"])])

    def _places(self) -> str:
        zero, one = self._ints("zero", [0]), self._ints("one", [1])
        length = self._node("Slice", [self._node("Shape", ["ids"]), one, self._ints("two", [2])], "length")
        places = self._tensor("places.weight", self._model.places.weight.detach().numpy())
        return self._node("Slice", [places, zero, length])

    def _layer(self, name: str, x: str) -> str:
        width = self._model.shape.hidden
        qkv = self._linear(f"{name}.qkv", x)
        ends = [self._ints(f"at{n}", [n * width]) for n in range(4)]
        last = self._ints("last", [2])
        parts = [self._node("Slice", [qkv, start, end, last]) for start, end in pairwise(ends)]
        heads = self._model.shape.heads
        seen = self._node("MultiHeadAttention", [*parts, "", "lengths"], domain=FUSED, num_heads=heads)
        x = self._add_norm(f"{name}.norm1", self._linear(f"{name}.out", seen), x)
        inner = self._node("Gelu", [self._linear(f"{name}.up", x)], domain=FUSED)
        return self._add_norm(f"{name}.norm2", self._linear(f"{name}.down", inner), x)

    def _linear(self, name: str, x: str) -> str:
        linear = self._model.get_submodule(name)
        assert isinstance(linear, Linear)
        scale = self._tensor(f"{name}.input_scale", linear.input_scale().numpy())
        zero = self._tensor(f"{name}.input_zero", linear.input_zero().numpy().astype(np.uint8))
        weight = self._tensor(f"{name}.weight", linear.stored().numpy().T.astype(np.int8))
        weight_scale = self._tensor(f"{name}.weight_scale", linear.weight_scale().numpy()[:, 0])
        weight_zero = self._tensor(f"{name}.weight_zero", np.zeros(linear.out_features, np.int8))
        bias = self._tensor(f"{name}.bias", linear.bias.detach().numpy())
        stored = self._node("QuantizeLinear", [x, scale, zero])
        inputs = [stored, weight, scale, weight_scale, zero, weight_zero, bias]
        return self._node("MatMulIntegerToFloat", inputs, domain=FUSED)

    def _norm(self, name: str, x: str) -> str:
        return self._node("LayerNormalization", [x, *self._norm_tensors(name)], axis=-1, epsilon=self._model.shape.eps)

    def _add_norm(self, name: str, x: str, y: str) -> str:
        return self._node(
            "SkipLayerNormalization", [x, y, *self._norm_tensors(name)], domain=FUSED, epsilon=self._model.shape.eps
        )

    def _norm_tensors(self, name: str) -> list[str]:
        state = self._model.get_submodule(name).state_dict()
        return [self._tensor(f"{name}.{part}", state[part].numpy()) for part in ("weight", "bias")]

    def _pooled(self, x: str) -> str:
        """The mean of the states, without padding."""
        here = self._node("Range", [self._ints("first", 0), self._node("Squeeze", ["length"]), self._ints("step", 1)])
        lengths = self._node("Unsqueeze", [self._node("Cast", ["lengths"], to=TensorProto.INT64), self._ints("one", [1])])
        counted = self._node("Cast", [self._node("Less", [here, lengths])], to=TensorProto.FLOAT)
        weighted = self._node("Mul", [x, self._node("Unsqueeze", [counted, self._ints("last", [2])])])
        total = self._node("ReduceSum", [weighted, self._ints("one", [1])], keepdims=0)
        return self._node("Div", [total, self._node("Cast", [lengths], to=TensorProto.FLOAT)])

    def _node(self, operator: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any) -> str:
        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def _tensor(self, name: str, value: npt.NDArray[Any]) -> str:
        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _ints(self, name: str, value: int | list[int]) -> str:
        if all(tensor.name != name for tensor in self._tensors):
            self._tensor(name, np.array(value, np.int64))
        return name
