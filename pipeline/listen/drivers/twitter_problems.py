"""What X's refusals mean, by the problem in their body."""

from __future__ import annotations

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

CAPPED_S = 3_600.0
"""How long a source waits when the app's budget is used up: only a person or the next month ends that."""
CONNECTED_S = 30.0
"""How long it waits for the app's other connection to end."""
LONGEST = 200


class NoRules(Failed):
    """The stream has no rule: somebody deleted ours."""


def judge(answer: Answer, now: float) -> SourceError | None:
    """The state of the source; None: the status and the headers say all."""
    problem = _body(answer)
    said, kind = text(problem), str(problem.get("type"))
    if answer.status in (401, 403):
        return NoCredentials(f"X refuses the token: status {answer.status}{said}")
    if answer.status == 402 or kind.endswith("/usage-capped"):
        return Waiting(f"the app's budget at X is used up: status {answer.status}{said}", now + CAPPED_S)
    if kind.endswith("/streaming-connection"):
        if answer.status == 409:
            return NoRules(f"the stream has no rules{said}")
        return Waiting(f"the app has another connection to the stream{said}", now + CONNECTED_S)
    if answer.status == 400:
        return Failed(f"X refuses the request{said}")
    if answer.status == 503:  # the end of the rate limit's window, which each answer names, does not count here
        return Failed(f"status 503{said}")
    return None


def named(answer: Answer) -> set[str]:
    """The parameters that X refuses."""
    return {name for each in objects_of(_body(answer).get("errors")) for name in object_of(each.get("parameters"))}


def text(problem: JsonObject) -> str:
    """`: title, why`, in one line; blank where the problem says nothing."""
    errors = objects_of(problem.get("errors"))
    inner = errors[0] if errors else {}
    details = inner.get("details")
    why = details[0] if isinstance(details, list) and details else inner.get("message") or problem.get("reason")
    parts = [problem.get("title") or inner.get("title"), why]
    line = ", ".join(part for part in parts if isinstance(part, str) and part)
    return ": " + "".join(each if each.isprintable() else " " for each in line[:LONGEST]) if line else ""


def _body(answer: Answer) -> JsonObject:
    try:
        return object_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        return {}
