"""What the Graph API's errors and its headers about limits mean."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

REGAIN_S = 600.0
"""How long to wait for a limit whose end no header names: Meta counts the requests of the last hour."""
BLOCKED_S = 3_600.0
_LIMITS = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
_DOWN = frozenset({1, 2})
_TOKEN, _PERMISSION = frozenset({102, 190}), frozenset({3, 10, *range(200, 300)})
_MISSING = frozenset({(100, 33), (110, None), (803, None)})
_BLOCKED, _OLD = 368, 2635
_WHY = {
    458: "the app was taken out of the account",
    459: "the person has to log in to Facebook first",
    460: "the person's password has changed",
    463: "it has expired",
    464: "the person is not confirmed",
    467: "it is not valid any more",
    490: "the person has to log in to Facebook first",
    492: "the person has no role on the page any more",
}
"""By subcode."""
_PERMISSIONS = re.compile(r"\b(?:pages|instagram|business|read|public|ads)_[a-z_]{3,40}\b")
_COUNTS = ("call_count", "total_time", "total_cputime")


class Missing(Failed):
    """The object is not there, or not for this token."""


class Usage(NamedTuple):
    """How much of the limits is used up."""

    percent: float
    regain_s: float
    """Until Meta takes requests again; 0: it does."""


def judge(answer: Answer, now: float) -> SourceError | None:
    """The state of the source; None: the status and the headers say all. No words of the error: they may hold the token."""
    error = object_of(_json(answer.body).get("error"))
    code, subcode = error.get("code"), error.get("error_subcode")
    subcode = subcode if isinstance(subcode, int) else None
    if not isinstance(code, int):
        return None
    if code in _LIMITS:
        return Waiting(f"Meta's rate limit is used up: code {code}", now + (usage(answer).regain_s or REGAIN_S))
    if code in _TOKEN:
        why = f": {_WHY[subcode]}" if subcode in _WHY else ""
        return NoCredentials(f"Meta refuses the token: code {code}{why}")
    if (code, subcode) in _MISSING or (code, None) in _MISSING:
        return Missing(f"there is no such page or account, it became private, or the token has no part in it: code {code}")
    if code in _PERMISSION:
        needs = ", ".join(sorted(set(_PERMISSIONS.findall(str(error.get("message"))))))
        return NoCredentials(f"the token lacks a permission{f', of {needs}' if needs else ''}: code {code}")
    if code == _BLOCKED:
        return Waiting(f"Meta has blocked this app or account for some time: code {code}", now + BLOCKED_S)
    if code == _OLD:
        return Failed(f"Meta has ended this version of the Graph API: raise key version (code {code})")
    return Failed(f"Meta is not well: code {code}" if code in _DOWN else f"Meta refuses the request: code {code}")


def usage(answer: Answer) -> Usage:
    """Of the app's limit, and of those of the pages and accounts; the fullest counts."""
    found = [_json(answer.headers.get("x-app-usage", "").encode())]
    for each in _json(answer.headers.get("x-business-use-case-usage", "").encode()).values():
        found += objects_of(each)
    counts = [each.get(name) for each in found for name in _COUNTS]
    regains = [each.get("estimated_time_to_regain_access") for each in found]
    return Usage(max(map(_number, counts), default=0.0), 60.0 * max(map(_number, regains), default=0.0))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6 else 0.0


def _json(text: bytes) -> JsonObject:
    with suppress(orjson.JSONDecodeError):
        return object_of(orjson.loads(text))
    return {}
