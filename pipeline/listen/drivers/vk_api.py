"""VK's methods: the credential goes in the body, and an error comes with status 200 and a number."""

from __future__ import annotations

from urllib.parse import urlencode

from pipeline.listen.api import Api, parsed
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.sources.platforms.values import object_of
from schemas.untyped import JsonObject

VERSION = "5.199"
_REFUSED = {
    5: "the key is refused",
    7: "the key lacks a permission",
    15: "access is denied: is the Bots Long Poll API switched on, and may the key manage the community?",
    17: "VK wants to see the owner of the key",
    27: "a community's key may not call it",
    28: "a service key may not call it",
    203: "the key is of another community",
    1051: "the key is of the wrong kind",
}
_WAITS = {6: 1.0, 9: 60.0, 29: 3600.0}
"""Seconds, of errors that ask to wait: too many a second, too many equal ones, the method's limit."""
_GONE = (15, 18, 19, 30, 100, 212)
"""Of the comments of one post."""


class NotThere(Failed):
    """What one post or comment has can't be read."""


async def method(api: Api, server: str, name: str, params: dict[str, str], token: str) -> JsonObject:
    """The answer with its `response`. Raises SourceError."""
    body = urlencode({**params, "access_token": token, "v": VERSION}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = parsed(await api.send("POST", f"{server}/method/{name}", headers=headers, body=body))
    if not isinstance(answer, dict) or not ("response" in answer or "error" in answer):
        raise Failed("the answer is none of VK's API")
    if "error" in answer:
        raise api.counted(_judged(object_of(answer["error"]).get("error_code"), name, api.timer.now()))
    return answer


def _judged(code: object, name: str, now: float) -> SourceError:
    code = code if type(code) is int else 0
    if code in _WAITS:
        return Waiting(f"VK asks to wait: error {code}", now + _WAITS[code])
    if name == "wall.getComments" and code in _GONE:
        return NotThere(f"{name}: error {code}")
    if code in _REFUSED:
        return NoCredentials(f"{name}: {_REFUSED[code]} (error {code})")
    return Failed(f"{name}: VK answers error {code}")
