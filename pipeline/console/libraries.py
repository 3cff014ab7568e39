"""The browser's libraries: htmx, its extension for server-sent events, and uPlot, each in its version and verified.

They come from Maven Central as Kafka does, at the first start; `python -m pipeline.console.libraries FOLDER` fetches them for
an image. Where they can't be had, pages go on as plain links and forms, with tables in place of charts.
"""

from __future__ import annotations

import logging
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console.assets import TYPES, Asset
from pipeline.embedded.jars import Wanted, locked_jars
from pipeline.errors import StackError

LOCK = Path(__file__).with_name("libraries.lock")
SHIPPED = Path(sys.prefix) / "share" / "earshot" / "libraries"
"""Where an image has them."""
PREFIX = "/libraries/"
log = logging.getLogger("earshot.console")


class Library(NamedTuple):
    """Files of an artifact of org.webjars.npm."""

    name: str
    version: str
    files: Sequence[str]

    @property
    def jar(self) -> str:
        return f"{self.name}-{self.version}.jar"


LIBRARIES = (
    Library("htmx.org", "2.0.8", ("dist/htmx.min.js", "LICENSE")),
    Library("htmx-ext-sse", "2.2.2", ("sse.js", "LICENSE")),
    Library("uplot", "1.6.30", ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")),
)
EVERY_PAGE = ("htmx.min.js", "sse.js")
"""What each page loads, in this order; charts need uPlot's two files besides."""


class Libraries:
    """What could be had, in memory; empty until `load`."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        """`folders`: where to look; the last one is where they are kept when they are fetched."""
        self._folders = folders or (SHIPPED, Path(platformdirs.user_cache_dir("earshot")) / "libraries")
        self._files: Mapping[str, Asset] = {}
        self._urls: Mapping[str, str] = {}

    def load(self, say: Callable[[str], None] = log.warning) -> bool:
        """Whether they could be had; one line said if not. It may fetch them, for as long as Maven Central takes: call it in a
        thread."""
        try:
            files = _read(_jars(self._folders, say))
        except StackError as error:
            say(f"{error}; the console goes on without live parts and charts")
            return False
        self._files = files
        self._urls = {path.rpartition("/")[2]: PREFIX + path for path in files if not path.endswith("LICENSE")}
        return True

    def get(self, path: str) -> bytes | None:
        """The content of `NAME/VERSION/FILE`, as `htmx.org/2.0.8/dist/htmx.min.js`."""
        asset = self._files.get(path)
        return asset and asset.content

    def url(self, name: str) -> str | None:
        """Where a browser finds the file, as uPlot.min.css; None: it is not there."""
        return self._urls.get(name)

    @property
    def scripts(self) -> tuple[str, ...]:
        """Where a browser finds what each page loads."""
        return tuple(self._urls[name] for name in EVERY_PAGE if name in self._urls)

    def routes(self) -> list[Route]:
        """Paths have the version in them: a browser keeps what it has for ever."""
        return [Route(PREFIX + "{path:path}", self._serve)]

    async def _serve(self, request: Request) -> Response:
        asset = self._files.get(request.path_params["path"])
        if asset is None:
            raise HTTPException(404)
        return asset.answer(request)


def fetch(folder: Path, say: Callable[[str], None]) -> list[Path]:
    """The verified jars in the folder, fetched if they are not there. Raises StackError."""
    artifacts = [f"org.webjars.npm:{library.name}:{library.version}" for library in LIBRARIES]
    announced = "fetching the browser's libraries from Maven Central (0.4 MB, once) ..."
    return locked_jars(Wanted("the browser's libraries", artifacts, LOCK, announced), folder, say)


def _jars(folders: Sequence[Path], say: Callable[[str], None]) -> list[Path]:
    there = [folder for folder in folders if all((folder / library.jar).is_file() for library in LIBRARIES)]
    return fetch(there[0] if there else folders[-1], say)


def _read(jars: Sequence[Path]) -> dict[str, Asset]:
    """The files by their paths."""
    found = {jar.name: jar for jar in jars}
    files = dict[str, Asset]()
    for library in LIBRARIES:
        root = f"META-INF/resources/webjars/{library.name}/{library.version}/"
        with zipfile.ZipFile(found[library.jar]) as jar:
            for file in library.files:
                kind = TYPES.get(Path(file).suffix, "text/plain; charset=utf-8")
                files[f"{library.name}/{library.version}/{file}"] = Asset.of(jar.read(root + file), kind)
    return files


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pipeline.console.libraries FOLDER")
    try:
        for jar in fetch(Path(sys.argv[1]), print):
            print(jar)
    except StackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
