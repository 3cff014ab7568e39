"""Names of profiles, and what rules regroup: without a server."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipeline.errors import SettingsError
from pipeline.identity.rules_file import parse_rules, without_values
from pipeline.queries.identity.dry_run import grouped, regrouped
from pipeline.queries.identity.names import Name, parse_key, parse_name, slip
from schemas.identity import ASSIGNMENT_COLUMNS, REFUSAL_COLUMNS, Customers


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("twitter:55", Name("twitter", "55")),
        (" Twitter:@InesÄ ", Name("twitter", handle="inesÄ")),  # small letters are those of ASCII
        ("bluesky:did:plc:abc", Name("bluesky", "did:plc:abc")),
        ("mastodon:@ines@social.example", Name("mastodon", handle="ines@social.example")),
        ("crm:C-1", Name("crm", "C-1")),
        ("00FF00000000000a", Name(key=0x00FF00000000000A)),
    ],
)
def test_a_profile_is_named(text: str, name: Name) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize("text", ["", "ines", "@ines", "twitter:", "twitter:@", ":5", "9x:5", "https://x.com/ines", "00ff"])
def test_other_texts_name_no_profile(text: str) -> None:
    with pytest.raises(SettingsError, match="names no profile: write platform:id, platform:@handle, crm:ID"):
        parse_name(text)
    with pytest.raises(SettingsError, match="is no edge"):
        parse_key(text)


def test_bytes_that_are_no_text_name_nobody() -> None:
    with pytest.raises(SettingsError, match=r"'vk:\\udcff' is not UTF-8"):
        parse_name("vk:\udcff")


def test_a_handle_without_its_at_is_a_likely_slip() -> None:
    assert slip("twitter:Ines") == "; a handle has an @ before it: twitter:@Ines"
    assert [slip(name) for name in ("twitter:55", "twitter:@ines", "crm:C-1", "00FF00000000000a")] == ["", "", "", ""]


def customers(assigned: dict[int, int]) -> Customers:
    rows = pl.DataFrame(list(assigned.items()), schema=ASSIGNMENT_COLUMNS, orient="row")
    return Customers(rows, pl.DataFrame(schema=REFUSAL_COLUMNS))


def test_merges_and_splits_are_told_apart_the_largest_first() -> None:
    now = customers({1: 1, 2: 1, 3: 3, 4: 3, 5: 3, 8: 8, 9: 8})
    then = customers({1: 1, 2: 1, 6: 1, 3: 3, 4: 3, 8: 7, 9: 7, 7: 7, 10: 7})
    groups = grouped(now, then)
    assert regrouped(groups, "after", "before").rows() == [(7, 3, 4, [7, 8, 9, 10]), (1, 2, 3, [1, 2, 6])]
    assert regrouped(groups, "before", "after").rows() == [(3, 2, 3, [3, 4, 5])]
    assert regrouped(grouped(now, now), "after", "before").is_empty()


def test_a_record_of_a_broken_file_quotes_no_address() -> None:
    problem = "identity.yaml: blocked.emails.0: 'ines at private.example' is no e-mail address, nor its hash as rows have it"
    assert "ines" not in without_values(problem) and "blocked.emails.0" in without_values(problem)
    for text in (b"emails: [ines@private.example, 'lars@x.org]", b'emails: ["o\'neil"]', b"phones: [+49 30 901820, @]"):
        with pytest.raises(SettingsError) as raised:
            parse_rules(b"blocked:\n  " + text, Path("identity.yaml"))
        record = without_values(str(raised.value))
        assert record != str(raised.value) and not [each for each in ("private", "neil", "901820") if each in record]
    assert without_values("identity.yaml: types: unknown key 'emial'") == "identity.yaml: types: unknown key 'emial'"
