"""What POST /commands takes: each action with all that it needs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.customers.api import CommandBody, RulesBody
from schemas.identity import Command

A, B = "00000000000000aa", "00000000000000bb"


def test_a_body_becomes_a_command_of_its_owner() -> None:
    body = CommandBody.model_validate_json(
        f'{{"action": "link", "a": "{A}", "b": "{B}", "why": "she called", "confirm": true}}'
    )
    assert body.command("ines") == Command(0, "link", 0xAA, 0xBB, confirmed=True, by="ines", why="she called")
    assert CommandBody(action="release").command("lars") == Command(0, "release", by="lars")
    assert CommandBody(action="withdraw", a=A, type="email").command("ines").type == "email"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"action": "link", "a": A}, "link needs b"),
        ({"action": "accept"}, "accept needs a"),
        ({"action": "accept", "a": A, "b": B}, "accept takes no b"),
        ({"action": "release", "a": A}, "release takes no a"),
        ({"action": "split", "a": A, "b": B, "confirm": True}, "split takes no confirm"),
        ({"action": "link", "a": A, "b": B, "type": "email"}, "type: of a consent or a withdrawal"),
        (
            {"action": "consent", "a": A, "type": "emial"},
            "type: of a consent or a withdrawal, one of email, phone, login, page, handle",
        ),
        ({"action": "withdraw", "a": A, "type": "hand"}, "type: of a consent or a withdrawal"),  # unlink takes a link back
        ({"action": "link", "a": "AA", "b": B}, "it has 16 hexadecimal digits"),
        ({"action": "apply"}, "rules are applied by POST /rules"),
        ({"action": "merge"}, "Input should be 'link', 'unlink'"),
        ({"action": "release", "comment": "x"}, "Extra inputs are not permitted"),
        ({"action": "release", "why": "x" * 2_001}, "at most 2000 characters"),
    ],
)
def test_what_is_none_is_said(body: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CommandBody.model_validate(body)
    assert says in str(refused.value)


def test_no_rules_are_not_the_default_rules() -> None:
    assert RulesBody(rules={}).rules == {} and RulesBody(broken="it is no YAML").rules is None
    for body in ({}, {"rules": {}, "broken": "both"}):
        with pytest.raises(ValidationError, match="give rules, or why the file is broken"):
            RulesBody.model_validate(body)
