"""Our own style and script, under paths that change with their content, so that a browser keeps them for ever."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file as it is served."""

    content: bytes
    packed: bytes
    type: str

    @classmethod
    def of(cls, content: bytes, kind: str) -> Asset:
        """With its packed form."""
        return cls(content, gzip.compress(content, mtime=0), kind)

    def answer(self, request: Request) -> Response:
        """The answer to who asks for it: its path changes with its content."""
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if packed else {})
        return Response(self.packed if packed else self.content, 200, headers, self.type)


class Assets:
    """The files of a folder, read once."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Asset] = {}
        self._paths: dict[str, str] = {}
        for file in sorted(folder.iterdir()):
            if kind := TYPES.get(file.suffix):
                content = file.read_bytes()
                path = f"/static/{hashlib.sha256(content).hexdigest()[:12]}/{file.name}"
                self._paths[file.name] = path
                self._files[path] = Asset.of(content, kind)

    def url(self, name: str) -> str:
        """The path of a file. Raises KeyError."""
        return self._paths[name]

    def routes(self) -> list[Route]:
        return [Route("/static/{path:path}", self._serve)]

    async def _serve(self, request: Request) -> Response:
        asset = self._files.get(request.scope["path"])
        if asset is None:
            raise HTTPException(404)
        return asset.answer(request)
