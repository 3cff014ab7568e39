"""The generated parts of docs/analysts.md: of each named query what it means, takes and gives, from its file.

A part is between `<!-- made: query:NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from schemas.queries import NamedQuery, named_queries

PAGE = Path(__file__).parent.parent / "docs" / "analysts.md"
_PART = re.compile(r"(<!-- made: query:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def queries_page(page: str) -> str:
    """The page with each generated part as it should be. Raises KeyError for a query that there is not."""
    return _PART.sub(lambda part: f"{part[1]}{_made(named_queries()[part[2]])}{part[3]}", page)


def _made(query: NamedQuery) -> str:
    says = [query.meaning]
    if query.operators:
        says.append(f"For operators: {query.operators}.")
    rows = [
        f"| `{each.name}` | {_default(each.default)} | {_cell(each.meaning)}{_choices(each.choices)} |"
        for each in query.parameters
    ]
    takes = "\n".join(["| takes | default | |", "|---|---|---|", *rows]) if rows else "It takes nothing."
    columns = "\n".join(f"| `{name}` | {_cell(meaning)} |" for name, meaning in query.columns.items())
    return f"{' '.join(says)}\n\n{takes}\n\n| gives | |\n|---|---|\n{columns}\n"


def _default(text: str | None) -> str:
    return "needed" if text is None else "" if text == "[]" else f"`{text}`"


def _choices(choices: list[str]) -> str:
    return f": {', '.join(choices)}" if choices else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
