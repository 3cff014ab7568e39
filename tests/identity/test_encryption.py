"""What a CRM knows of a customer, encrypted: it comes back under its key, in its place, and nowhere else."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from pipeline.config.keys import DataKeys
from pipeline.errors import EarshotError, SettingsError
from pipeline.identity.encryption import Encryption

KEY = "0123456789abcdef" * 4
KEYS = DataKeys((KEY,))
PROFILE = 0x00FF_FFFF_FFFF_FFF1


def test_what_is_encrypted_comes_back() -> None:
    one = Encryption(KEYS)
    for text in ("Jane Müller-Å 😀", "!", "jane@example.org", "a" * 10_000, ""):
        stored = one.encrypt(PROFILE, "name", text)
        assert text == "" or text not in stored
        assert Encryption(DataKeys((KEY.upper(),))).decrypt(PROFILE, "name", stored) == text
    assert one.encrypt(PROFILE, "name", "") == ""
    assert one.encrypt(PROFILE, "name", "Jane") != one.encrypt(PROFILE, "name", "Jane"), "equal values do not look equal"


def test_in_another_place_or_under_another_key_it_is_refused_without_a_word_of_it() -> None:
    stored = Encryption(KEYS).encrypt(PROFILE, "email", "jane@example.org")
    broken = b64encode(b64decode(stored)[:-1] + bytes([b64decode(stored)[-1] ^ 1])).decode()
    later = b64encode(b"\x02" + b64decode(stored)[1:]).decode()
    for profile, column, given, key, said in (
        (PROFILE, "name", stored, KEY, "can't be decrypted"),
        (PROFILE + 1, "email", stored, KEY, "profile 00fffffffffffff2"),
        (PROFILE, "email", stored, "f" * 64, "privacy.data_key is another key"),
        (PROFILE, "email", broken, KEY, "can't be decrypted"),
        (PROFILE, "email", stored[:8], KEY, "can't be decrypted"),
        (PROFILE, "email", later, KEY, "by a later program"),
        (PROFILE, "email", "jane@example.org", KEY, "not what Earshot encrypted"),
    ):
        with pytest.raises(EarshotError, match=said) as refused:
            Encryption(DataKeys((key,) if key else ())).decrypt(profile, column, given)
        assert "jane" not in str(refused.value) and "\n" not in str(refused.value)


def test_after_a_rotation_both_keys_open_and_the_newest_seals() -> None:
    both, alone = Encryption(DataKeys((KEY, "e" * 64))), Encryption(DataKeys(("e" * 64,)))
    old, new = (each.encrypt(PROFILE, "name", "Jane") for each in (Encryption(KEYS), both))
    assert (
        both.decrypt(PROFILE, "name", old)
        == both.decrypt(PROFILE, "name", new)
        == alone.decrypt(PROFILE, "name", new)
        == "Jane"
    )
    assert both.sealed_by == alone.sealed_by != Encryption(KEYS).sealed_by
    for encryption, stored in ((alone, old), (Encryption(KEYS), new)):
        with pytest.raises(EarshotError, match="privacy.data_key is another key"):
            encryption.decrypt(PROFILE, "name", stored)
    with pytest.raises(SettingsError, match="privacy.older_data_keys: it is no key"):
        Encryption(DataKeys(("not one", KEY)))


@pytest.mark.parametrize(("key", "said"), [("", "is missing"), ("secret", "64 hexadecimal"), ("g" * 64, "64 hexadecimal")])
def test_a_key_that_is_none_is_said(key: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"privacy.data_key.*{said}") as refused:
        Encryption(DataKeys((key,) if key else ()))
    assert not key or key not in str(refused.value)
