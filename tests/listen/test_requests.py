"""What a stranger's answer says about waiting and about itself, taken in by the requests of a source."""

from __future__ import annotations

import time

import pytest

from pipeline.http.answer import Answer
from pipeline.http.outgoing import Outgoing
from pipeline.listen.api import LONGEST_WAIT_S, Api, Limit, parsed
from pipeline.listen.states import Failed, Waiting
from pipeline.listen.timer import Timer


@pytest.mark.parametrize("seconds", [1e300, 10.0**18, 1e9, -1e300])
async def test_a_wait_without_end_has_one(seconds: float) -> None:
    client = Outgoing()
    api = Api(client, "forum", Timer(), Limit())
    found = api.counted(Waiting("the forum asks to wait", time.time() + seconds))
    await client.close()
    assert isinstance(found, Waiting) and 0 < found.until - time.time() <= LONGEST_WAIT_S


def test_half_a_character_costs_no_page() -> None:
    def value(body: bytes) -> object:
        return parsed(Answer(200, {}, body, ""))

    assert value(rb'[{"text": "\ud83d"}, {"text": "\ud83d\ude00"}]') == [{"text": "\ufffd"}, {"text": "\U0001f600"}]
    with pytest.raises(Failed, match="HTML in place of JSON"):
        value(b"<html>")
    with pytest.raises(Failed, match="no JSON"):
        value(b"{")


async def test_what_headers_say_about_a_limit_is_a_number_and_the_credential_is_in_no_text() -> None:
    client, limit = Outgoing(), Limit()
    api = Api(client, "forum", Timer(), limit, headers={"Authorization": "Bearer s3cret"})
    for left, reset in (("nan", "nan"), ("inf", "5"), ("-inf", "nan")):
        api._note(Answer(200, {"x-rate-limit-remaining": left, "x-rate-limit-reset": reset}, b"", ""))
    await client.close()
    assert limit.left is None and limit.until == 0.0
    assert "s3cret" not in repr(api)
