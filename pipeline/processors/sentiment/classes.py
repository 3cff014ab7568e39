"""The three classes, and the mapping of a model's own classes to them."""

from __future__ import annotations

from pipeline.errors import SettingsError
from schemas.labels import LABELS
from schemas.untyped import JsonObject

_STARS = {"1": 0, "2": 0, "3": 1, "4": 2, "5": 2}


def classes(config: JsonObject, name: str) -> tuple[int, ...]:
    """The index in LABELS of each of a model's classes, by `id2label` in its config.json.

    The rule, whatever the case: a name that begins with neg, neu or pos, or a number of stars ("1 star" and "2 stars" are
    negative, "3 stars" neutral, "4 stars" and "5 stars" positive). Both ends must be there. Raises SettingsError for any other
    name, as LABEL_0: which class it is can't be known.
    """
    names = config.get("id2label")
    if not isinstance(names, dict) or not names:
        raise SettingsError(f"model {name}: its config.json has no id2label, so its classes are unknown")
    indices = []
    for number in range(len(names)):
        label = str(names.get(str(number), ""))
        index = next((index for index, ours in enumerate(LABELS) if label.lower().startswith(ours[:3])), None)
        if index is None and label.lower().endswith(("star", "stars")):
            index = _STARS.get(label.split()[0])
        if index is None:
            raise SettingsError(
                f"model {name}: its class {number} is named {label!r}: name the classes negative, neutral, positive in "
                "id2label of its config.json (or 1 star to 5 stars)"
            )
        indices.append(index)
    if not {0, 2} <= set(indices):
        raise SettingsError(f"model {name}: it needs a negative and a positive class, and has {', '.join(names.values())}")
    return tuple(indices)
