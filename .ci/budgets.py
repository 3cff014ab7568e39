"""Check the budgets that keep the code readable: the size of files and functions, `Any`, and the docstrings of contracts.

Run as `python .ci/budgets.py [FOLDER]` (`make lint` does). It reads pipeline/ and schemas/ under FOLDER, prints each figure
over its budget and exits with 1 if there is one. `.ci/budgets.toml` holds the exceptions, each with its own limit and its
reason. An exception that the code no longer needs is an error too, so the list can only shrink.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BUDGETS = {"lines": 250, "function": 40, "arguments": 7, "nesting": 4, "docstring": 0, "any": 2.0}
"""Lines of a file, lines of a function, its arguments (without self and cls), how deep its blocks nest, missing docstrings;
and over all files uses of `Any` per 1,000 lines."""
EVERYTHING = "pipeline and schemas"

CONTRACTS = ("pipeline/step.py", "pipeline/batch.py", "pipeline/errors.py", "pipeline/fence.py", "pipeline/sinks/", "schemas/")
"""Every public class, function and method in these has a docstring, and so has every Protocol elsewhere."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


class Figure(NamedTuple):
    """One measured figure: its budget's name, where it was measured (`path` or `path:Class.function`), and its value."""

    budget: str
    where: str
    value: float


def figures(path: str, source: str) -> Iterator[Figure]:
    """All figures of one file. `path` is relative to the repository."""
    tree = ast.parse(source)
    yield Figure("lines", path, len(source.splitlines()))
    contract = path.startswith(CONTRACTS)
    for name, node in definitions(tree):
        where = f"{path}:{name}"
        if isinstance(node, ast.ClassDef):
            yield from missing_docstrings(where, node, contract)
            continue
        yield Figure("function", where, (node.end_lineno or node.lineno) - node.lineno + 1)
        yield Figure("arguments", where, len(arguments(node)))
        yield Figure("nesting", where, nesting(node.body))
        if contract and "." not in name and not name.startswith("_"):
            yield Figure("docstring", where, int(ast.get_docstring(node) is None))


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Each class and function below `node`, with its qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            yield prefix + child.name, child
            yield from definitions(child, f"{prefix}{child.name}.")
        else:
            yield from definitions(child, prefix)


def missing_docstrings(where: str, node: ast.ClassDef, contract: bool) -> Iterator[Figure]:
    """Of a class that is a contract, and of its public methods."""
    if node.name.startswith("_") or not (contract or any(ast.unparse(base).split("[")[0] == "Protocol" for base in node.bases)):
        return
    yield Figure("docstring", where, int(ast.get_docstring(node) is None))
    for method in node.body:
        if isinstance(method, Function) and not method.name.startswith("_"):
            yield Figure("docstring", f"{where}.{method.name}", int(ast.get_docstring(method) is None))


def arguments(function: Function) -> list[str]:
    """The names of its arguments, without self and cls."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def nesting(body: list[ast.stmt], depth: int = 0) -> int:
    """How deep blocks nest below `body`. An `elif` is as deep as its `if`; a function or class inside is counted on its own."""
    deepest = depth
    for statement in body:
        if not isinstance(statement, BLOCKS):
            continue
        for inner in blocks(statement):
            deepest = max(deepest, nesting(inner, depth + 1))
    return deepest


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks directly inside a compound statement."""
    if isinstance(statement, ast.Match):
        yield from (case.body for case in statement.cases)
        return
    if isinstance(statement, ast.Try | ast.TryStar):
        yield from (handler.body for handler in statement.handlers)
        yield statement.finalbody
    yield getattr(statement, "body", [])
    otherwise: list[ast.stmt] = getattr(statement, "orelse", [])
    if isinstance(statement, ast.If) and len(otherwise) == 1 and isinstance(otherwise[0], ast.If):
        yield from blocks(otherwise[0])  # an elif
    else:
        yield otherwise


def uses_of_any(source: str) -> int:
    """How often the code says `Any`; an import of it does not count."""
    return sum(
        (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
        for node in ast.walk(ast.parse(source))
    )


def problems(measured: list[Figure], exceptions: dict[str, dict[str, tuple[float, str]]]) -> Iterator[str]:
    """One line for each figure over its budget or its exception's limit, and for each exception that nothing needs."""
    needed = set()
    for budget, where, value in measured:
        if value <= BUDGETS[budget]:
            continue
        needed.add((budget, where))
        limit = exceptions.get(budget, {}).get(where, (BUDGETS[budget], ""))[0]
        if value > limit:
            yield f"{where}: {'has no docstring' if budget == 'docstring' else f'{budget} {value:g}, at most {limit:g}'}"
    for budget, listed in exceptions.items():
        for where, (_, reason) in listed.items():
            if (budget, where) not in needed:
                yield f"{where}: needs no exception for {budget}: remove it from .ci/budgets.toml"
            if not reason.strip():
                yield f"{where}: its exception for {budget} gives no reason"


def main(folder: Path) -> int:
    """Print the figures and the problems of the code under `folder`; 1 if there are problems."""
    paths = [path for room in ("pipeline", "schemas") for path in sorted((folder / room).rglob("*.py"))]
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in paths}
    listing = folder / ".ci/budgets.toml"
    exceptions = tomllib.loads(listing.read_text()) if listing.exists() else {}
    measured = [figure for path, source in files.items() for figure in figures(path, source)]
    lines = sum(figure.value for figure in measured if figure.budget == "lines")
    any_rate = round(1000 * sum(map(uses_of_any, files.values())) / max(lines, 1), 1)
    over = list(problems([*measured, Figure("any", EVERYTHING, any_rate)], exceptions))
    for line in over:
        print(line, file=sys.stderr)
    listed = sum(map(len, exceptions.values()))
    known = f"{len(files)} files, {lines:g} lines, {any_rate} Any per 1,000 lines"
    print(f"Budgets: {known}; {listed} exceptions, {len(over)} problems")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent))
