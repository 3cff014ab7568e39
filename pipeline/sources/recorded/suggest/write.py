"""Writes a suggested mapping as YAML, with examples and doubts as comments."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import yaml

from pipeline.config import document
from pipeline.errors import SettingsError
from pipeline.sources.recorded.checks import checked
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import MappingFile
from pipeline.sources.recorded.suggest.choose import Choice
from pipeline.sources.recorded.suggest.columns import columns_of
from pipeline.sources.recorded.suggest.draft import Draft, drafts_of
from pipeline.sources.recorded.suggest.sample import SAMPLED, Sample, sample_of

SHOWN, WIDTH = 40, 118


class Suggestion(NamedTuple):
    """A mapping as the text of its file, and its doubts, a line each."""

    text: str
    doubts: list[str]


def suggest(path: Path, member: str | None = None) -> Suggestion:
    """A mapping for a file, or for a member of a zip archive, by its first 1,000 rows. The same file gives the same mapping.

    Raises EarshotError if the file can't be read, SettingsError if no column holds a text.
    """
    sample = sample_of(path, member)
    drafts = drafts_of(sample, path)
    if not drafts:
        raise SettingsError(f"{path}: no column of the first {len(sample.rows):,} rows holds a text: is it an export of posts?")
    text = "\n".join(_lines(sample, drafts, path)) + "\n"
    return Suggestion(text, list(dict.fromkeys([*_doubts(drafts), *_tried(text, path)])))


def _tried(text: str, path: Path) -> Iterator[str]:
    """Tries the mapping on the first rows: their doubts about it."""
    try:
        mapping = document.parse(text.encode(), path, MappingFile)
        items = list(islice(checked(path, read_events(path, mapping), False), SAMPLED))
    except SettingsError as error:
        yield str(error)
        return
    mapped = sum(isinstance(item, Mapped) for item in items)
    if mapped < 0.9 * len(items):
        yield f"{mapped:,} of the first {len(items):,} events map"


def _doubts(drafts: list[Draft]) -> Iterator[str]:
    for draft in drafts:
        yield from draft.notes
        for choice in draft.choices:
            yield from (f"{choice.field}, from {choice.column.path}: {doubt}" for doubt in choice.doubts)
        yield from (f"{each.field}: {each.doubt}" for each in draft.constants if each.doubt)


def _lines(sample: Sample, drafts: list[Draft], path: Path) -> Iterator[str]:
    yield f"# Made by `earshot mapping new` from the first {min(SAMPLED, len(sample.rows)):,} rows of {_printable(path.name)}."
    yield "# Lines with CHECK are guesses. Try it:  earshot replay --dry-run FILE"
    yield from (f"# {note}" for note in map(_printable, sample.notes))
    yield from (f"{key}: {_flow(value)}" for key, value in sample.keys.items())
    yield "events:"
    for draft in drafts:
        yield from _event(draft)
    yield "      # brands: [Acme]  # if all rows are about one brand; else brands.yaml finds them in the texts"
    used = {choice.column.path for draft in drafts for choice in draft.choices}
    unused = [name for name in columns_of(sample.rows) if name and name not in used and ".*." not in name]
    yield from _wrapped("not used: ", unused)


def _event(draft: Draft) -> Iterator[str]:
    first = True
    for key, value in (
        ("each", draft.each and {"list": draft.each[0], "as": draft.each[1]}),
        ("when", draft.when and {"from": draft.when}),
    ):
        if value:
            yield f"  {'-' if first else ' '} {key}: {_flow(value)}"
            first = False
    yield f"  {'-' if first else ' '} fields:"
    yield from (f"      # CHECK: {_printable(note)}" for note in draft.notes)
    for name, entry in draft.extra.items():
        yield f"      {name}: {_flow(entry)}"
    for constant in draft.constants:
        yield f"      {constant.field}: {_flow(constant.value)}" + (f"  # CHECK: {constant.doubt}" if constant.doubt else "")
    for choice in draft.choices:
        yield from _choice(choice)


def _choice(choice: Choice) -> Iterator[str]:
    yield from (f"      # CHECK: {_printable(doubt)}" for doubt in choice.doubts)
    yield f"      {choice.field}: {_flow({'from': choice.column.path, **choice.keys})}"
    examples = " | ".join(_short(text) for text in choice.column.examples())
    yield f"      #   {examples}"


def _short(text: str) -> str:
    shown = _printable(" ".join(text.split()))
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _flow(value: object) -> str:
    """The value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _wrapped(label: str, names: list[str]) -> Iterator[str]:
    line = f"# {label}"
    for number, name in enumerate(names):
        part = _printable(name) + (", " if number < len(names) - 1 else "")
        if len(line) + len(part) > WIDTH:
            yield line.rstrip()
            line = "#   "
        line += part
    if names:
        yield line.rstrip()
