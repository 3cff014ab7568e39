"""Compiles a mapping's values to functions of a row: once a file, so that a row costs only the calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import xxhash

from pipeline.sources.recorded.convert import TEXTS, Convert, as_number, converter, is_missing, missing_words, splitter, timed
from pipeline.sources.recorded.ids import lost_digits
from pipeline.sources.recorded.json_text import json_in
from pipeline.sources.recorded.mapping import FIELD_BY_PATH, Condition, MappingFile, Value
from pipeline.sources.recorded.markup import joined, unescaped, without_html, without_markdown
from pipeline.sources.recorded.numbers import scaled
from pipeline.sources.recorded.patterns import searcher
from pipeline.sources.recorded.reasons import Unmappable, as_text, shape
from pipeline.sources.recorded.times import parser

RowNames = dict[str, object]
"""The names that a mapping can use: the row's columns, the joined rows, the element of a nested list, `$line`, `$index`."""
Getter = Callable[[RowNames], object]
BUILT_IN = ("$line", "$index", "$key", "$parent")
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def reference(path: str) -> Getter:
    """The column of this name, else the value at this path: keys and list indices joined by dots, `*` for every
    element of a list. Absent and blank are None."""
    parts = path.split(".")

    def get(scope: RowNames) -> object:
        node = scope[path] if path in scope else _at_path(scope, parts)
        if isinstance(node, str):
            node = node.strip()
        return None if node == "" else node

    return get


def _at_path(node: object, parts: list[str]) -> object:
    for number, part in enumerate(parts):
        if isinstance(node, str):
            node = json_in(node)
        if part == "*":
            found = [_at_path(each, parts[number + 1 :]) for each in node] if isinstance(node, list) else []
            return [each for each in found if each is not None] or None
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.lstrip("-").isdigit() and -len(node) <= int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node


def present(path: str, words: frozenset[str]) -> Getter:
    """As `reference`; a value of `words` is None too."""
    get = reference(path)

    def there(scope: RowNames) -> object:
        value = get(scope)
        return None if is_missing(value, words) else value

    return there if words else get


def condition(spec: Condition, words: frozenset[str] = frozenset()) -> Callable[[RowNames], bool]:
    """Whether a row meets `spec`; a value of `words` is there only if `in` names it. It raises Unmappable as `searcher`."""
    get = present(spec.from_, words - missing_words(spec.in_ or ()))
    search = searcher(spec.matches) if spec.matches else None

    def holds(scope: RowNames) -> bool:
        value = get(scope)
        if value is None:
            return False
        if spec.in_ is not None and as_text(value) not in spec.in_:
            return False
        return search is None or search(as_text(value)) is not None

    return holds


def origin(spec: Value, words: frozenset[str]) -> Getter:
    """The function that reads the value's source in a row, before its conversions; `words` stand for a missing value."""
    if spec.from_ is not None:
        return present(spec.from_, words)
    if spec.template is not None:
        return _template(spec.template, words)
    if spec.hash is not None:
        return _hash(spec.hash)
    if spec.first is not None:
        getters = [compile_value(inner, words) for inner in spec.first]
        return lambda scope: next((value for get in getters if (value := get(scope)) is not None), None)
    if spec.switch is not None:
        cases = [(condition(case.when, words) if case.when else None, compile_value(case.then, words)) for case in spec.switch]
        return lambda scope: next((get(scope) for holds, get in cases if holds is None or holds(scope)), None)
    return lambda scope: spec.value


def _template(text: str, words: frozenset[str]) -> Getter:
    pieces = PLACEHOLDER.split(text)
    getters = [(pieces[i], present(pieces[i + 1], words)) for i in range(0, len(pieces) - 1, 2)]

    def fill(scope: RowNames) -> str | None:
        out: list[str] = []
        for literal, get in getters:
            value = get(scope)
            if value is None:
                return None
            if reason := lost_digits(value):
                raise Unmappable(f"{shape(value)}: {reason}")
            out += (literal, as_text(value))
        return "".join(out) + pieces[-1]

    return fill


def _hash(names: tuple[str, ...]) -> Getter:
    """An id for rows without one. An absent value counts as empty, so the same row gives the same id in every run."""
    getters = [reference(name) for name in names]

    def digest(scope: RowNames) -> str:
        parts = ("" if (value := get(scope)) is None else as_text(value) for get in getters)
        return xxhash.xxh3_64_hexdigest("\x1f".join(parts).encode())

    return digest


def compile_value(spec: Value, words: frozenset[str] = frozenset()) -> Getter:
    """The function that reads the value and applies its conversions; None stays None. `words` stand for a missing value."""
    words = words if spec.missing is None else missing_words(spec.missing)
    get = origin(spec, words - missing_words(spec.map or ()))
    steps = list(_conversions(spec))
    if not steps:
        return get

    def convert(scope: RowNames) -> object:
        value = get(scope)
        for step in steps:
            if value is None:
                return None
            value = step(value)
        return value

    return convert


def _conversions(spec: Value) -> Iterator[Convert]:
    """In the order in which they are done."""
    if spec.find is not None:
        yield _first_match(spec.find)
    if spec.unescape:
        yield lambda value: unescaped(_flat(value))
    if spec.strip is not None:
        bare = without_html if spec.strip == "html" else without_markdown
        yield lambda value: bare(_flat(value)) or None
    if spec.map is not None:
        yield lambda value: _mapped(spec, value)
    if spec.split is not None:
        yield splitter(spec.split)
    if (scale := spec.scale) is not None:
        yield lambda value: as_number(value, read=lambda text: scaled(text, scale, spec.decimal))
    elif spec.decimal is not None:
        yield lambda value: as_number(value, spec.decimal)
    if spec.time is not None:
        yield timed(parser(spec.time, spec.zone))


def _flat(value: object) -> str:
    """A text, also one in pieces."""
    text = joined(value) if isinstance(value, list | dict) else None
    return as_text(value) if text is None else text


def _first_match(pattern: str) -> Convert:
    search = searcher(pattern)

    def step(value: object) -> str:
        text = as_text(value)
        match = search(text)
        if match is None:
            raise Unmappable(f"{shape(text)} holds no {pattern}")
        return "".join(part for part in match.groups() if part) if match.re.groups else str(match[0])

    return step


def _mapped(spec: Value, value: object) -> object:
    assert spec.map is not None
    text = as_text(value)
    if text in spec.map:
        return spec.map[text]
    if "else_" in spec.model_fields_set:
        return spec.else_
    raise Unmappable(f"{shape(text)} is not in the map")


class Compiled(NamedTuple):
    """A field: its path, the function that reads its value in a row, the conversion to its type, where it comes from."""

    path: str
    get: Getter
    convert: Convert
    source: str
    """` (from at)`, for a person; blank for a constant."""


def compile_fields(fields: dict[str, Value], missing: Iterable[str]) -> list[Compiled]:
    """The fields of an event. The words of `missing` stand for a missing value, except in a text."""
    words = missing_words(missing)
    return [
        Compiled(
            path,
            compile_value(spec, frozenset() if path in TEXTS else words),
            converter(FIELD_BY_PATH[path]),
            f" (from {names})" if (names := ", ".join(dict.fromkeys(names_in(spec)))) else "",
        )
        for path, spec in fields.items()
    ]


def references(mapping: MappingFile) -> Iterator[str]:
    """Every name that the mapping reads in a row."""
    specs = [*mapping.defaults.values()]
    for event in mapping.events:
        specs += event.fields.values()
        if event.each:
            yield event.each.list
        if event.when:
            yield event.when.from_
    yield from (join.by for join in mapping.join.values())
    for spec in specs:
        yield from names_in(spec)


def names_in(spec: Value) -> Iterator[str]:
    """Every name that a value reads in a row."""
    if spec.from_ is not None:
        yield spec.from_
    yield from PLACEHOLDER.findall(spec.template or "")
    yield from spec.hash or ()
    for inner in spec.first or ():
        yield from names_in(inner)
    for case in spec.switch or ():
        if case.when:
            yield case.when.from_
        yield from names_in(case.then)
