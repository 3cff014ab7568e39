"""The budgets' own check: each budget with code that is just inside it and code that is just over it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci/budgets.py"
DEEP = """
def f(rows):
    for row in rows:
        if row:
            while row:
                with row:
                    {innermost}
"""


def check(folder: Path, files: dict[str, str], exceptions: str = "") -> tuple[int, str]:
    """The exit code and all that the script prints of a repository with these files."""
    for name, text in {**files, ".ci/budgets.toml": exceptions}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr + done.stdout


def function(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


INSIDE = {
    "lines": {"pipeline/a.py": "x = 1\n" * 250},
    "function": {"pipeline/a.py": function(40)},
    "arguments": {"pipeline/a.py": "class A:\n    def f(self, a, b, c, d, e, *, f, g): ...\n"},
    "nesting": {"pipeline/a.py": DEEP.format(innermost="pass")},
    "elif": {"pipeline/a.py": "def f(a):\n    if a == 0:\n        pass\n" + "    elif a == 1:\n        pass\n" * 9},
    "docstring": {"pipeline/step.py": 'def f():\n    """Does it."""\n\n\ndef _private(): ...\n'},
    "docstrings elsewhere": {"pipeline/worker/flow.py": "class Flow:\n    def put(self): ...\n"},
    "any": {"schemas/a.py": "x = 1\n" * 249 + "y: Any = 1\n", "pipeline/a.py": "x = 1\n" * 250},
}


@pytest.mark.parametrize("name", INSIDE)
def test_code_inside_a_budget_passes(tmp_path: Path, name: str) -> None:
    code, said = check(tmp_path, INSIDE[name])
    assert (code, "0 problems" in said) == (0, True), said


OVER = {
    "lines": ({"pipeline/a.py": "x = 1\n" * 251}, "pipeline/a.py: lines 251, at most 250"),
    "function": ({"pipeline/a.py": function(41)}, "pipeline/a.py:f: function 41, at most 40"),
    "method": (
        {"pipeline/a.py": "class A:\n    async def f(self):\n" + "        x = 1\n" * 40},
        "a.py:A.f: function 41, at most",
    ),
    "arguments": (
        {"pipeline/a.py": "class A:\n    def f(self, a, /, b, c, d, e, *, f, g, h): ...\n"},
        "pipeline/a.py:A.f: arguments 8, at most 7",
    ),
    "nesting": (
        {"pipeline/a.py": DEEP.format(innermost="try: pass\n                    finally: pass")},
        "pipeline/a.py:f: nesting 5, at most 4",
    ),
    "nesting in an except": (
        {"pipeline/a.py": DEEP.replace("with row:", "try: pass\n                except E:").format(innermost="if row: pass")},
        "pipeline/a.py:f: nesting 5, at most 4",
    ),
    "a module's function": ({"pipeline/step.py": "def f(): ...\n"}, "pipeline/step.py:f: has no docstring"),
    "a contract's class": ({"schemas/a.py": "class A:\n    x: int\n"}, "schemas/a.py:A: has no docstring"),
    "a contract's method": (
        {"pipeline/sinks/a.py": 'class A:\n    """An a."""\n\n    def f(self): ...\n'},
        "pipeline/sinks/a.py:A.f: has no docstring",
    ),
    "a protocol's method": (
        {"pipeline/worker/a.py": 'class A(Protocol[T]):\n    """An a."""\n\n    def f(self): ...\n'},
        "pipeline/worker/a.py:A.f: has no docstring",
    ),
    "any": (
        {"pipeline/a.py": "x: Any = 1\ny: typing.Any = 1\n" + "x = 1\n" * 200},
        "pipeline and schemas: any 9.9, at most 2",
    ),
}


@pytest.mark.parametrize("name", OVER)
def test_code_over_a_budget_is_named_with_its_figure(tmp_path: Path, name: str) -> None:
    files, line = OVER[name]
    code, said = check(tmp_path, files)
    assert code == 1
    assert line in said
    assert "1 problems" in said


def test_an_exception_has_a_limit_of_its_own_and_a_reason(tmp_path: Path) -> None:
    long = {"pipeline/a.py": "x = 1\n" * 260}
    assert check(tmp_path, long, '[lines]\n"pipeline/a.py" = [260, "a table of phrases"]\n')[0] == 0
    code, said = check(tmp_path, long, '[lines]\n"pipeline/a.py" = [259, "a table of phrases"]\n')
    assert (code, "pipeline/a.py: lines 260, at most 259" in said) == (1, True)
    code, said = check(tmp_path, long, '[lines]\n"pipeline/a.py" = [260, " "]\n')
    assert (code, "its exception for lines gives no reason" in said) == (1, True)


@pytest.mark.parametrize("where", ["pipeline/a.py", "pipeline/gone.py"])
def test_an_exception_that_nothing_needs_is_an_error(tmp_path: Path, where: str) -> None:
    code, said = check(tmp_path, {"pipeline/a.py": "x = 1\n"}, f'[lines]\n"{where}" = [260, "once it was long"]\n')
    assert code == 1
    assert f"{where}: needs no exception for lines: remove it" in said


def test_lint_runs_the_check() -> None:
    assert ".ci/budgets.py" in (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
