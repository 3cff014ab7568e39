"""The generated parts of docs/privacy.md, from the register of tables and topics: `python -m deploy.privacy` writes them.

A part is between `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.embedded.analyst_names import OF_CONSOLE, QUERY_VIEWS, READABLE
from pipeline.privacy.place import Backup, Place
from pipeline.privacy.register import HOW, PLACES, TABLES, how_long, readers

PAGE = Path(__file__).parent.parent / "docs" / "privacy.md"
_PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def privacy_page(page: str) -> str:
    """The page with each generated part as it should be. Raises KeyError for a part that there is not."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}\n{part[3]}", page)


def _held() -> str:
    head = "| where | what of a person | in clear | hashed, encrypted | how long | who reads it | how it goes |"
    rows = [_row(place) for place in PLACES if place.holds]
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def _row(place: Place) -> str:
    sealed = [f"hashed: {place.hashed}"] * bool(place.hashed) + [f"encrypted: {place.encrypted}"] * bool(place.encrypted)
    goes = f"{HOW[place.erase]}: {place.goes}" if place.goes else HOW[place.erase]
    name = f"topic `social.{place.name}`" if place.topic else f"table `{place.name}`"
    cells = (name, place.holds, place.clear or "no", "; ".join(sealed), how_long(place), readers(place), goes)
    return f"| {' | '.join(cells)} |"


def _nothing() -> str:
    rows = [f"| `{place.name}` | {place.goes} | {how_long(place)} |" for place in PLACES if not place.holds]
    return "\n".join(["| table | holds | how long |", "|---|---|---|", *rows])


def _readers() -> str:
    analysts = [name for name in READABLE if name not in QUERY_VIEWS]
    console = [name for name in OF_CONSOLE if name in TABLES]
    nobody = sorted(set(TABLES) - {*analysts, *console})
    rows = (
        ("user `analyst`", _names(analysts)),
        ("user `console`", f"what user `analyst` reads, and {_names(console)}"),
        ("nobody but `default`", _names(nobody)),
    )
    return "\n".join(["| who | reads |", "|---|---|", *(f"| {who} | {what} |" for who, what in rows)])


def _backup() -> str:
    words: dict[Backup, str] = {
        "kept": "`earshot backup`",
        "server": "ClickHouse's own BACKUP",
        "rebuilt": "neither: made anew by processes, files and `earshot migrate`",
    }
    rows = [
        f"| {how} | {_names(sorted(place.name for place in PLACES if place.backup == kind))} |" for kind, how in words.items()
    ]
    return "\n".join(["| held by | tables |", "|---|---|", *rows])


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PARTS: dict[str, Callable[[], str]] = {"held": _held, "nothing": _nothing, "readers": _readers, "backup": _backup}


if __name__ == "__main__":
    PAGE.write_text(privacy_page(PAGE.read_text()))
