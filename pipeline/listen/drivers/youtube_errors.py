"""What YouTube's errors mean: quotas of the day and of the minute, keys, channels that are gone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

_PACIFIC = ZoneInfo("America/Los_Angeles")
_OF_THE_DAY = ("quotaExceeded", "dailyLimitExceeded", "rateLimitExceeded", "quotaLimitExceeded")
_OF_THE_MINUTE = ("userRateLimitExceeded",)
_REFUSED = ("accessNotConfigured", "keyInvalid", "keyExpired", "ipRefererBlocked", "authError")


class StalePage(Failed):
    """The page's token has ended."""


class NoAnswers(Failed):
    """The thread is gone, or may not be read."""


def midnight(now: float) -> float:
    """When the quota is back: the next midnight in California."""
    day = datetime.fromtimestamp(now, _PACIFIC).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=_PACIFIC).timestamp()


def judged(answer: Answer, now: float) -> SourceError | None:
    """The state that an answer without success means; None: what its status says."""
    try:
        error = object_of(object_of(orjson.loads(answer.body)).get("error"))
    except orjson.JSONDecodeError:
        return None
    reasons = {str(each.get("reason")) for each in (*objects_of(error.get("errors")), *objects_of(error.get("details")))}
    if answer.status in (403, 429) and (limit := _limit(error, reasons)):
        return Waiting(f"the key's quota of the {limit} is used up", midnight(now) if limit == "day" else now + 60.0)
    if answer.status == 400 and reasons & {"invalidPageToken", "processingFailure"}:
        return StalePage("YouTube no longer knows the page")
    if "/comments?" in answer.url and answer.status in (403, 404) and not reasons & {"accessNotConfigured"}:
        return NoAnswers("the thread is gone")
    if "commentsDisabled" in reasons:
        return Failed("the channel has switched comments off")
    if answer.status == 404 or "channelNotFound" in reasons:
        return Failed("the channel was deleted, is private, or is none: look at key channel")
    if answer.status == 403 and reasons & {"forbidden", "insufficientPermissions"}:
        return NoCredentials("the channel is private, or the key may not read its comments (status 403)")
    if answer.status in (400, 401, 403) and (refused := reasons & {*_REFUSED, "API_KEY_INVALID", "SERVICE_DISABLED"}):
        return NoCredentials(f"YouTube refuses the key: {min(refused)} (status {answer.status})")
    return None


def _limit(error: JsonObject, reasons: set[str]) -> str:
    """Which quota is used up: that of the day or of the minute; blank: none."""
    details = [object_of(each.get("metadata")).get("quota_limit") for each in objects_of(error.get("details"))]
    if reasons & {*_OF_THE_MINUTE} or any("PerMinute" in str(each) for each in details):
        return "minute"
    return "day" if reasons & {*_OF_THE_DAY, "RATE_LIMIT_EXCEEDED"} else ""
