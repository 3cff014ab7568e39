"""Checks the documents that people write (YAML, TOML, JSON) against a pydantic model; an error is one line.

The line names the key and the reason, and for an unknown key or name the nearest known one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.known_keys import TAGS, Known, Level, Schema
from pipeline.config.values import values_of
from pipeline.errors import SettingsError

M = TypeVar("M", bound=BaseModel)
_LISTS, _MAPPINGS = ("tuple_type", "list_type"), ("dict_type", "model_type", "model_attributes_type")
_NUMBERS = (
    "int_type", "int_parsing", "int_from_float", "float_type", "float_parsing", "greater_than_equal", "less_than_equal",
    "greater_than", "less_than",
)  # fmt: skip
_PLAIN = {
    "missing": "it is missing",
    "too_short": "name at least one",
    **dict.fromkeys(_LISTS, "it is a list, as [a, b]"),
    **dict.fromkeys(_MAPPINGS, "it is a mapping (key: value)"),
    "string_too_short": "it is blank",
    **dict.fromkeys(("bool_type", "bool_parsing"), "it is true or false"),
    "string_type": "it is a text: quote a text that looks like another type",
}
"""Pydantic's own texts are for people who write Python."""
_REPAIRS = {
    r"'\t' that": "use spaces, not tabs",
    "that cannot start any token": "put the text into quotes",
    "mapping values are not allowed": "put a text that holds ': ' into quotes, and a space behind the colon of a key",
}
"""What people do about PyYAML's errors, by a part of each; the first that is in the error."""
_BYTES = '"<byte string>", '
"""PyYAML's name for a file that it did not open itself."""


class StrictModel(BaseModel):
    """The base of what people write: an unknown key is an error, and the values are frozen.

    A field may say in `json_schema_extra` how it is written (`as`), and which other names people try for it (`misnamed`); the
    tag of a union, which other names its entries have (`called`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(NamedTuple):
    """The first problem of a document; `where` is blank if it concerns the whole document."""

    where: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


def load(path: Path, model: type[M]) -> M:
    """Reads a YAML file. Raises SettingsError that names the file, the key and the reason."""
    try:
        return parse(path.read_bytes(), path, model)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def parse(content: bytes, path: Path, model: type[M]) -> M:
    """The document in the YAML `content` of `path`. Raises as `load`."""
    try:
        values = values_of(content)
        if not isinstance(values, dict):
            keys, empty = ", ".join(model.model_fields), "; this one is empty" if values is None else ""
            raise SettingsError(f"{path}: the file: it is a YAML mapping, with the keys {keys}{empty}")
        return model.model_validate(values)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {_no_yaml(error)}") from None
    except RecursionError:
        raise SettingsError(f"{path}: the file: it nests too deep") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {first_problem(error, model, values)}") from None


def _no_yaml(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError) and error.encoding != "unicode":
        return f"byte {error.position + 1} is no UTF-8: save the file as UTF-8"
    text = " ".join(str(error).replace(_BYTES, "").split())
    return next((f"{text}: {what}" for sign, what in _REPAIRS.items() if sign in text), text)


def first_problem(error: ValidationError, model: type[BaseModel], values: object) -> Problem:
    """`values` are those that `model` refused; None if the caller has them no longer."""
    errors, known = error.errors(include_url=False), Known(model.model_json_schema())
    first = errors[0]
    if first["type"] == "missing":  # a required key may be there, misspelt
        unknown = (each for each in errors if each["type"] == "extra_forbidden" and each["loc"][:-1] == first["loc"][:-1])
        first = next((each for each in unknown if _meant(str(each["loc"][-1]), known.at(each["loc"][:-1]))), first)
    return _problem(first, known, values)


def problem_of(key: str, error: ValidationError, model: type[BaseModel], values: object) -> Problem | None:
    """The first problem of this key's value, wherever the key is; None: it is not among those that `model` refused."""
    known = Known(model.model_json_schema())
    of_key = (each for each in error.errors(include_url=False) if key in each["loc"] and each["type"] != "missing")
    return next((_problem(each, known, values) for each in of_key), None)


def _problem(first: ErrorDetails, known: Known, values: object) -> Problem:
    loc, kind = first["loc"], first["type"]
    if kind == "union_tag_not_found":
        name = first["ctx"]["discriminator"].strip("'")
        key = _misspelt(name, first["input"])
        reason = f"unknown key{hint(key, [name])}" if key else f"it is missing: {_either(known.types(loc))}"
        return Problem(_where((*loc, key or name), values), reason)
    if kind == "union_tag_invalid":
        tag, types, name = first["ctx"]["tag"], known.types(loc), first["ctx"]["discriminator"].strip("'")
        meant = known.called(loc).get(tag.casefold())
        near = f", did you mean {meant!r}?" if meant else hint(tag, types)
        return Problem(_where((*loc, name), values), f"it is {_either(types)}, not {tag!r}{near}")
    if kind == "extra_forbidden":
        return Problem(_where(loc, values), _unknown(str(loc[-1]), known.at(loc[:-1])))
    return Problem(_where(loc, values), _reason(first, known.form(loc)))


def _reason(error: ErrorDetails, form: Schema) -> str:
    """How the value should be written; `form` is the schema of its field."""
    kind, value = error["type"], error["input"]
    if "as" in form and kind in (*_LISTS, *_MAPPINGS, "string_pattern_mismatch", "int_parsing", "int_type"):
        return f"write it as {form['as']}"
    if kind in _LISTS and isinstance(value, str) and (items := form.get("items", {})).get("type") == "string":
        return f"it is a list, as [{'...' if items.get('writeOnly') else value}]"  # a secret is for writing alone
    if kind in _NUMBERS:
        number = "a whole number" if form.get("type") == "integer" else "a number"
        number += _limits(form)
        percent = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
        return f"it is {number}" + (f": write {float(percent[1]) / 100:g}" if percent else "")
    if kind == "literal_error" and "enum" in form:
        near = hint(value, [each for each in form["enum"] if isinstance(each, str)]) if isinstance(value, str) else ""
        return f"it is {_either([str(each) for each in form['enum']])}, not {value!r}{near}"
    if kind == "too_long":
        return f"at most {error['ctx']['max_length']:,}, and it has {error['ctx']['actual_length']:,}"
    return _PLAIN.get(kind) or error["msg"].removeprefix("Value error, ")


def _limits(form: Schema) -> str:
    """` from 1 to 10`; blank if it has none."""
    least, most = form.get("minimum"), form.get("maximum")
    if least is not None:
        return f" from {least:.15g} to {most:.15g}" if most is not None else f" of {least:.15g} or more"
    above, below = form.get("exclusiveMinimum"), form.get("exclusiveMaximum")
    said = [f" above {above:.15g}"] if above is not None else []
    said += [f" of {most:.15g} or less"] if most is not None and above is None else []
    said += [f", {most:.15g} at most"] if most is not None and above is not None else []
    return "".join(said + ([f" below {below:.15g}"] if below is not None and above is None else []))


def _misspelt(key: str, values: object) -> str:
    """The key of `values` most similar to this one; blank if none is similar."""
    near = get_close_matches(key, map(str, values) if isinstance(values, dict) else (), 1)
    return near[0] if near else ""


def _either(names: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def hint(name: str, known: Iterable[str]) -> str:
    """`, did you mean 'Acme'?`; blank if no known name is similar."""
    spelt = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), spelt, 1)
    return f", did you mean {spelt[near[0]]!r}?" if near else ""


def check_names(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError for a name that is not known, with the nearest known one."""
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: there is no {name!r}{hint(name, known)}")


def _where(loc: Sequence[int | str], values: object) -> str:
    """`rules.2 (anger): window`: the entry of a list with its name, then the key inside it."""
    head, rest = list[str](), list[str]()
    for part in loc:
        if isinstance(values, dict) and part not in values and (part in map(values.get, TAGS) or isinstance(part, int)):
            continue  # neither the tag of a union is a key, nor the place in a list of which people wrote the only entry
        target = rest if head and head[-1][:1].isdigit() else head
        target.append(str(part))
        values = _value_at(values, part)
        if isinstance(part, int) and target is head and isinstance(values, dict) and isinstance(values.get("name"), str):
            head[-1] += f" ({values['name']})"
    return ": ".join(".".join(parts) for parts in (head, rest) if parts)


def _value_at(values: object, part: int | str) -> object:
    if isinstance(values, dict):
        return values.get(part)
    return values[part] if isinstance(values, list) and isinstance(part, int) else None


def _unknown(key: str, level: Level) -> str:
    if key in level.elsewhere and key not in level.misnamed:
        return f"{level.type} takes no such key"
    return f"unknown key{_meant(key, level)}"


def _meant(key: str, level: Level) -> str:
    """`, did you mean 'zone'?`; blank if no key of this level is similar."""
    return f", did you mean {level.misnamed[key]!r}?" if key in level.misnamed else hint(key, level.keys)
