"""docs/ops.md: its examples work, its commands and links are there."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from pipeline.notify.payloads import Message, as_json, placeholders, sign
from pipeline.notify.receivers import check
from pipeline.processors.alerts.rules import parse_rules
from tests.cli.test_main import COMMANDS
from tests.processors.alerts.test_types import KEYS
from tests.support.isolation import ROOT
from tests.support.notify import alert

PAGE = ROOT / "docs/ops.md"
TEXT = PAGE.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_examples_are_an_alerts_yaml() -> None:
    rules, receivers = blocks("yaml")
    alerts = parse_rules((receivers + rules).encode(), PAGE)
    assert {rule.type for rule in alerts.rules} == KEYS.keys()
    check(alerts, {name: "https://ops.example/x" for name in ("SLACK_URL", "PAGER_URL", "HOOK_SECRET")})
    assert {name for receiver in alerts.receivers for name in placeholders(receiver.template)}


def test_what_a_receiver_is_told_to_check_is_what_is_sent() -> None:
    names: dict[str, object] = {}
    exec(blocks("python")[0], names)
    is_earshots = names["is_earshots"]
    assert callable(is_earshots)
    now, late = (str(int(time.time()) - age) for age in (0, 301))
    headers = {"X-Earshot-Timestamp": now, "X-Earshot-Signature": sign("the secret", now, b"{}")}
    assert is_earshots(headers, b"{}", "the secret")
    assert not is_earshots(headers, b"{} ", "the secret") and not is_earshots(headers, b"{}", "another")
    assert not is_earshots({**headers, "X-Earshot-Timestamp": late}, b"{}", "the secret")
    old = {"X-Earshot-Timestamp": late, "X-Earshot-Signature": sign("the secret", late, b"{}")}
    assert not is_earshots(old, b"{}", "the secret")


def test_the_example_of_a_body_has_the_fields_of_a_body() -> None:
    example = json.loads(blocks("json")[0])
    body = as_json(Message("incidents", [alert()], {"brand": "Acme"}, {}))
    assert example.keys() == body.keys() and example["alerts"][0].keys() == body["alerts"][0].keys()


def test_its_commands_are_there() -> None:
    named = set(re.findall(r"earshot (alerts [a-z]+|(?!alerts)[a-z]+)", TEXT))
    assert "alerts tail" in named and named <= set(COMMANDS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_its_links_lead_somewhere(target: str) -> None:
    path, _, anchor = target.partition("#")
    page: Path = PAGE.parent / path if path else PAGE
    assert page.exists()
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    assert not anchor or anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
