"""The exceptions: pipeline/errors.py draws every class that pipeline/ defines, below the class that it derives from."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pipeline
from pipeline import errors

ROOT = Path(pipeline.__file__).parent


def defined() -> dict[str, str]:
    """Each exception class of pipeline/, with the name of its first base."""
    classes = [
        (node.name, ast.unparse(node.bases[0]))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.bases
    ]
    known = {"Exception", "BaseException", "RuntimeError", "ValueError", "OSError"}
    raised: dict[str, str] = {}
    while more := {name: base for name, base in classes if name not in raised and base in known}:
        raised |= more
        known |= set(more)
    return raised


def drawn() -> dict[str, str]:
    """Each class of the drawing, with the class that it is indented under; at the left edge: Exception."""
    path: list[str] = []
    classes: dict[str, str] = {}
    for indent, name in re.findall(r"(?m)^((?:  )*)([A-Z]\w+)  ", errors.__doc__ or ""):
        path[len(indent) // 2 :] = [name]
        classes[name] = path[-2] if indent else "Exception"
    return classes


def test_the_drawing_has_every_exception_under_its_base() -> None:
    assert drawn() == defined()
    assert len(drawn()) >= 14


def test_the_drawing_says_the_exit_codes() -> None:
    codes = dict(re.findall(r"(?m)^  ([A-Z]\w+)  .*\(exit (\d)\)$", errors.__doc__ or ""))
    assert codes
    assert {name: str(getattr(errors, name).exit_code) for name in codes if hasattr(errors, name)} == {
        name: code for name, code in codes.items() if hasattr(errors, name)
    }
