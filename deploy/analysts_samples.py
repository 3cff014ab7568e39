"""The samples and pictures of docs/analysts.md: `python -m deploy.analysts_samples`, where the stack runs that it begins with.

Of each block that begins with `earshot query ... --format csv` it runs the lines. The first rows go into the block `text`
behind it, a picture into docs/pictures/. Ends with exit code 1 where a command fails.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

from PIL import Image

from deploy.queries_reference import PAGE

ROWS, COLOURS = 3, 64
WIDEST = 160
_BLOCK = re.compile(
    r"(```sh\n(earshot query [^\n]* --format csv)\n(earshot query [^\n]*)?\n?```\n\n```text\n).*?(```\n)", re.DOTALL
)


def main() -> None:
    PAGE.with_name("pictures").mkdir(exist_ok=True)
    PAGE.write_text(_BLOCK.sub(_filled, PAGE.read_text()))


def _filled(block: re.Match[str]) -> str:
    lines = _run(block[2]).splitlines()[: 1 + ROWS]
    if block[3]:
        command, _, name = block[3].rpartition(" ")
        path = PAGE.with_name("pictures") / name
        _run(f"{command} {path}")
        Image.open(path).quantize(COLOURS).save(path, optimize=True)
    cut = (line if len(line) <= WIDEST else f"{line[: WIDEST - 3]}..." for line in lines)
    return "\n".join([block[1].rstrip("\n"), *cut, block[4]])


def _run(command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "pipeline.cli", *shlex.split(command)[1:]], capture_output=True, text=True)
    if done.returncode or "no rows" in done.stdout + done.stderr:
        sys.exit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
