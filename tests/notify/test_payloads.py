"""What receivers read: signed JSON, lines for people, templates, Alertmanager's alerts."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from typing import Any, get_args

import pytest

from pipeline.notify import payloads
from pipeline.notify.payloads import Message
from pipeline.notify.receivers import Outside, make_sender
from pipeline.processors.alerts.receiver import Template
from schemas.alerts import Alert, Scope, State, dump
from tests.support.notify import AT, after, alert, config, hook


def message(*alerts: Alert, **runbooks: str) -> Message:
    return Message("ops", alerts, {"brand": alerts[0].scope.brand}, runbooks)


def to_json(alert: Alert) -> Any:
    return json.loads(dump(alert))


def filled(template: Any, *alerts: Alert) -> Any:
    return json.loads(payloads.body(message(*alerts, volume="https://runbook"), template))


async def test_a_webhook_is_signed_so_that_others_can_check_it() -> None:
    made = alert()
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url, "secret_env": "KEY"}, runbook="https://wiki/volume")
        sender = make_sender(rules.receivers[0], rules, Outside({"KEY": "the key"}, clock=lambda: 1_800_000_000.7))
        assert (await sender.send([made], "the-id")).sent
        await sender.close()
        request = server.taken[0]
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-hmac", "the key"],
            input=b"1800000000." + request.body,
            capture_output=True,
            check=True,
        )
        assert request.headers["X-Earshot-Signature"] == f"v1={signed.stdout.split()[-1].decode()}"
        assert request.headers["X-Earshot-Timestamp"] == "1800000000"
        assert request.headers["X-Earshot-Delivery"] == "the-id"
        assert request.headers["Content-Type"] == "application/json"
        assert request.json == {
            "version": 1,
            "receiver": "ops",
            "status": "firing",
            "group": {"brand": "Acme"},
            "alerts": [{**to_json(made), "runbook": "https://wiki/volume"}],
        }


async def test_without_a_secret_there_is_no_signature() -> None:
    async with hook() as server:
        rules = config({"name": "ops", "url": server.url})
        sender = make_sender(rules.receivers[0], rules, Outside({}))
        await sender.send([alert()], "id")
        await sender.close()
        assert "X-Earshot-Signature" not in server.taken[0].headers


def test_a_message_is_resolved_when_all_in_it_are() -> None:
    first, second = alert(1), alert(2)
    end = after(first, State.RESOLVED)
    assert message(first, end).status == "resolved"
    assert message(first, end, second).status == "firing"


def test_slack_reads_no_link_or_mention_that_came_from_outside() -> None:
    made = alert(summary="<!channel> & <http://evil|click>", terms=("<@U1>",), scope=Scope("A&B"))
    said = filled("slack", made)["text"]
    assert "&lt;!channel&gt; &amp; &lt;http://evil|click&gt;" in said and "&lt;@U1&gt;" in said and "A&amp;B" in said
    assert "<" not in said


SYNTAX = ("<!channel>", "<http://evil|click>", "<@U1>", "@everyone", "[click](http://evil)", "`code`", "*bold*", "{key}")
"""Mentions, links, formats and placeholders, as receivers of all kinds write them. A new template adds its receiver's own."""
HOSTILE = f"& {' '.join(SYNTAX)}"
"""A text from outside."""
HARMLESS = {"json": SYNTAX, "slack": ("@everyone", "[click](http://evil)", "`code`", "*bold*", "{key}")}
"""The syntax that the template's receiver does not read, or reads as a mere format; all else must be escaped."""
ESCAPED = {
    "json": HOSTILE,
    "slack": "&amp; &lt;!channel&gt; &lt;http://evil|click&gt; &lt;@U1&gt; @everyone [click](http://evil) `code` *bold* {key}",
}
"""HOSTILE as each template passes it on: JSON's reader gets it as it is."""


@pytest.mark.parametrize("template", get_args(Template))
def test_each_template_escapes_text_from_outside(template: Template) -> None:
    hostile = HOSTILE
    made = alert(summary=hostile, terms=(hostile,), scope=Scope(hostile), comment=hostile, actor=hostile, measure=hostile)
    for change in (made, after(made, State.ACKNOWLEDGED, actor=hostile)):
        said = json.dumps(filled(template, change), ensure_ascii=False)
        assert said.count(ESCAPED[template]) >= 5
        assert [syntax for syntax in SYNTAX if syntax in said and syntax not in HARMLESS[template]] == []


def test_people_are_told_what_it_is_and_where_to_look() -> None:
    said = filled("slack", alert(test=True))["text"]
    for part in (
        "[TEST] [FIRING]",
        "severity 7/10",
        "Acme / forum (volume)",
        "120 mentions",
        "volume 120, expected 14.5 (8 to 22)",
    ):
        assert part in said
    for part in (
        f"since {AT:%Y-%m-%d} 10:00:00 UTC",
        "terms: kettle, leaks",
        f"3 sample posts: earshot alerts show {alert().hex}",
    ):
        assert part in said
    assert "runbook: https://runbook" in said
    assert "[ACKNOWLEDGED by anna]" in filled("slack", after(alert(), State.ACKNOWLEDGED, actor="anna"))["text"]


def test_a_template_of_ones_own_is_filled_in_and_reaches_nothing_else() -> None:
    template = {
        "routing": 5,
        "{rule}": None,
        "parts": [
            {"head": "{severity}: {brand} {state}", "odd": "{text.__class__} {} {0} {{rule}} {Rule}"},
            "{runbook} {terms}",
        ],
    }
    assert filled(template, alert(summary="{rule} {key}")) == {
        "routing": 5,
        "{rule}": None,
        "parts": [
            {"head": "7: Acme firing", "odd": "{text.__class__} {} {0} {volume} {Rule}"},
            "https://runbook kettle, leaks",
        ],
    }
    assert filled({"text": "{summary}"}, alert(summary="{rule} {key}")) == {"text": "{rule} {key}"}


@pytest.mark.parametrize("name", payloads.FIELDS)
def test_each_field_of_a_template_can_be_filled_in(name: str) -> None:
    bare = alert(expected=None, lower=None, upper=None, raised_at=None, terms=(), samples=(), summary="")
    for made in (alert(), bare, after(alert(), State.RESOLVED)):
        assert isinstance(filled({"a": f"{{{name}}}"}, made)["a"], str)


def posted(alert: Alert, seconds: int = 0) -> dict[str, Any]:
    now = alert.changed_at + timedelta(seconds=seconds)
    (made,) = json.loads(payloads.alertmanager_body(message(alert, volume="https://runbook"), now, timedelta(minutes=5)))
    assert isinstance(made, dict)
    return made


def test_alertmanager_sees_one_alert_all_its_life() -> None:
    first = alert()
    changes = [
        first,
        after(first, State.FIRING, severity=9, observed=300.0),
        after(first, State.ACKNOWLEDGED, actor="anna"),
        after(first, State.RESOLVED),
    ]
    made = [posted(change) for change in changes]
    assert all(one["labels"] == made[0]["labels"] and one["startsAt"] == made[0]["startsAt"] for one in made)
    assert made[0]["labels"] == {
        "alertname": "volume",
        "type": "spike",
        "brand": "Acme",
        "platform": "forum",
        "alert_key": first.hex,
    }
    assert [one["annotations"]["severity"] for one in made] == ["7", "9", "7", "7"]
    assert made[2]["annotations"]["actor"] == "anna" and made[0]["annotations"]["runbook_url"] == "https://runbook"
    open_, resolved = posted(first, 10), posted(changes[-1], 10)
    assert open_["endsAt"] > resolved["endsAt"] >= resolved["startsAt"]


def test_alertmanager_is_never_given_an_end_before_the_start() -> None:
    made = posted(after(alert(), State.RESOLVED).change(AT, ended_at=AT))
    assert made["endsAt"] >= made["startsAt"]


def test_a_test_is_marked_for_alertmanager() -> None:
    made = posted(alert(test=True))
    assert made["labels"]["test"] == "true" and made["annotations"]["summary"].startswith("[TEST] ")


@pytest.mark.parametrize("state", [State.FIRING, State.ACKNOWLEDGED, State.RESOLVED])
def test_each_template_says_that_it_is_an_escalation(state: State) -> None:
    first = alert()
    made = after(first, state, escalated_at=AT)
    assert filled("json", made)["alerts"][0]["escalated_at"] == f"{AT:%Y-%m-%d}T10:00:00.000Z"
    assert filled("json", first)["alerts"][0]["escalated_at"] is None
    own = {"a": "{escalated_at}"}
    assert (filled(own, first), filled(own, made)) == ({"a": ""}, {"a": f"{AT:%Y-%m-%d} 10:00:00"})
    assert posted(made)["annotations"]["escalated_at"] == f"{AT:%Y-%m-%d}T10:00:00.000Z"
    assert posted(made)["labels"] == posted(first)["labels"] and "escalated_at" not in posted(first)["annotations"]
    fires = state is State.FIRING
    for template in ("slack", {"text": "{text}"}):
        said = filled(template, made)["text"]
        assert ("[FIRING, ESCALATED]" in said) == fires
        assert ("10:00:00 UTC: nobody had acknowledged it" in said) == fires
        assert "ESCALATED" not in filled(template, first)["text"]
