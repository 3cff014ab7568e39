"""Contacts: numbers in one form, and contacts that name nobody."""

from __future__ import annotations

import pytest

from schemas.contacts import DEFAULT, blocked, e164


@pytest.mark.parametrize(
    ("number", "region", "written"),
    [
        ("+4930901820", "", "+4930901820"),
        ("+49030901820", "", "+4930901820"),  # as +49 (0)30 901820 is when it comes here
        ("030901820", "DE", "+4930901820"),
        ("004930901820", "DE", "+4930901820"),
        ("89123456789", "RU", "+79123456789"),
        ("tel:+4930901820", "", "+4930901820"),
        ("+4930901820ext.12", "", "+4930901820;ext=12"),
        ("030901820", "", "030901820"),
        ("+999123123456789", "DE", "+999123123456789"),
        ("+1415555267100000", "", "+1415555267100000"),
        ("5552671", "US", "5552671"),  # without its area
        ("5", "DE", "5"),
        ("call me", "DE", "call me"),
        ("", "DE", ""),
    ],
)
def test_a_number_that_can_be_read_has_one_form(number: str, region: str, written: str) -> None:
    assert e164(number, region) == written


@pytest.mark.parametrize(
    "value",
    ["info@example.org", "noreply+7@example.org", "null", "null@example.org", "0000@example.org", "0000000000", "+00000000"],
)
def test_by_default_roles_and_fillers_name_nobody(value: str) -> None:
    assert DEFAULT.blocks(value, "")


@pytest.mark.parametrize(
    "value", ["ann@info.example", "ann+info@example.org", "information@example.org", "+4930901820", "", "@", "+"]
)
def test_people_do(value: str) -> None:
    assert not DEFAULT.blocks(value, "")


def test_values_are_blocked_by_their_hash() -> None:
    some = blocked(("Front*",), frozenset({"ab"}))
    assert [some.blocks(*each) for each in (("x@y.example", "ab"), ("frontdesk@y.example", "cd"), ("x@y.example", "cd"))] == [
        True, True, False,
    ]  # fmt: skip
