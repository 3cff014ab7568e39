"""Dead letters as their table has them: encrypted, each in its place, and found by whose they are."""

from __future__ import annotations

import orjson
import polars as pl
import pytest

from pipeline.app import Worker
from pipeline.batch import Rejected
from pipeline.config.keys import DataKeys
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, SettingsError
from pipeline.sinks.letter_encryption import BEGINNING, STORED_BEGINNING, LetterEncryption, Place, record_size
from pipeline.sinks.letter_subject import subject_of
from pipeline.sources.decode import event_keys
from schemas.identity import account_key
from tests.support.letters import DATA_KEY, DATA_KEYS, PRIVACY, ROWS

ONE = LetterEncryption(DATA_KEYS)
PLACE = Place("social.events", 3, 17)


@pytest.mark.parametrize("size", [0, 1, BEGINNING - 1, BEGINNING, BEGINNING + 1, 50_000])
def test_a_record_comes_back_whole_and_by_its_beginning(size: int) -> None:
    raw = bytes(range(256)) * (size // 256 + 1)
    raw = raw[:size]
    stored, again = ONE.encrypt(PLACE, raw), ONE.encrypt(PLACE, raw)
    assert stored != again and (size < 16 or raw[:16] not in stored)
    assert record_size(len(stored)) == size
    same = LetterEncryption(DataKeys((DATA_KEY.upper(),)))
    assert same.decrypt(PLACE, stored, len(stored)) == raw
    assert same.decrypt(PLACE, stored[:STORED_BEGINNING], len(stored)) == raw[:BEGINNING]


def test_keys_come_back_and_no_key_is_none() -> None:
    for key in (None, b"", b"x:1", b"\xff" * 100):
        stored = ONE.encrypt_key(PLACE, key)
        assert ONE.decrypt_key(PLACE, stored) == key


def test_what_was_moved_cut_or_made_with_another_key_is_refused_without_a_word_of_it() -> None:
    short, long = ONE.encrypt(PLACE, b"jane@example.org"), ONE.encrypt(PLACE, b"jane@example.org" * 500)
    other = LetterEncryption(DataKeys(("f" * 64,)))
    for encryption, place, stored, size in (
        (other, PLACE, short, len(short)),
        (ONE, PLACE._replace(offset=18), short, len(short)),
        (ONE, PLACE._replace(topic="t"), long, len(long)),
        (ONE, PLACE, long[:STORED_BEGINNING], STORED_BEGINNING),  # cut: it is not the whole record
        (ONE, PLACE, long[:-1], len(long) - 1),
        (ONE, PLACE, b"", 0),
        (ONE, PLACE, ONE.encrypt_key(PLACE, b"jane@example.org") or b"", 44),
    ):
        with pytest.raises(EarshotError, match="can't be decrypted: privacy.data_key is another key, or the letter") as refused:
            encryption.decrypt(place, stored, size)
        assert "jane" not in str(refused.value)
    with pytest.raises(SettingsError, match="privacy.data_key is missing: the key that encrypts dead letters"):
        LetterEncryption(DataKeys())


def test_after_a_rotation_both_keys_open_and_the_newest_seals() -> None:
    key = "e" * 64
    both, alone = LetterEncryption(DataKeys((DATA_KEY, key))), LetterEncryption(DataKeys((key,)))
    old, new = ONE.encrypt(PLACE, b"raw"), both.encrypt(PLACE, b"raw")
    assert (
        both.decrypt(PLACE, old, len(old))
        == both.decrypt(PLACE, new, len(new))
        == alone.decrypt(PLACE, new, len(new))
        == b"raw"
    )
    assert both.content(None, b"raw") == alone.content(None, b"raw") != ONE.content(None, b"raw")
    assert both.sealed_by == alone.sealed_by != ONE.sealed_by
    for encryption, stored in ((alone, old), (ONE, new)):
        with pytest.raises(EarshotError, match="can't be decrypted"):
            encryption.decrypt(PLACE, stored, len(stored))


def test_the_content_is_that_of_key_and_record_under_the_key() -> None:
    """The hash of a short record without a key would prove a guess of it."""
    same = ONE.content(b"k", b"raw")
    assert same == LetterEncryption(DATA_KEYS).content(b"k", b"raw") < 1 << 64
    others = [ONE.content(None, b"raw"), ONE.content(b"", b"raw"), ONE.content(b"kr", b"aw"), ONE.content(b"k", b"rax")]
    others += [ONE.content(None, b"-raw"), LetterEncryption(DataKeys(("f" * 64,))).content(b"k", b"raw")]
    assert len({same, *others}) == 7


def test_a_worker_without_the_key_does_not_start_and_says_why() -> None:
    without = Settings.model_validate({"privacy": {"hash_key": "key"}})
    with pytest.raises(SettingsError, match="setting privacy.data_key is missing: the key that encrypts dead letters"):
        Worker(without, None)


# --- whose it is ------------------------------------------------------------------------------------------------------
ACCOUNTS = ["vk:15", "x:@Anna", "-"]
AUTHOR = {"id": "7", "handle": "@Ann", "email": " Ann@Example.org", "phone": "+1 555 0147", "accounts": ACCOUNTS}


def test_a_letter_is_its_authors_by_the_keys_that_an_event_would_have() -> None:
    record = {"platform": "x", "id": "1", "kind": "no kind", "author": AUTHOR, "source": {"name": "feed"}}
    found = subject_of(orjson.dumps(record))
    mine = [account_key("x", "7"), account_key("x", None, "ann"), account_key("vk", "15"), account_key("x", None, "Anna")]
    assert found.accounts == tuple(mine) and found.source == "feed" and found.told
    assert found.event == event_keys(pl.DataFrame({"platform": ["x"], "id": ["1"]}))[0]
    assert (found.email, found.phone) == (AUTHOR["email"], AUTHOR["phone"])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (b"", False),
        (b"no json", False),
        (b"\xff{}", False),
        (b"[]", False),
        (b"{}", False),
        (b'{"text": "Ann was here"}', False),
        (b'{"platform": "x", "id": "1"}', True),
        (b'{"platform": "x", "id": 1}', True),
        (b'{"platform": "x", "author": {"id": 7}}', True),
        (b'{"id": "1", "author": {"id": "7"}}', False),
        (b'{"author": {"email": "ann@example.org"}}', True),
        (b'{"platform": ["x"], "id": "1"}', False),
        (b'{"platform": "x", "id": "1", "author": "Ann"}', False),
        (b'{"platform": "x", "id": "1", "author": {"id": {"of": "Ann"}}}', False),
        (b'{"platform": "x", "id": "1", "author": {"accounts": "vk:15"}}', False),
        (b'{"platform": "x", "id": "1", "author": null, "source": "feed"}', True),
        (b'{"platform": "x", "id": true}', False),
        (b"[" * 5_000, False),
    ],
)
def test_what_does_not_say_whose_it_is(record: bytes, told: bool) -> None:
    assert subject_of(record).told is told


def test_rows_hold_hashes_and_nothing_in_clear() -> None:
    record = orjson.dumps({"platform": "x", "id": "1", "author": AUTHOR, "text": "a secret"})
    letters = [
        Rejected("decode", "no kind", "t", 0, 5, b"x:1", record),
        Rejected("decode", "no JSON", "t", 0, 6, None, b"Ann"),
        Rejected("kafka", "offsets 7 to 9 can't be read", "t", 0, 7, None, b""),
    ]
    rows, again = ROWS.of(letters), ROWS.of(letters)
    key = ["topic", "partition", "offset", "content"]
    assert rows.select(key).equals(again.select(key)) and not rows.select("raw").equals(again.select("raw"))
    assert rows["unreadable"].to_list() == [0, 1, 0] and set(rows["form"]) == {1}
    assert rows["contacts"][0].to_list() == [
        *PRIVACY.hashes("author_email", ["ann@example.org"]), *PRIVACY.hashes("author_phone", ["+15550147"])
    ]  # fmt: skip
    assert rows["contacts"][1].to_list() == [] and rows["event_key"].to_list()[1:] == [0, 0]
    whole = str(rows.rows())
    assert not [word for word in ("Ann", "xample", "0147", "secret", '"7"') if word in whole]
    assert ROWS.of([]).is_empty()
