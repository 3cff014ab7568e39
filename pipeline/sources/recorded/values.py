"""Compiles a mapping's values to functions of a row: once a file, so that a row costs only the calls."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

import orjson
import xxhash

from pipeline.sources.recorded.mapping import FIELD_BY_PATH, Condition, MappingFile, Value
from pipeline.sources.recorded.times import parser
from schemas.events import TIMES, Field

RowNames = dict[str, object]
"""The names that a mapping can use: the row's columns, the joined rows, the element of a nested list, `$line`, `$index`."""
Getter = Callable[[RowNames], object]
Convert = Callable[[object], object]
BUILT_IN = ("$line", "$index")
TRUE, FALSE = {"true", "1", "yes"}, {"false", "0", "no"}
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Unmappable(Exception):
    """The row has no event; the text is the reason, for a person."""


def reference(path: str) -> Getter:
    """The column of this name, else the value at this path: keys and list indices joined by dots. Absent and blank are None."""
    parts = path.split(".")

    def get(scope: RowNames) -> object:
        node = scope[path] if path in scope else _at_path(scope, parts)
        if isinstance(node, str):
            node = node.strip()
        return None if node == "" else node

    return get


def _at_path(node: object, parts: list[str]) -> object:
    for part in parts:
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.lstrip("-").isdigit() and -len(node) <= int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node


def condition(spec: Condition) -> Callable[[RowNames], bool]:
    get = reference(spec.from_)
    pattern = re.compile(spec.matches) if spec.matches else None

    def holds(scope: RowNames) -> bool:
        value = get(scope)
        if value is None:
            return False
        if spec.in_ is not None and as_text(value) not in spec.in_:
            return False
        return pattern is None or pattern.search(as_text(value)) is not None

    return holds


def as_text(value: object) -> str:
    """A string unchanged; anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def origin(spec: Value) -> Getter:
    """The function that reads the value's source in a row, before its conversions."""
    if spec.from_ is not None:
        return reference(spec.from_)
    if spec.template is not None:
        return _template(spec.template)
    if spec.hash is not None:
        return _hash(spec.hash)
    if spec.first is not None:
        getters = [compile_value(inner) for inner in spec.first]
        return lambda scope: next((value for get in getters if (value := get(scope)) is not None), None)
    if spec.switch is not None:
        cases = [(condition(case.when) if case.when else None, compile_value(case.then)) for case in spec.switch]
        return lambda scope: next((get(scope) for holds, get in cases if holds is None or holds(scope)), None)
    return lambda scope: spec.value


def _template(text: str) -> Getter:
    pieces = PLACEHOLDER.split(text)
    getters = [(pieces[i], reference(pieces[i + 1])) for i in range(0, len(pieces) - 1, 2)]

    def fill(scope: RowNames) -> str | None:
        out: list[str] = []
        for literal, get in getters:
            value = get(scope)
            if value is None:
                return None
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


def compile_value(spec: Value) -> Getter:
    """The function that reads the value and applies its conversions; None stays None."""
    get = origin(spec)
    steps: list[Convert] = []
    if spec.find is not None:
        steps.append(_first_match(re.compile(spec.find)))
    if spec.unescape:
        steps.append(lambda value: html.unescape(as_text(value)))
    if spec.map is not None:
        steps.append(lambda value: _mapped(spec, value))
    if spec.time is not None:
        steps.append(_timed(parser(spec.time, spec.zone)))
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


def _first_match(pattern: re.Pattern[str]) -> Convert:
    def step(value: object) -> str:
        text = as_text(value)
        match = pattern.search(text)
        if match is None:
            raise Unmappable(f"{shorten(text)} holds no {pattern.pattern}")
        return str(match[1] if pattern.groups else match[0])

    return step


def _mapped(spec: Value, value: object) -> object:
    assert spec.map is not None
    text = as_text(value)
    if text in spec.map:
        return spec.map[text]
    if "else_" in spec.model_fields_set:
        return spec.else_
    raise Unmappable(f"{shorten(text)} is not in the map")


def _timed(parse: Callable[[object], str]) -> Convert:
    def step(value: object) -> str:
        try:
            return parse(value)
        except (ValueError, OverflowError) as error:
            raise Unmappable(f"no time in {shorten(as_text(value))}: {error}") from None

    return step


def shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def converter(field: Field) -> Convert:
    """The conversion to the field's type; it raises Unmappable."""
    if field.column in TIMES:
        return _timed(parser("iso", None))
    if field.kind == "strings":
        return lambda value: [as_text(item) for item in value] if isinstance(value, list) else [as_text(value)]
    if field.values:
        return lambda value: _one_of(field, as_text(value))
    converters: dict[str, Convert] = {"string": as_text, "int": _integer, "float": _float, "bool": _boolean}
    return converters[field.kind]


def _one_of(field: Field, text: str) -> str:
    if text not in field.values:
        raise Unmappable(f"{shorten(text)} is not one of {', '.join(field.values)}")
    return text


def _integer(value: object) -> int:
    if isinstance(value, int):
        return int(value)
    text = as_text(value)
    try:
        return int(text.removesuffix(".0"))
    except ValueError:
        raise Unmappable(f"{shorten(text)} is no whole number") from None


def _float(value: object) -> float:
    try:
        return float(as_text(value))
    except ValueError:
        raise Unmappable(f"{shorten(as_text(value))} is no number") from None


def _boolean(value: object) -> bool:
    text = as_text(value).lower()
    if text not in TRUE | FALSE:
        raise Unmappable(f"{shorten(text)} is neither true nor false")
    return text in TRUE


def compile_fields(fields: dict[str, Value]) -> list[tuple[str, Getter, Convert]]:
    """Path, getter and converter of each field."""
    return [(path, compile_value(spec), converter(FIELD_BY_PATH[path])) for path, spec in fields.items()]


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
        yield from _names_in(spec)


def _names_in(spec: Value) -> Iterator[str]:
    if spec.from_ is not None:
        yield spec.from_
    yield from PLACEHOLDER.findall(spec.template or "")
    yield from spec.hash or ()
    for inner in spec.first or ():
        yield from _names_in(inner)
    for case in spec.switch or ():
        if case.when:
            yield case.when.from_
        yield from _names_in(case.then)
