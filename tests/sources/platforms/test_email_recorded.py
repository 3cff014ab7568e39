"""The mapper on recorded e-mails. They hold people's words: an assertion compares counts, so that a failure prints none."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms.email import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from tests.support.platform_events import RECORDED, check, needs_recorded, table

pytestmark = needs_recorded
FOLDER = RECORDED / "platforms/email"

EXPECTED: dict[str, dict[str, int]] = {  # events and parts left out, by kind; empty: no mail
    "bad_date_header.eml": {"email": 1},
    "bad_subject.eml": {"email": 1},
    "basic_email.eml": {"email": 1},
    "cant_parse_from.eml": {"email": 1},
    "content_transfer_encoding_7-bit.eml": {"email": 1},
    "content_transfer_encoding_with_8bits.eml": {"email": 1},
    "email_1_2.txt": {},
    "email_1_3.txt": {},
    "email_2_3.txt": {},
    "empty_group_lists.eml": {"email": 1},
    "encoding_madness.eml": {"email": 1},
    "issue1189.mbox.txt": {"email": 4, "-attachment application": 1},
    "japanese_attachment_long_name.eml": {"email": 1, "-attachment text": 1},
    "multi_address_bounce1.eml": {"email": 1, "-attachment message": 1, "-forwarded message": 1},
    "pathological.txt": {},
    "raw_email2.eml": {"email": 1, "-attachment application": 1},
    "raw_email4.eml": {"email": 1},
    "raw_email7.eml": {"email": 1, "-attachment text": 1, "-attachment application": 2},
    "raw_email_reply.eml": {"email": 1},
    "talon_android.eml": {"email": 1},
    "talon_aol.eml": {"email": 1},
    "talon_apple_mail.eml": {"email": 1},
    "talon_comcast.eml": {"email": 1},
    "talon_gmail.eml": {"email": 1},
    "talon_hotmail.eml": {"email": 1},
    "talon_iphone.eml": {"email": 1},
    "talon_outlook.eml": {"-no date": 1},
    "talon_reply-quotations-share-block.eml": {"email": 1},
    "talon_sparrow.eml": {"email": 1},
    "talon_thunderbird.eml": {"email": 1},
    "talon_yahoo.eml": {"email": 1},
    "two_from_in_message.eml": {"email": 1},
}
NEW_WORDS = {  # of a mail and, of the last four, of the body of one
    "talon_android.eml": 1,
    "talon_aol.eml": 1,
    "talon_apple_mail.eml": 1,
    "talon_comcast.eml": 1,
    "talon_gmail.eml": 1,
    "talon_hotmail.eml": 1,
    "talon_iphone.eml": 1,
    "talon_outlook.eml": 1,
    "talon_reply-quotations-share-block.eml": 67,
    "talon_sparrow.eml": 1,
    "talon_thunderbird.eml": 1,
    "talon_yahoo.eml": 1,
    "email_1_2.txt": 111,
    "email_1_3.txt": 10,
    "email_2_3.txt": 9,
    "pathological.txt": 21,
}
DATE = b"Date: Mon, 2 Mar 2026 10:00:00 +0000\n"
BOTS = {"bad_date_header.eml", "encoding_madness.eml", "multi_address_bounce1.eml"}


def observed(name: str) -> list[Observation | LeftOut]:
    try:
        return list(observe((FOLDER / name).read_bytes(), Origin()))
    except Unreadable:
        return []


def test_every_file_is_here() -> None:
    assert {path.name for path in FOLDER.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_events_by_kind(name: str) -> None:
    found = observed(name)
    for each in found:
        if isinstance(each, Observation):
            check("email", each)
    assert dict(table(found)) == EXPECTED[name]


@pytest.mark.parametrize("name", NEW_WORDS)
def test_nothing_but_the_new_text(name: str) -> None:
    """Of answers from twelve mail programs: counted by hand. One has no date, and four are no more than a body."""
    head = DATE if name.endswith(".eml") else DATE + b"\n"
    (seen,) = observe(head + (FOLDER / name).read_bytes(), Origin())
    assert isinstance(seen, Observation)
    text = seen.event["text"].partition("\n\n")[2] if name.endswith(".eml") else seen.event["text"]
    assert len(text.split()) == NEW_WORDS[name]


def test_authors_who_are_no_persons() -> None:
    bots = {
        name
        for name in EXPECTED
        for each in observed(name)
        if isinstance(each, Observation) and each.event["author"].get("kind") == "bot"
    }
    assert bots == BOTS
