"""Reddit's mapper: three payloads with all their events, payloads that are none, recorded ones."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.reddit import observe
from schemas.untyped import JsonObject
from tests.sources.platforms.reddit_payloads import INBOX, NEW, OF_INBOX, OF_NEW, OF_TREE, OURS, TREE, comment, page, submission
from tests.support.cassettes import bodies
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

NOBODY = Origin()


def seen(payload: object, origin: Origin = NOBODY) -> list[Observation | LeftOut]:
    """What is observed, without the originals."""
    found = list(observe(payload, origin))
    return [each._replace(original=None) if isinstance(each, Observation) else each for each in found]


@pytest.mark.parametrize(
    ("payload", "observed"), [(NEW, OF_NEW), (TREE, OF_TREE), (INBOX, OF_INBOX)], ids=["submissions", "tree", "inbox"]
)
def test_a_payload_is_these_events(payload: object, observed: list[Observation | LeftOut]) -> None:
    assert seen(payload, OURS) == observed
    for each in observed:
        if isinstance(each, Observation):
            check("reddit", each)


def one(payload: object) -> Observation:
    [found] = seen(payload)
    assert isinstance(found, Observation)
    return found


def test_an_own_account_is_known_by_its_id_too() -> None:
    [found] = seen(comment("a4", "t3_k1"), Origin(own=frozenset({"t2_o1"})))
    assert isinstance(found, Observation) and found.event["direction"] == "outbound"


def test_things_come_in_each_form_of_reddits_answers() -> None:
    one = comment("a1", "t3_k1")
    [expected] = seen(one)
    more = {"json": {"errors": [], "data": {"things": [one]}}}
    bare = {key: value for key, value in one["data"].items() if key != "name"}
    for payload in (page(one), [one], more, one["data"], [bare], {"data": [bare]}):
        assert seen(payload) == [expected]
    [post] = seen({key: value for key, value in submission("k1")["data"].items() if key != "name"})
    assert [post] == seen(submission("k1"))
    assert seen(page()) == seen([]) == seen({"data": []}) == []


@pytest.mark.parametrize(
    ("body", "rendered", "text"),
    [
        ("a^(b) *c*", '<div class="md"><p>a<sup>b</sup> <em>c</em></p>\n</div>', "ab c"),
        (
            "a &amp; *c*",
            "&lt;div class=&quot;md&quot;&gt;&lt;p&gt;a &amp;amp; &lt;em&gt;c&lt;/em&gt;&lt;/p&gt;&lt;/div&gt;",
            "a & c",
        ),
        ("&gt; quoted\n\n*c*", "&lt;blockquote&gt;quoted&lt;/blockquote&gt;&lt;p&gt;c&lt;/p&gt;", "c"),
        ("> quoted", "<blockquote>quoted</blockquote>", "quoted"),
        ("&gt;!spoilt!&lt; &amp; told", None, "spoilt & told"),
        ("no marks", "<p>of another text</p>", "no marks"),
        ("*c*", "", "c"),
    ],
)
def test_a_text_reads_as_reddit_shows_it(body: str, rendered: object, text: str) -> None:
    assert one(comment("a1", "t3_k1", body=body, body_html=rendered)).event["text"] == text


def test_the_original_of_a_comment_holds_no_answers() -> None:
    *_, first, second, third, _, _, _ = observe(TREE, OURS)
    originals = [each.original for each in (first, second, third) if isinstance(each, Observation)]
    assert [each["id"] for each in originals if isinstance(each, dict)] == ["a1", "a2", "a3"]
    assert not any(each.get("replies") for each in originals if isinstance(each, dict))


def test_changes_are_an_edit_an_author_who_left_and_a_delete() -> None:
    known = Known()
    now = "2026-01-01T00:00:00Z"

    def sent(**rest: object) -> list[JsonObject]:
        return list(known.changes([one(comment("a1", "t3_k1", **rest))], now))

    named = {"id": "t1_a1", "platform": "reddit", "created_at": "2025-10-09T08:54:20Z"}
    assert [each["operation"] for each in sent()] == ["create"] and sent() == []
    [edit] = sent(body="It leaks.", edited=1760000100)
    assert edit == named | {
        "operation": "update", "occurred_at": "2025-10-09T08:55:00Z", "text": "It leaks.", "visibility": "public",
    }  # fmt: skip
    left = {"author": "[deleted]", "author_fullname": None, "body": "It leaks."}
    assert sent(**left) == [named | {"operation": "update", "occurred_at": now, "author": {"name": "[deleted]"}}]
    assert sent(**left | {"body": "[removed]"}) == [named | {"operation": "delete", "occurred_at": now}]


def test_answers_lie_as_deep_as_anyone_likes() -> None:
    tree = comment("a0", "t3_k1")
    for number in range(1, 5_000):
        tree = comment(f"a{number}", "t3_k1", replies=page(tree))
    assert len(seen(tree)) == 5_000


@pytest.mark.parametrize(
    "payload",
    [
        None, "<html>Forbidden</html>", 17, {}, [1, 2], [{}], {"message": "Forbidden", "error": 403},
        {"json": {"errors": [["A"]]}}, {"data": [{"id": "1", "text": "of another platform"}]}, {"kind": "t1"},
        {"access_token": "x", "expires_in": 3600},
    ],
)  # fmt: skip
def test_a_payload_of_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        seen(payload)


@pytest.mark.parametrize("payload", [NEW, TREE, INBOX], ids=["submissions", "tree", "inbox"])
def test_whatever_is_broken_in_a_payload_raises_nothing_else(payload: object) -> None:
    for broken in garbled(payload, 300):
        try:
            found = seen(broken, OURS)
        except Unreadable:
            continue
        for each in found:
            assert len(each.kind) < 40 if isinstance(each, LeftOut) else orjson.dumps(each.event)


EXPECTED = {  # the first answer of each file is a token, and unreadable
    "TestCommentForest.test_replace__all_large.json": {
        "post": 4, "comment": 529, "reply": 877, "delete": 25, "-more": 235, "unreadable": 1,
    },
    "TestSubredditStreams.test_comments.json": {"comment": 472, "reply": 721, "unreadable": 1},
    "TestSubredditStreams.test_submissions.json": {"post": 104, "unreadable": 1},
}  # fmt: skip


@needs_recorded
def test_recorded_payloads_are_so_many_events() -> None:
    found: dict[str, Counter[str]] = {}
    for path in sorted((RECORDED / "platforms/reddit").glob("Test*.json")):
        counted = found.setdefault(path.name, Counter())
        for body in bodies(path):
            try:
                observed = list(observe(orjson.loads(body), Origin()))
            except Unreadable:
                counted["unreadable"] += 1
                continue
            counted += table(observed)
            for each in observed:
                if isinstance(each, Observation):
                    check("reddit", each)
        found[path.name] = counted
    assert {name: dict(counted) for name, counted in found.items()} == EXPECTED
