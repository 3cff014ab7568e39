"""The two keys of privacy in the settings: the newest, and those before it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.config.settings import PrivacySettings


def test_keys_come_oldest_first_and_show_nowhere() -> None:
    given = {"hash_key": "third", "older_hash_keys": ["first", "second"], "data_key": "d" * 64}
    privacy = PrivacySettings.model_validate(given)
    assert privacy.hash_keys.all == ("first", "second", "third")
    assert (privacy.hash_keys.newest, privacy.hash_keys.older, privacy.hash_keys.generation) == (
        "third", ("first", "second"), 3,
    )  # fmt: skip
    assert privacy.data_keys.all == ("d" * 64,)
    for shown in (repr(privacy), str(privacy.model_dump()), repr(privacy.hash_keys), str(privacy.data_keys)):
        assert not any(key in shown for key in ("first", "second", "third", "d" * 64))
    none = PrivacySettings().hash_keys
    assert not none and (none.newest, none.older, none.generation) == ("", (), 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"older_hash_keys": ["secret-1"]}, "older_hash_keys does nothing without hash_key"),
        ({"hash_key": "secret-1", "older_hash_keys": ["secret-1"]}, "older_hash_keys has a key that is blank, or there twice"),
        ({"data_key": "a" * 64, "older_data_keys": ["A" * 64]}, "older_data_keys has a key that is blank, or there twice"),
        ({"hash_key": "secret-1", "older_hash_keys": [""]}, "older_hash_keys has a key that is blank"),
    ],
)
def test_a_list_that_can_not_be_is_refused_without_showing_it(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PrivacySettings.model_validate(given)
    error = refused.value.errors(include_input=False)[0]
    assert says in error["msg"] and "secret-1" not in error["msg"]
