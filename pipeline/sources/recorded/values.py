"""A mapping's values compiled to functions of a row's scope: once a file, so that a row costs only the calls."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import xxhash

from pipeline.sources.recorded.mapping import FIELD_BY_PATH, Condition, MappingFile, Value
from pipeline.sources.recorded.times import parser
from schemas.events import TIMES, Field

RowNames = dict[str, Any]
"""What names resolve in: the row's columns, the joined rows, the element of a nested list, `$line` and `$index`."""
Getter = Callable[[RowNames], Any]
BUILT_IN = ("$line", "$index")
TRUE, FALSE = {"true", "1", "yes"}, {"false", "0", "no"}
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Unmappable(Exception):
    """Why a row has no event, in words for a person."""


def reference(path: str) -> Getter:
    """A column by its name, else a path: names and list places joined by dots. Absent and blank are None."""
    parts = path.split(".")

    def get(scope: RowNames) -> Any:
        if path in scope:
            node: Any = scope[path]
        else:
            node = scope
            for part in parts:
                if isinstance(node, dict):
                    node = node.get(part)
                elif isinstance(node, list) and part.lstrip("-").isdigit() and -len(node) <= int(part) < len(node):
                    node = node[int(part)]
                else:
                    return None
        if isinstance(node, str):
            node = node.strip()
        return None if node == "" else node

    return get


def condition(spec: Condition) -> Callable[[RowNames], bool]:
    get = reference(spec.from_)
    pattern = re.compile(spec.matches) if spec.matches else None

    def holds(scope: RowNames) -> bool:
        found = get(scope)
        if found is None:
            return False
        if spec.in_ is not None and as_text(found) not in spec.in_:
            return False
        return pattern is None or pattern.search(as_text(found)) is not None

    return holds


def as_text(found: Any) -> str:
    """Scalars as they read; objects and lists as JSON."""
    return found if isinstance(found, str) else orjson.dumps(found).decode()


def origin(spec: Value) -> Getter:
    """Where the value comes from."""
    if spec.from_ is not None:
        return reference(spec.from_)
    if spec.template is not None:
        return _template(spec.template)
    if spec.hash is not None:
        return _hash(spec.hash)
    if spec.first is not None:
        getters = [compile_value(inner) for inner in spec.first]
        return lambda scope: next((found for get in getters if (found := get(scope)) is not None), None)
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
            found = get(scope)
            if found is None:
                return None
            out += (literal, as_text(found))
        return "".join(out) + pieces[-1]

    return fill


def _hash(names: tuple[str, ...]) -> Getter:
    """An id for what has none: absent values count as such, so the same row gives the same id in every run."""
    getters = [reference(name) for name in names]

    def digest(scope: RowNames) -> str:
        parts = ("" if (found := get(scope)) is None else as_text(found) for get in getters)
        return xxhash.xxh3_64_hexdigest("\x1f".join(parts).encode())

    return digest


def compile_value(spec: Value) -> Getter:
    """The value with all that is done to it; None stays None."""
    get = origin(spec)
    steps: list[Callable[[Any], Any]] = []
    if spec.find is not None:
        steps.append(_found(re.compile(spec.find)))
    if spec.unescape:
        steps.append(lambda found: html.unescape(as_text(found)))
    if spec.map is not None:
        steps.append(lambda found: _mapped(spec, found))
    if spec.time is not None:
        steps.append(_timed(parser(spec.time, spec.zone)))
    if not steps:
        return get

    def value(scope: RowNames) -> Any:
        found = get(scope)
        for step in steps:
            if found is None:
                return None
            found = step(found)
        return found

    return value


def _found(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def step(found: Any) -> str:
        text = as_text(found)
        match = pattern.search(text)
        if match is None:
            raise Unmappable(f"{shorten(text)} holds no {pattern.pattern}")
        return match[1] if pattern.groups else match[0]

    return step


def _mapped(spec: Value, found: Any) -> Any:
    assert spec.map is not None
    text = as_text(found)
    if text in spec.map:
        return spec.map[text]
    if "else_" in spec.model_fields_set:
        return spec.else_
    raise Unmappable(f"{shorten(text)} is not in the map")


def _timed(parse: Callable[[object], str]) -> Callable[[Any], str]:
    def step(found: Any) -> str:
        try:
            return parse(found)
        except (ValueError, OverflowError) as error:
            raise Unmappable(f"no time in {shorten(as_text(found))}: {error}") from None

    return step


def shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def converter(field: Field) -> Callable[[Any], Any]:
    """To the field's type, or Unmappable."""
    if field.column in TIMES:
        return _timed(parser("iso", None))
    if field.kind == "strings":
        return lambda found: [as_text(item) for item in found] if isinstance(found, list) else [as_text(found)]
    if field.values:
        return lambda found: _one_of(field, as_text(found))
    return {"string": as_text, "int": _integer, "float": _number, "bool": _boolean}[field.kind]


def _one_of(field: Field, text: str) -> str:
    if text not in field.values:
        raise Unmappable(f"{shorten(text)} is not one of {', '.join(field.values)}")
    return text


def _integer(found: Any) -> int:
    if isinstance(found, int):
        return int(found)
    text = as_text(found)
    try:
        return int(text.removesuffix(".0"))
    except ValueError:
        raise Unmappable(f"{shorten(text)} is no whole number") from None


def _number(found: Any) -> float:
    try:
        return float(as_text(found))
    except ValueError:
        raise Unmappable(f"{shorten(as_text(found))} is no number") from None


def _boolean(found: Any) -> bool:
    text = as_text(found).lower()
    if text not in TRUE | FALSE:
        raise Unmappable(f"{shorten(text)} is neither true nor false")
    return text in TRUE


def compile_fields(fields: dict[str, Value]) -> list[tuple[str, Getter, Callable[[Any], Any]]]:
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
        yield from _of_value(spec)


def _of_value(spec: Value) -> Iterator[str]:
    if spec.from_ is not None:
        yield spec.from_
    yield from PLACEHOLDER.findall(spec.template or "")
    yield from spec.hash or ()
    for inner in spec.first or ():
        yield from _of_value(inner)
    for case in spec.switch or ():
        if case.when:
            yield case.when.from_
        yield from _of_value(case.then)
