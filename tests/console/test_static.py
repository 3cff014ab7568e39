"""Our own style and script stay small, and no rule of the style stands twice."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline import console

STATIC = Path(console.__file__).parent / "static"


def test_our_own_script_has_less_than_200_lines() -> None:
    lines = [line.strip() for file in STATIC.glob("*.js") for line in file.read_text().splitlines()]
    code = [line for line in lines if line and not line.startswith("//")]
    assert len(code) < 200 and max(map(len, code)) < 180


def test_no_rule_of_the_style_stands_twice() -> None:
    text = "\n".join(file.read_text() for file in STATIC.glob("*.css"))
    rules = re.findall(r"^([.#a-z][^{@]*) {", text, re.MULTILINE)
    assert len(rules) > 100 and sorted({rule for rule in rules if rules.count(rule) > 1}) == []
