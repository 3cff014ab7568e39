"""The elements of a nested list, and of the lists inside them to any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.sources.recorded.json_text import json_in
from pipeline.sources.recorded.mapping import Each
from pipeline.sources.recorded.values import Getter, RowNames, reference


def below(each: Each) -> Callable[[RowNames], Iterator[RowNames]]:
    """A function from a row's names to those of each element, in the order of reading: an element, then the replies to it.

    `$index` is the index in the list; deeper down it is a path (`0.2`). `$parent` is the element above, absent at the top.
    """
    first = reference(each.list)
    inner = reference(each.nested) if each.nested is not None else None

    def scopes(row: RowNames) -> Iterator[RowNames]:
        stack = [iter(_elements(first, row, "", None))]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
                continue
            index, element, parent = found
            yield {**row, each.name: element, "$index": index, "$parent": parent}
            if inner is not None and isinstance(element, dict):
                stack.append(iter(_elements(inner, element, f"{index}.", element)))

    return scopes


def _elements(get: Getter, scope: RowNames, path: str, parent: object) -> list[tuple[object, object, object]]:
    """Index, element and parent of each element of a list; a list may stand in a cell as JSON."""
    nested = get(scope)
    if isinstance(nested, str):
        nested = json_in(nested)
    if not isinstance(nested, list):
        return []
    return [(f"{path}{index}" if path else index, element, parent) for index, element in enumerate(nested)]
