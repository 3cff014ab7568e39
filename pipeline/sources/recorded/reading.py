"""The keys of a mapping file that say how the bytes of a file become rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.config.document import StrictModel
from pipeline.errors import SettingsError
from pipeline.sources.recorded.encoding import is_text

Format = Literal["csv", "tsv", "json", "jsonl"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".js": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_NAMED = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_TABLES = ("csv", "tsv")
_KEYS = {"rows": ("json",), "delimiter": _TABLES, "quotes": _TABLES, "columns": _TABLES, "skip": _TABLES}
"""The formats for which a key has an effect; the other keys are for all."""


def _encoding(name: str) -> str:
    if not is_text(name):
        raise ValueError(f"unknown encoding {name!r}: write it as utf-8, utf-16 or cp1252")
    return name


def _delimiter(text: str) -> str:
    character = _NAMED.get(text, text)
    if len(character) != 1 or character in '"\r\n':
        raise ValueError(f'delimiter {text!r}: it is one character, as ";" or "\\t"')
    return character


def _columns(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"columns: {', '.join(sorted(twice))} is there twice")
    return names


class Reading(StrictModel):
    """How a file is read. What a mapping leaves out is recognised from the file."""

    format: Format | None = Field(None, description="by the file's suffix when left out")
    member: str | None = Field(None, description="zip: the file inside the archive, or a glob for it")
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    repair: Literal["latin1", "ftfy"] | None = Field(None, description="texts whose UTF-8 was read as something else")
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = None
    quotes: bool | Literal["backslash"] | None = Field(
        None,
        description="whether cells may be quoted: true for CSV, false for TSV when left out; backslash: before a quote in one",
    )
    columns: Annotated[tuple[str, ...], AfterValidator(_columns)] = Field((), description="for a file without a header")
    skip: int = Field(0, ge=0, description="the lines before the header")
    rows: str | None = Field(None, description="JSON: path to the rows; the document itself when left out. * is any key")

    @model_validator(mode="after")
    def _fit(self) -> Reading:
        if self.format is not None:
            for key in self.unused(self.format):
                raise ValueError(f"{key}: it is for format {' and '.join(_KEYS[key])}")
        return self

    def unused(self, form: Format) -> list[str]:
        """The keys given that have no effect on a file of this format."""
        return [key for key, formats in _KEYS.items() if key in self.model_fields_set and form not in formats]

    def check(self, form: Format) -> None:
        """Raises SettingsError, without the file's name, for a key that has no effect on a file of this format."""
        for key in self.unused(form):
            raise SettingsError(f"the mapping's key {key} is for format {' and '.join(_KEYS[key])}, this is {form}")
