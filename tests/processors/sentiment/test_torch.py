"""The torch backends (extra `models`; `make test-models` installs it): the bundled models, and those of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.config.settings import SentimentSettings
from pipeline.errors import SettingsError
from pipeline.processors.sentiment.engine import OutOfMemory
from pipeline.processors.sentiment.load import load_labeller, load_model
from pipeline.processors.sentiment.models import BUNDLED

torch = pytest.importorskip("torch", reason="torch is not installed: make test-models")
pytest.importorskip("transformers", reason="transformers is not installed: make test-models")
TEXTS = ["I love it!", "The worst service ever", "It opens at nine", "¿Cuándo llega mi pedido?", "😡", "ok " * 300]
PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *(chr(letter) for letter in range(97, 123)),
    *(f"##{chr(n)}" for n in range(97, 123)),
]


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_the_bundled_models_say_the_same_in_torch_and_in_onnx_runtime(name: str) -> None:
    """Both compute with the same whole numbers, so most texts have the same figures to the last digits.

    The CPU's instructions decide in which order a sum is made: an input that lies between two whole numbers may be rounded the
    other way. Few texts show it (seen: 0.03 at most). Without any rounding half of the texts differ by more than 0.001."""
    openings, ends = (
        ("The coffee was", "My parcel is", "Das Essen war", "Le train est"),
        ("great", "late again :(", "kaputt", "ok"),
    )
    texts = [*TEXTS, *(f"{opening} {end}" for opening in openings for end in ends)]
    by_onnx, by_torch = (load_model(name, SentimentSettings(model=name, backend=b, device="cpu"))[0] for b in ("onnx", "torch"))
    assert by_onnx.identity == by_torch.identity
    one, other = by_onnx.engine.run(texts).scores, by_torch.engine.run(texts).scores
    apart = np.abs(one - other).max(axis=1)
    assert np.median(apart) < 1e-5
    assert apart.max() < 0.1
    assert (one.argmax(axis=1) == other.argmax(axis=1)).all()


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SettingsError, match="sentiment.device = cuda"):
        load_labeller(SentimentSettings(model="fast", backend="torch", device="cuda"))


def saved(folder: Path, labels: dict[int, str], **more: Any) -> str:
    """A tiny BERT that nobody trained, as save_pretrained writes it."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    (folder / "vocab.txt").parent.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    BertTokenizerFast(vocab={piece: place for place, piece in enumerate(PIECES)}).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, id2label=labels, label2id={name: place for place, name in labels.items()}, **more,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


def test_a_hugging_face_model_from_a_folder(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", {0: "POSITIVE", 1: "NEGATIVE"})
    labeller = load_labeller(SentimentSettings(model=folder, languages=("en",), device="cpu"))
    found = labeller.label(pl.Series([*TEXTS, "a" * 100_000, ""]), pl.Series(["en"] * (len(TEXTS) + 2)))
    assert found["sentiment_status"].to_list() == ["labelled"] * (len(TEXTS) + 1) + ["unknown"]
    assert found["sentiment_neutral"].drop_nulls().unique().to_list() == [0.0]
    assert found["sentiment_model"].drop_nulls().unique().to_list() == list(labeller.models)


def test_its_figures_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = saved(tmp_path / "mine", {0: "negative", 1: "neutral", 2: "positive"})
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS, return_tensors="pt", padding=True, truncation=True, max_length=64)).logits
    found, _ = load_model(folder, SentimentSettings(model=folder, device="cpu"))
    assert np.allclose(found.engine.run(TEXTS).scores, torch.softmax(logits, 1).numpy(), atol=1e-4)


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", {0: "negative", 1: "positive"})
    (tmp_path / "mine/model.safetensors").unlink()
    torch.save({}, tmp_path / "mine/pytorch_model.bin")
    with pytest.raises(SettingsError, match="model"):
        load_labeller(SentimentSettings(model=folder, languages=("en",)))


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", {0: "negative", 1: "positive"}, auto_map={"AutoConfig": "evil.Config"})
    (tmp_path / "mine/evil.py").write_text("raise SystemExit('it ran')")
    labeller = load_labeller(SentimentSettings(model=folder, languages=("en",), device="cpu"))
    assert labeller.models


def test_classes_that_can_not_be_known_and_names_without_a_commit_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mine", {0: "LABEL_0", 1: "LABEL_1"})  # transformers writes no id2label then
    with pytest.raises(SettingsError, match="no id2label"):
        load_labeller(SentimentSettings(model=folder, languages=("en",)))
    with pytest.raises(SettingsError, match="sentiment.revision"):
        load_labeller(SentimentSettings(model="someone/something", revision="main", languages=("en",)))


def test_out_of_memory_is_told_to_the_engine() -> None:
    from pipeline.processors.sentiment.torch_backend import TorchBackend

    class Full(torch.nn.Module):  # type: ignore[misc,name-defined]  # torch need not be there to be checked
        def forward(self, ids: Any, lengths: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemory):
        TorchBackend(Full(), torch.device("cpu")).logits(np.ones((2, 3), np.int64), np.array([3, 2]))


def test_an_encoder_that_is_exported_is_the_same_encoder(tmp_path: Path) -> None:
    """Training's last step and the engine's first, on a model that a few steps have trained."""
    from tokenizers import Tokenizer

    from pipeline.processors.sentiment.encoder import Encoder, Shape
    from pipeline.processors.sentiment.training.export import export
    from pipeline.processors.sentiment.training.fit import Recipe, fit, predict
    from pipeline.processors.sentiment.training.vocabulary import read

    tokenizer = Tokenizer.from_file(str(BUNDLED / "fast/tokenizer.json"))
    words = ["good", "bad", "late"]
    asked = [f"{words[n % 3]} number {n}" for n in range(240)]
    texts, targets = read(tokenizer, asked), np.eye(3, dtype=np.float32)[np.arange(240) % 3]
    torch.manual_seed(1)
    model = Encoder(Shape(tokenizer.get_vocab_size(), hidden=32, layers=2, heads=2, inner=64))
    recipe = Recipe(epochs=6, batch=16, rate=5e-3, quantise_from=0.5)
    fit(model, texts, np.arange(240), targets, np.ones(240, np.float32), recipe)
    trained = predict(model, texts, np.arange(240))
    assert (trained.argmax(1) == np.arange(240) % 3).mean() > 0.95
    export(model, tokenizer, ["en"], tmp_path / "tiny")
    found, _ = load_model(str(tmp_path / "tiny"), SentimentSettings(model=str(tmp_path / "tiny"), backend="onnx"))
    powers = np.exp(trained - trained.max(1, keepdims=True))
    assert np.abs(found.engine.run(asked).scores - powers / powers.sum(1, keepdims=True)).max() < 0.02
