"""The torch backends (extra `models`): the bundled models on a GPU, and any sequence classification model of Hugging Face.

A bundled model is read from the tensors of its model.onnx. On the CPU it computes with the same whole numbers as ONNX Runtime;
on a CUDA device in bfloat16, without rounding the layers' inputs, so probabilities differ a little and labels only where two
classes are about as likely (docs/models.md).
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.errors import SettingsError
from pipeline.processors.sentiment.classes import classes
from pipeline.processors.sentiment.encoder import Encoder, Shape
from pipeline.processors.sentiment.engine import Engine, Floats, Ints, Model, OutOfMemory
from pipeline.processors.sentiment.models import identity, languages, read_config

if TYPE_CHECKING:
    from pipeline.config.settings import SentimentSettings

CPU_PIECES, CUDA_PIECES = 1_024, 1 << 16
STEP_LENGTH = 8
_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "tokenizer*",
    "*.model",
    "vocab*",
    "merges.txt",
    "special*",
]


class TorchBackend:
    """`network(ids, lengths)` returns logits. On a CUDA device there are few shapes (lengths by 8, rows by powers of two), and
    each launches its kernels at once, as a CUDA graph."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        network = network.eval().to(device)
        self.network = network.to(torch.bfloat16) if self._cuda else network
        self._device = device
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}
        self._lock = threading.Lock()
        self.pieces = CUDA_PIECES if self._cuda else CPU_PIECES
        self.lanes = 2 if self._cuda else 1  # one packs a batch while the device computes another

    def logits(self, ids: Ints, lengths: Ints) -> Floats:
        try:
            with torch.inference_mode():
                if self._cuda:
                    return self._replayed(torch.from_numpy(ids), torch.from_numpy(lengths))
                logits: Floats = self.network(torch.from_numpy(ids), torch.from_numpy(lengths)).float().numpy()
                return logits
        except torch.OutOfMemoryError:
            with self._lock:
                self._graphs.clear()
                torch.cuda.empty_cache()
            raise OutOfMemory from None

    def _replayed(self, ids: Tensor, lengths: Tensor) -> Floats:
        rows, length = ids.shape
        shape = 1 << (rows - 1).bit_length(), -(-length // STEP_LENGTH) * STEP_LENGTH
        ids, lengths = ids.pin_memory(), lengths.pin_memory()
        with self._lock:
            if shape not in self._graphs:
                self._graphs[shape] = self._captured(*shape)
            graph, pieces, counts, logits = self._graphs[shape]
            pieces[:rows, :length].copy_(ids, non_blocking=True)
            counts[:rows].copy_(lengths, non_blocking=True)
            graph.replay()
            result: Floats = logits[:rows].float().cpu().numpy()
            return result

    def _captured(self, rows: int, length: int) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]:
        ids = torch.ones((rows, length), dtype=torch.int64, device=self._device)
        lengths = torch.ones(rows, dtype=torch.int64, device=self._device)
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            self.network(ids, lengths)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self.network(ids, lengths)
        return graph, ids, lengths, logits


def device_of(name: str) -> torch.device:
    """The device of this name. Raises SettingsError for a missing device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"setting sentiment.device = {name}: {str(error).splitlines()[0]}") from None
    return device


def bundled(folder: Path, device: str) -> TorchBackend:
    """A bundled model on this device. Raises SettingsError for a missing device, or a folder with inconsistent files."""
    where = device_of(device)
    config = read_config(folder)
    shape = Shape(
        words=config["vocab_size"],
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        inner=config["intermediate_size"],
        places=config["max_position_embeddings"],
        eps=config["layer_norm_eps"],
    )
    tensors = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(str(folder / "model.onnx")).graph.initializer
    }
    encoder = Encoder(shape)
    try:
        encoder.load_state_dict(_state(encoder, tensors))
    except (KeyError, RuntimeError) as error:
        raise SettingsError(f"model {folder}: model.onnx does not match config.json: {error}") from None
    for linear in encoder.linears():
        linear.quantised = where.type == "cpu"
    return TorchBackend(encoder, where)


def _state(encoder: Encoder, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's state from the tensors of `training/export.py`: whole numbers times their scales."""
    linears = {name for name, module in encoder.named_modules() if module in encoder.linears()}
    state = {name: tensors[name] for name in encoder.state_dict() if name in tensors}
    state["words.weight"] = tensors["words.weight"] * tensors["words.scale"]
    state["head.weight"] = tensors["head.weight"].T
    for name in linears:
        state[f"{name}.weight"] = tensors[f"{name}.weight"].T * tensors[f"{name}.weight_scale"][:, None]
        scale, zero = tensors[f"{name}.input_scale"], tensors[f"{name}.input_zero"].float()
        state[f"{name}.low"], state[f"{name}.high"] = -zero * scale, (255 - zero) * scale
    return state


class _Masked(nn.Module):
    """A Hugging Face model with the interface of ours."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        logits: Tensor = self._model(input_ids=ids, attention_mask=mask.long()).logits
        return logits


def from_hugging_face(name: str, settings: SentimentSettings, longest: int) -> tuple[Model, tuple[str, ...]]:
    """A folder, or a name on the hub at the commit of `settings.revision`. Raises SettingsError.

    Only safetensors are read, and no code that comes with a model is run.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _fetched(name, settings.revision)
    config = read_config(folder)
    indices = classes(config, name)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        network = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise SettingsError(f"model {name}: {str(error).strip().splitlines()[0]}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise SettingsError(f"model {name}: its tokenizer has no fast form (tokenizer.json)")
    device = device_of(settings.device)
    if device.type == "cpu":
        torch.set_num_threads(settings.threads)
    length = min(longest, tokenizer.model_max_length, config.get("max_position_embeddings", longest))
    engine = Engine(tokenizer.backend_tokenizer, TorchBackend(_Masked(network), device), len(indices), length)
    files = [*folder.glob("*.safetensors"), folder / "config.json", *folder.glob("tokenizer.json")]
    return Model(identity(Path(name).name, files), engine, indices), languages(config)


def _fetched(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise SettingsError(
            f"model {name}: no folder of that name; one from the hub is pinned: name its commit (40 hexadecimal digits) in "
            "setting sentiment.revision"
        )
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise SettingsError(f"model {name}: {str(error).strip().splitlines()[0]}") from None
