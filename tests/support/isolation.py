"""What hides from the tests who runs them: a home, a working directory and an environment of their own.

A token that `earshot up` left, an earshot.toml, a variable of a shell or the width of a terminal would else change what a test
sees. Kafka's jars are fetched once: their caches stay those of the user, as does where they are fetched from.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import platformdirs

from pipeline.http.loopback import reach_loopback_directly

ROOT = Path(__file__).parents[2]
DATA = "EARSHOT_DATA"
HOMES = ("XDG_", "EARSHOT_", "HF_", "MPLCONFIGDIR")
"""Beginnings of variables that say where a user's things lie, or how Earshot is set up."""
TERMINAL = ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""What changes how Rich prints."""
FETCHED = (".m2", ".jgorc", ".config/jgo.conf")
"""In a home: the jars' repository, and from where jgo fetches them."""
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
"""Brokers live for a minute or two here: code that is compiled for hours of work costs more than it saves."""


class OwnHome:
    """An empty home, in force for this process and its children from `enter` on; `leave` deletes it.

    `enter` comes before anything reads the environment or imports what does, as pipeline.config.settings.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="earshot-tests-"))

    def enter(self) -> None:
        before, cache = Path.home(), Path(platformdirs.user_cache_dir("earshot"))
        data = Path(os.environ.get(DATA, ROOT / "../shared/data")).resolve()
        for name in [name for name in os.environ if name.startswith(HOMES) or name in TERMINAL]:
            del os.environ[name]
        # The code beside these tests is the one that a child runs, wherever it is started.
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        os.environ |= {"HOME": str(self.path), DATA: str(data), "PYTHONPATH": path, "JDK_JAVA_OPTIONS": JAVA_OPTIONS}
        reach_loopback_directly()
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job in a script's background; its children would be deaf, too
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cache.mkdir(parents=True, exist_ok=True)
        self._link(Path(platformdirs.user_cache_dir("earshot")), cache)
        for name in FETCHED:
            self._link(self.path / name, before / name)

    def _link(self, place: Path, target: Path) -> None:
        if target.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target.resolve())

    def leave(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
