"""Recorded exchanges (Betamax, vcr.py, vcr): the bodies of the responses."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import yaml


def bodies(path: Path) -> list[bytes]:
    """The body of each response, in the order of the requests, unpacked; of a file that is no cassette, the file."""
    raw = path.read_bytes()
    document = json.loads(raw) if path.suffix == ".json" else yaml.load(raw, yaml.CSafeLoader)
    if not isinstance(document, dict):
        return [raw]
    exchanges = document.get("interactions") or document.get("http_interactions")
    return [_body(exchange["response"]) for exchange in exchanges] if exchanges else [raw]


def _body(response: dict[str, Any]) -> bytes:
    body = response.get("body") or {}
    text = body.get("string") if isinstance(body, dict) else body
    if text is None:
        text = base64.b64decode(body.get("base64_string", ""))
    packed = text.encode() if isinstance(text, str) else text
    return gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
