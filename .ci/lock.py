"""Writes requirements/: for each extra what it adds, for all systems and Pythons, pinned and with its hashes (`make lock`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parent.parent
EXTRAS = ("embedded", "dev", "models", "training")
BUILD = "hatchling\neditables\n"
"""What pip needs to install Earshot itself."""


def resolved(extras: tuple[str, ...], known: Path | None) -> list[str]:
    """Each requirement with its hashes, as a block of lines."""
    command = [find_uv_bin(), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
    command += ["pyproject.toml", "-", *(f"--extra={extra}" for extra in extras)]
    command += ["--constraint", str(known)] if known else []
    text = subprocess.run(command, input=BUILD, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [block.lstrip("\n") for block in text.replace("\n    ", "\0    ").split("\n") if block]


def main() -> None:
    folder = ROOT / "requirements"
    folder.mkdir(exist_ok=True)
    everything = folder / "all.txt"
    everything.write_text(_text(resolved(EXTRAS, None)))
    written: set[str] = set()
    for count, name in enumerate(("base", *EXTRAS)):
        blocks = resolved(EXTRAS[:count], everything)
        (folder / f"{name}.txt").write_text(_text([block for block in blocks if block not in written]))
        written |= set(blocks)
    everything.unlink()


def _text(blocks: list[str]) -> str:
    return "".join(block.replace("\0", "\n") + "\n" for block in blocks)


if __name__ == "__main__":
    main()
