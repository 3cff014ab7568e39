"""A virtual environment for each peer, made once from its pinned requirements (apps/<peer>.txt) under build/peers."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

APPS = Path(__file__).with_name("apps")
HOME = Path("build/peers")


def python_of(peer: str) -> Path:
    """The interpreter of the peer's environment, which is made when it is missing or its requirements have changed.

    Raises RuntimeError when pip can't install them, as without a package index.
    """
    folder, requirements = (HOME / peer).absolute(), APPS / f"{peer}.txt"
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the environment of {peer} can't be made: {done.stderr.strip().splitlines()[-1:]}")
    stamp.write_text(requirements.read_text())
    return python


def version_of(peer: str) -> str:
    """The peer and its version, the first line of its requirements: quixstreams 3.28.1."""
    first = (APPS / f"{peer}.txt").read_text().splitlines()[0]
    return first.replace("==", " ").replace("[kafka]", "")
