"""Folders of models: classes, languages, identity, and those that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.settings import SentimentSettings
from pipeline.errors import SettingsError
from pipeline.processors.sentiment.classes import classes
from pipeline.processors.sentiment.load import load_labeller, load_model
from pipeline.processors.sentiment.models import BUNDLED, identity


def config(*names: str) -> dict[str, Any]:
    return {"id2label": {str(number): name for number, name in enumerate(names)}}


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (("negative", "neutral", "positive"), (0, 1, 2)),
        (("POS", "NEU", "NEG"), (2, 1, 0)),
        (("Negative", "Positive"), (0, 2)),
        (("1 star", "2 stars", "3 stars", "4 stars", "5 stars"), (0, 0, 1, 2, 2)),
    ],
)
def test_the_rule_of_class_names(names: tuple[str, ...], places: tuple[int, ...]) -> None:
    assert classes(config(*names), "m") == places


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (config("LABEL_0", "LABEL_1", "LABEL_2"), "class 0 is named 'LABEL_0'"),
        (config("negative", "neutral"), "a negative and a positive class"),
        (config("joy", "anger"), "'joy'"),
        ({}, "no id2label"),
        ({"id2label": {"1": "negative", "2": "positive"}}, "class 0 is named ''"),
    ],
)
def test_a_model_whose_classes_can_not_be_known_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        classes(given, "m")


def test_the_identity_is_that_of_the_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.onnx").write_bytes(b"one")
    first, second = tmp_path / "a/model.onnx", tmp_path / "b/model.onnx"
    assert identity("m", [first]) == identity("m", [second])
    second.write_bytes(b"two")
    assert identity("m", [first]) != identity("m", [second])
    name, _, digest = identity("m", [first]).partition("@")
    assert (name, len(digest)) == ("m", 12)


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_the_bundled_models_load_and_say_their_languages(name: str) -> None:
    model, languages = load_model(name, SentimentSettings(model=name, backend="onnx"))
    assert model.identity.startswith(f"{name}@")
    assert {"en", "de", "fr", "es", "it", "pt", "ar", "ru", "zh"} <= set(languages)
    assert model.classes == (0, 1, 2)


def test_the_bundled_models_fit_into_80_mb() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.rglob("*") if file.is_file()) <= 80_000_000


def _copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED / "fast", tmp_path / "mine"))


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    labeller = load_labeller(SentimentSettings(model=str(folder), backend="onnx"))
    (identity_,) = labeller.models
    assert identity_.startswith("mine@")


def test_another_model_for_a_language(tmp_path: Path) -> None:
    labeller = load_labeller(SentimentSettings(model="fast", models={"de": str(_copy(tmp_path))}, backend="onnx"))
    assert {name.partition("@")[0] for name in labeller.models} == {"fast", "mine"}


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", b"{", "config.json"),
        ("config.json", b"[]", "should be an object"),
        ("config.json", None, "config.json: No such file"),
        ("tokenizer.json", b"{}", "tokenizer.json"),
        ("model.onnx", b"no model", "model.onnx"),
    ],
)
def test_a_broken_folder_is_one_clear_line(tmp_path: Path, file: str, content: bytes | None, says: str) -> None:
    folder = _copy(tmp_path)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(SettingsError, match=says):
        load_labeller(SentimentSettings(model=str(folder), backend="onnx"))


def test_a_model_without_languages_needs_the_setting(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, "languages": []}))
    with pytest.raises(SettingsError, match="sentiment.languages"):
        load_labeller(SentimentSettings(model=str(folder), backend="onnx"))
    assert load_labeller(SentimentSettings(model=str(folder), languages=["en"], backend="onnx")).models
