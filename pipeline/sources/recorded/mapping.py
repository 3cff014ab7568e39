"""Mapping files: how the rows of a recorded file become canonical events, as YAML checked before the first row is read.

An unknown key, a field the event does not have or a value outside an enumeration is a SettingsError that names the file and
the key. docs/mappings.md explains the format by example.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import regex
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel, hint
from pipeline.sources.recorded.constants import refusal
from pipeline.sources.recorded.convert import MISSING
from pipeline.sources.recorded.reading import Reading
from pipeline.sources.recorded.times import FORMATS, ZONED, parse_zone
from schemas.events import FIELDS

FIELD_BY_PATH = {field.path: field for field in FIELDS}
REQUIRED = ("id", "platform", "kind", "created_at")
NEEDED = (*REQUIRED, "operation", "visibility")
"""A row in which one of these can't be read has no event: without it a delete would be a post, and a private text public."""
SHIPPED = (Path(__file__).parent / "mappings", Path(__file__).parents[3] / "docs" / "mappings")
"""The folders of the mappings that ship with Earshot: in an installed package, in a checkout."""


def _pattern(text: str) -> str:
    try:
        regex.compile(text)
    except regex.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


def _words(given: object) -> object:
    """YAML reads null and -1 as other types: in a list of words they are words."""
    if not isinstance(given, list | tuple):
        return given
    numbers = (int, float)
    return ["null" if w is None else str(w) if isinstance(w, numbers) and not isinstance(w, bool) else w for w in given]


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Condition(StrictModel):
    """True if the named value is present and, where `in` or `matches` is given, is one of these or matches the pattern."""

    from_: str = Field(alias="from")
    in_: tuple[str, ...] | None = Field(None, alias="in")
    matches: Pattern | None = None


def _as_value(given: object) -> object:
    """A plain scalar or list becomes a constant."""
    return given if isinstance(given, dict | Value) else {"value": given}


class Value(StrictModel):
    """A field's source (exactly one of the first six keys) and its conversions."""

    value: object = None
    from_: str | None = Field(None, alias="from")
    template: str | None = None
    hash: tuple[str, ...] | None = None
    first: tuple[ValueSpec, ...] | None = None
    switch: tuple[Case, ...] | None = None

    find: Pattern | None = Field(
        None, description="keep the first match of this pattern: its groups, one after the other, if it has any"
    )
    unescape: bool = Field(False, description="&amp; and the like become characters")
    strip: Literal["html", "markdown"] | None = Field(None, description="keep the text that its markup shows")
    map: dict[str, object] | None = None
    else_: object = Field(None, alias="else")
    time: str | None = None
    zone: str | None = None
    split: str | None = Field(None, min_length=1, description="a list: what separates its elements")
    decimal: Literal[".", ","] | None = Field(None, description="the mark before the decimals of a number")
    scale: float | None = Field(None, gt=0, description="a score such as 4/5, 80 % or stars, on a scale of this many")
    missing: Words | None = Field(None, description="the words for a missing value")

    @model_validator(mode="after")
    def _one_origin(self) -> Value:
        origins = ("value", "from_", "template", "hash", "first", "switch")
        given = [name.rstrip("_") for name in origins if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of value, from, template, hash, first, switch (has {', '.join(given) or 'none'})"
            )
        if "else_" in self.model_fields_set and self.map is None:
            raise ValueError("'else' belongs to 'map'")
        if any(case.when is None for case in (self.switch or ())[:-1]):
            raise ValueError("switch: cases after the one without 'when' never apply")
        self._check_time()
        return self

    def _check_time(self) -> None:
        if self.time is None:
            if self.zone is not None:
                raise ValueError("'zone' belongs to 'time'")
            return
        if "%" not in self.time and self.time not in FORMATS:
            raise ValueError(f"time {self.time!r} is neither a strptime format nor one of {', '.join(FORMATS)}")
        if self.zone is not None and (self.time in ZONED or "%z" in self.time):
            raise ValueError(f"zone: times of format {self.time} have a zone of their own")
        if self.zone is not None:
            parse_zone(self.zone)
        elif "%" in self.time and "%z" not in self.time and "%Z" not in self.time:
            raise ValueError(f"time {self.time!r} holds no %z: name the zone")


ValueSpec = Annotated[Value, BeforeValidator(_as_value)]


class Case(StrictModel):
    """One case of a switch; a case without `when` always applies."""

    when: Condition | None = None
    then: ValueSpec


class Join(StrictModel):
    """A second file, beside the first: its row whose column `key` equals this row's `by` is reached by the join's name."""

    file: str
    key: str
    by: str


class Each(StrictModel):
    """A nested list: one event for each of its elements, which are reached by `name`."""

    name: str = Field(alias="as")
    list: str
    nested: str | None = Field(None, description="in an element, the path to a list of such elements: replies to any depth")


class EventMapping(StrictModel):
    """One event of a row."""

    each: Each | None = None
    when: Condition | None = None
    fields: dict[str, ValueSpec]

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, fields: dict[str, Value]) -> dict[str, Value]:
        for path, value in fields.items():
            if path not in FIELD_BY_PATH:
                raise ValueError(f"the event has no field {path!r}{hint(path, FIELD_BY_PATH)}")
            for constant in _constants(value):
                if reason := refusal(FIELD_BY_PATH[path], constant):
                    raise ValueError(f"{path}: {constant!r} {reason}")
            if value.split is not None and FIELD_BY_PATH[path].kind != "strings":
                raise ValueError(f"{path}: split makes a list, and this field has one value")
        return fields


class MappingFile(Reading):
    """A mapping file."""

    files: tuple[str, ...] = Field((), description="the names of the files it is for, as globs")
    missing: Words = Field(MISSING, description="the words for a missing value, in fields that are no text")
    join: dict[str, Join] = {}
    defaults: dict[str, ValueSpec] = Field({}, description="fields that every event of the file has")
    events: tuple[EventMapping, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> MappingFile:
        EventMapping(fields=dict(self.defaults))
        for number, event in enumerate(self.events, 1):
            missing = [path for path in REQUIRED if path not in self.defaults and path not in event.fields]
            if missing:
                raise ValueError(f"event {number} lacks {', '.join(missing)}")
        return self


def _constants(value: Value) -> Iterator[object]:
    """The constants that a value can take, whatever the row."""
    later = (value.find, value.strip, value.time, value.split, value.scale, value.decimal)
    if any(later) or value.unescape:
        return  # a conversion makes another value of it
    if value.value is not None and value.map is None:
        yield value.value
    yield from (each for each in (value.map or {}).values() if each is not None)
    if value.else_ is not None:
        yield value.else_
    for inner in (*(value.first or ()), *(case.then for case in value.switch or ())):
        yield from _constants(inner)


def load_mapping(path: Path) -> MappingFile:
    """Reads a mapping file.

    Raises SettingsError with one line: the file, the key and the reason.
    """
    return document.load(path, MappingFile)


def mapping_beside(path: Path) -> Path:
    """The mapping file that belongs to a file, beside it: survey.mapping.yaml of survey.csv and survey.csv.gz."""
    plain = path.with_suffix("") if path.suffix.lower() in (".gz", ".gzip") else path
    return plain.with_name(f"{plain.stem}.mapping.yaml")


def find_mapping(path: Path) -> MappingFile | None:
    """The mapping for a file by its name (without .gz): NAME.mapping.yaml beside it, else a shipped one whose `files` match."""
    names = dict.fromkeys((path, path.with_suffix("") if path.suffix.lower() in (".gz", ".gzip") else path))
    for name in names:
        beside = name.with_name(f"{name.stem}.mapping.yaml")
        if beside.exists():
            return load_mapping(beside)
    folder = next((folder for folder in SHIPPED if folder.is_dir()), None)
    for candidate in sorted(folder.glob("*.yaml")) if folder else ():
        mapping = load_mapping(candidate)
        if any(fnmatch(name.name, pattern) for pattern in mapping.files for name in names):
            return mapping
    return None
