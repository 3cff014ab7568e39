"""VK's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

import orjson
import pytest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.vk import observe
from pipeline.sources.recorded.payloads import payloads
from tests.sources.platforms.vk_payloads import COMMENTS, EVENTS, OF_COMMENTS, OF_EVENTS, OF_WALL, OURS, WALL, event, post
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table


def seen(payload: object, origin: Origin = OURS) -> list[Observation | LeftOut]:
    """All that is observed, without the originals."""
    found = list(observe(payload, origin))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"),
    [(EVENTS, OF_EVENTS), (WALL, OF_WALL), (COMMENTS, OF_COMMENTS)],
    ids=["events", "wall", "comments"],
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("vk", each)


def test_payloads_come_in_each_form() -> None:
    one = event("wall_post_new", **post(6))
    assert seen(one) == seen({"ts": 1, "updates": [one]}) == seen(one, Origin()) != []
    assert seen({"response": [post(6)]}) == seen({"response": {"items": [post(6)]}}) == seen({"items": [post(6)]})
    assert seen({"ts": 1, "updates": []}) == seen({"response": {"items": []}}) == []


@pytest.mark.parametrize(
    "payload",
    [None, "<html>502</html>", 17, {}, [1, {}], {"response": 1}, {"failed": 2}, {"error": {"error_code": 5}},
     {"response": {"items": [{"tea": 1}]}}],
)  # fmt: skip
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [EVENTS, WALL, COMMENTS], ids=["events", "wall", "comments"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)


EXPECTED = {
    "ArticleAttachement.json": {"post": 1},
    "DonutSubscriptionPriceChanged.json": {"-donut_subscription_price_changed": 1},
    "DonutSubscriptionProlonged.json": {"-donut_subscription_prolonged": 1},
    "Get.json": {"post": 1, "-wall_photo": 1},
    "GetById_Multiple_NormalCase_Messages.json": {"message": 3},
    "GetById_NormalCase_Message.json": {"message": 1},
    "GetById_ReturnWallRecords.json": {"post": 1},
    "GetComments.json": {"post": 1},
    "GetComments802.json": {"comment": 2, "delete": 1},
    "GetComments_ReturnLikesAndAttachments.json": {"-comment without a place": 2},
    "GetConversations.json": {"message": 1},
    "GetConversationsById.json": {"-conversation without a message": 1},
    "GetConversations_Attachment_wall.json": {"message": 1},
    "GetConversations_Group_PhotoField.json": {"message": 1},
    "GetDialogs_NormalCase_Messages.json": {"message": 19, "-service message": 1},
    "GetHistoryAttachments.json": {"-attachment": 2},
    "GetHistory_ContainsRepost_Error46.json": {"message": 1},
    "GetHistory_ContainsSticker_Error47.json": {"message": 1},
    "GetHistory_NormalCaseAllFields_Messages.json": {"message": 1},
    "GetRecommended.json": {"post": 1},
    "Get_Document_NormalCase.json": {"post": 1},
    "Get_ExtendedVersion_GenerateOutParametersCorrectly.json": {"post": 1, "repost": 1},
    "Get_WithPoll_NormalCase.json": {"post": 1},
    "Get_With_PhotoListAttachment.json": {"post": 1, "repost": 1},
    "GroupOfficersEditTest.json": {"-group_officers_edit": 1},
    "MarketCommentDeleteTest.json": {"delete": 1},
    "MarketCommentRestoreTest.json": {"comment": 1},
    "MessageEditTest.json": {"message": 1},
    "MessageEventTest.json": {"-message_event": 1},
    "MessageNewTemplateTest.json": {"message": 1},
    "MessageNewTest.json": {"message": 1},
    "PhotoCommentDeleteTest.json": {"delete": 1},
    "PhotoCommentEditTest.json": {"comment": 1},
    "PhotoCommentNewTest.json": {"comment": 1},
    "PhotoNewTest.json": {"-photo_new": 1},
    "PodcastAttachment.json": {"post": 1},
    "PollVoteNewTest.json": {"-poll_vote_new": 1},
    "SearchConversations.json": {"-conversation without a message": 1},
    "SearchDialogs_NastyaQuery_TwoProfiles.json": {"-profile": 2},
    "SearchDialogs_ProfileAndChat_Response.json": {"-profile": 1, "-chat": 1},
    "Search_Coordinates_Exception.json": {"post": 1},
    "Search_NextFrom_NotNull.json": {"post": 3},
    "Search_NormalCase_Messages.json": {"message": 3},
    "Search_PostSourceData_Parsing.json": {"post": 2},
    "VideoCommentDeleteTest.json": {"delete": 1},
    "VideoCommentEditTest.json": {"comment": 1},
    "VideoCommentNewTest.json": {"comment": 1},
    "VideoCommentRestoreTest.json": {"comment": 1},
    "WallPostNewTest.json": {"post": 1},
    "WallReplyEditTest.json": {"comment": 1},
    "WallReplyNewTest.json": {"comment": 1},
    "WallReplyRestoreTest.json": {"comment": 1},
}
"""The tests' recordings of a client library, in many versions of the API."""


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found = {}
    for path in sorted((RECORDED / "platforms/vk").glob("*.json")):
        (payload,) = payloads(path, "vk", lambda note: None)  # some begin with a byte order mark
        assert not hasattr(payload, "reason")
        observed = list(observe(payload.value, Origin()))
        found[path.name.removeprefix("GetBotsLongPollHistory_")] = dict(table(observed))
        for each in observed:
            if isinstance(each, Observation):
                check("vk", each)
    assert found == EXPECTED
