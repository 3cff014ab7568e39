"""Loads models by name: a labeller from the settings' section [sentiment]."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from pipeline.config.document import hint
from pipeline.config.settings import SentimentSettings
from pipeline.errors import SettingsError
from pipeline.processors.language import NO_WORDS
from pipeline.processors.language_codes import primary_code
from pipeline.processors.sentiment.classes import classes
from pipeline.processors.sentiment.engine import Backend, Engine, Model
from pipeline.processors.sentiment.labeller import SentimentLabeller
from pipeline.processors.sentiment.models import BUNDLED, identity, languages, read_config
from pipeline.processors.sentiment.onnx_backend import OnnxBackend

LONGEST = 128
"""Pieces of a text that a model reads."""
DRIVER = Path("/dev/nvidiactl")
"""Exists only with NVIDIA's driver: without it torch, which takes 500 MB, is not imported to look for a GPU."""


def load_labeller(settings: SentimentSettings) -> SentimentLabeller:
    """A labeller with the settings' models. Raises SettingsError that names the unusable model and the reason."""
    loaded: dict[str, tuple[Model, tuple[str, ...]]] = {}
    for name in {settings.model, *settings.models.values()}:
        loaded[name] = load_model(name, settings)
    default, spoken = loaded[settings.model]
    spoken = tuple(map(_code, settings.languages)) or spoken
    if not spoken:
        raise SettingsError(
            f"model {settings.model} does not say which languages it was trained for: name them in setting sentiment.languages"
        )
    by_language = dict.fromkeys(spoken, default)
    if (BUNDLED / settings.model).is_dir():  # of another model it is unknown whether it can read emoji
        by_language[NO_WORDS] = default
    by_language |= {_code(language): loaded[name][0] for language, name in settings.models.items()}
    return SentimentLabeller(by_language, settings.cache_mb)


def _code(language: str) -> str:
    """`en` of eng, as the languages of texts are."""
    return primary_code(language) or language


def load_model(name: str, settings: SentimentSettings) -> tuple[Model, tuple[str, ...]]:
    """The model, and the languages that its files name. Raises SettingsError."""
    folder = BUNDLED / name
    if not folder.is_dir():
        folder = Path(name)
        if "/" not in name and not settings.revision and not folder.is_dir():
            bundled = sorted(each.name for each in BUNDLED.iterdir() if (each / "model.onnx").is_file())
            near = hint(name, bundled).removesuffix("?")
            raise SettingsError(
                f"model {name}: the bundled models are {', '.join(bundled)}{near}; any other is a folder or on the hub"
            )
    if settings.backend == "torch" or not (folder / "model.onnx").is_file():
        return _with_torch(name, folder, settings)
    if settings.backend == "auto" and _has_gpu(settings.device):
        return _with_torch(name, folder, settings)
    try:
        backend = OnnxBackend(folder, settings.threads)
    except ValueError as error:
        raise SettingsError(f"model {name}: {error}") from None
    return _model(name, folder, backend)


def _model(name: str, folder: Path, backend: Backend) -> tuple[Model, tuple[str, ...]]:
    config = read_config(folder)
    files = [folder / file for file in ("model.onnx", "tokenizer.json", "config.json")]
    try:
        tokenizer = Tokenizer.from_file(str(files[1]))
    except Exception as error:  # tokenizers raises nothing more special
        raise SettingsError(f"model {name}: tokenizer.json: {error}") from None
    indices = classes(config, name)
    engine = Engine(tokenizer, backend, len(indices), min(LONGEST, config.get("max_position_embeddings", LONGEST)))
    return Model(identity(folder.name, files), engine, indices), languages(config)


def _has_gpu(device: str) -> bool:
    """Whether torch is installed and finds this device."""
    if device == "cpu" or (device == "auto" and not DRIVER.exists()):
        return False
    try:
        import torch
    except ModuleNotFoundError:
        if device == "auto":
            return False
        raise SettingsError(f"setting sentiment.device = {device}: it needs torch: pip install 'earshot[models]'") from None
    return torch.cuda.is_available()


def _with_torch(name: str, folder: Path, settings: SentimentSettings) -> tuple[Model, tuple[str, ...]]:
    try:
        from pipeline.processors.sentiment import torch_backend
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"model {name}: no model is bundled or lies in a folder of that name with a model.onnx, and others need "
            f"torch and transformers ({error.name} is missing): pip install 'earshot[models]'"
        ) from None
    if (folder / "model.onnx").is_file():
        return _model(name, folder, torch_backend.bundled(folder, settings.device))
    return torch_backend.from_hugging_face(name, settings, LONGEST)
