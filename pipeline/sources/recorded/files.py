"""Recorded events: JSONL of canonical events, and any CSV, TSV, JSON or JSONL through a mapping.

`read_events` yields every event or line of a file in its order, as `Mapped` or, with the reason, as `Unmapped`. A row that does
not map never stops the others. The same file always gives the same events, ids included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.archives import FileDamaged
from pipeline.sources.recorded.convert import TEXTS, missing_words
from pipeline.sources.recorded.items import Damaged, LeftOut, Mapped, Unmapped
from pipeline.sources.recorded.lines import TOO_LONG
from pipeline.sources.recorded.mapping import NEEDED, REQUIRED, EventMapping, MappingFile
from pipeline.sources.recorded.nested import below
from pipeline.sources.recorded.reader import Say, format_of, lines_of, rows_of
from pipeline.sources.recorded.reading import Format, Reading
from pipeline.sources.recorded.reasons import Unmappable
from pipeline.sources.recorded.rounded_ids import without_rounded_ids
from pipeline.sources.recorded.rows import Row
from pipeline.sources.recorded.values import (
    BUILT_IN,
    Compiled,
    RowNames,
    compile_fields,
    condition,
    names_in,
    reference,
    references,
)

Words = Callable[[str], frozenset[str]]


class HasLine(Protocol):
    """An item of a file."""

    @property
    def line(self) -> int:
        """The line where the item starts."""
        ...


Item = TypeVar("Item", bound=HasLine)


def _silent(text: str) -> None: ...


def read_events(path: Path, mapping: MappingFile | None = None, say: Say = _silent) -> Iterator[Mapped | Unmapped]:
    """The events of a file. `say` gets a line for each thing that was recognised and not certain.

    Without a mapping the lines of a JSONL file pass as raw bytes, even broken ones: the pipeline rejects those with a reason.
    Raises SettingsError when the mapping doesn't fit the file (a column it names is missing), EarshotError when a file can't
    be read at all.
    """
    try:
        form = format_of(path, mapping)
    except OSError as error:
        raise EarshotError(f"{error.filename or path}: {error.strerror}") from None
    if mapping is None:
        if form != "jsonl":
            raise SettingsError(
                f"{path}: a {form.upper()} file needs a mapping (--mapping, or {path.stem}.mapping.yaml beside it): "
                "`earshot mapping new` makes one"
            )
        return with_file_errors(path, _raw_events(path))
    fields = {*mapping.defaults, *(field for event in mapping.events for field in event.fields)}
    return without_rounded_ids(with_file_errors(path, _mapped_events(path, form, mapping, say)), sorted(fields))


def with_file_errors(path: Path, items: Iterator[Item]) -> Iterator[Item | Unmapped]:
    """The items; a file that breaks off ends with a `Damaged`. Raises EarshotError for one that can't be read at all."""
    line = 0
    try:
        for item in items:
            line = item.line
            yield item
    except OSError as error:
        raise EarshotError(f"{error.filename or path}: {error.strerror}") from None
    except FileDamaged as error:
        if not line:
            raise EarshotError(f"{path}: {error}") from None
        yield Damaged(line + 1, f"{error}")


# --- events ---------------------------------------------------------------------------------------------------------
def _raw_events(path: Path) -> Iterator[Mapped | Unmapped]:
    for line, raw in lines_of(path):
        yield Unmapped(line, TOO_LONG) if raw is None else Mapped(line, raw)


def _mapped_events(path: Path, form: Format, mapping: MappingFile, say: Say) -> Iterator[Mapped | Unmapped]:
    names = {each.name for event in mapping.events if (each := event.each)} | mapping.join.keys()
    names |= set(BUILT_IN)
    columns = (name for name in references(mapping) if name.partition(".")[0] not in names)
    _check_used(path, form, mapping)
    joins = [_joined(path, name, mapping) for name in mapping.join]
    makers = [_maker(event, mapping, _words_of(mapping)) for event in mapping.events]
    for row in rows_of(path, form, mapping, tuple(dict.fromkeys(columns)), say):
        if isinstance(row, Unmapped):
            yield row
            continue
        scope = {**row.values, "$line": row.line}
        for join in joins:
            join(scope)
        items = [item for make in makers for item in make(row.line, scope)]
        yield from items or [Unmapped(row.line, "no event of the mapping applies")]


def _check_used(path: Path, form: Format, mapping: MappingFile) -> None:
    """Raises SettingsError for a key of the mapping that has no effect on a file of this format."""
    try:
        mapping.check(form)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    used = {name.partition(".")[0] for name in references(mapping)}
    for name in mapping.join:
        if name not in used:
            raise SettingsError(f"{path}: nothing of the mapping refers to its join {name!r}")


def _joined(path: Path, name: str, mapping: MappingFile) -> Callable[[RowNames], None]:
    """Reads the second file whole; returns a function that adds its matching row to a scope. The first row of a key counts."""
    join = mapping.join[name]
    other = path.with_name(join.file)
    columns = (join.key, *(ref.partition(".")[2] for ref in references(mapping) if ref.startswith(f"{name}.")))
    key, by = reference(join.key), reference(join.by)
    index: dict[object, RowNames] = {}
    reading = Reading(encoding=mapping.encoding, repair=mapping.repair)
    for row in rows_of(other, format_of(other), reading, tuple(dict.fromkeys(columns)), _silent):
        if isinstance(row, Row):
            index.setdefault(key(row.values), row.values)

    def add(scope: RowNames) -> None:
        scope[name] = index.get(by(scope), {})

    return add


def _maker(event: EventMapping, mapping: MappingFile, words: Words) -> Callable[[int, RowNames], Iterator[Mapped | Unmapped]]:
    """A function that yields a row's events by this part of the mapping: none, one, or one for each element of a list."""
    applies = condition(event.when, words(event.when.from_)) if event.when else None
    build = partial(_build, compile_fields({**mapping.defaults, **event.fields}, mapping.missing))
    each = event.each
    scopes = below(each) if each else lambda scope: iter((scope,))

    def make(line: int, row: RowNames) -> Iterator[Mapped | Unmapped]:
        for scope in scopes(row):
            try:
                if applies is None or applies(scope):
                    yield Mapped(line, *build(scope))
            except Unmappable as error:
                yield Unmapped(line, str(error))

    return make


def _words_of(mapping: MappingFile) -> Words:
    """The words that stand for a missing value of a column: none where a text is read from it."""
    fields = [*mapping.defaults.items(), *(item for event in mapping.events for item in event.fields.items())]
    texts = {name for path, value in fields if path in TEXTS for name in names_in(value)}
    words = missing_words(mapping.missing)
    return lambda name: frozenset() if name in texts else words


def _build(fields: list[Compiled], scope: RowNames) -> tuple[dict[str, object], tuple[LeftOut, ...]]:
    """One event, without absent fields and without objects that would be empty, and the fields that can't be read.

    Raises Unmappable if one of those is needed."""
    event: dict[str, object] = {}
    left_out: list[LeftOut] = []
    for path, get, convert, source in fields:
        try:
            value = get(scope)
            if value is not None:
                value = convert(value)
        except Unmappable as error:
            if path in NEEDED:
                raise Unmappable(f"{path}: {error}{source}") from None
            left_out.append(LeftOut(path, f"{error}{source}"))
            continue
        if value is None:
            if path in REQUIRED:
                raise Unmappable(f"{path} is empty{source}")
            continue
        head, _, tail = path.partition(".")
        if tail:
            branch = event.setdefault(head, {})
            assert isinstance(branch, dict)
            branch[tail] = value
        else:
            event[head] = value
    return event, tuple(left_out)
