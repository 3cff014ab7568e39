"""alerts.yaml: rules that raise alerts, and the receivers that are notified.

    receivers:
      - {name: chat, type: webhook, url_env: CHAT_URL, template: slack, when: {days: [mon-fri], hours: "08:00-18:00"}}
      - {name: pager, type: webhook, url: "https://ops.example/hook", secret_env: HOOK_SECRET}
    group: {by: [brand], interval: 30s}
    rules:
      - {name: volume, type: spike, by: [platform], escalate: {after: 15m, to: [pager]}}

Checked as a whole when it is read; an unknown key is an error. Durations are a number and s, m, h or d. rule_types.py has the
keys of each type; docs/ops.md says what each is for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import Field, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel, check_names
from pipeline.processors.alerts.receiver import Group, Receiver
from pipeline.processors.alerts.rule_types import AnyRule

DEFAULT_RULES = Path(__file__).parents[2] / "alerts.yaml"
"""The rules that are in force where there is no other alerts.yaml."""


class Alerts(StrictModel):
    """The whole file."""

    receivers: tuple[Receiver, ...] = ()
    group: Group = Group()
    rules: tuple[AnyRule, ...] = Field((), max_length=1_000)

    @model_validator(mode="after")
    def _consistent(self) -> Alerts:
        for kind, names in (("receivers", [r.name for r in self.receivers]), ("rules", [r.name for r in self.rules])):
            for name, count in Counter(names).items():
                if count > 1:
                    raise ValueError(f"{kind}: {count} are named {name}")
        receivers, rules = {receiver.name for receiver in self.receivers}, {rule.name for rule in self.rules}
        for rule in self.rules:
            check_names(f"rule {rule.name}: receivers", rule.receivers, receivers)
            check_names(f"rule {rule.name}: escalate: to", rule.escalate.to if rule.escalate else (), receivers)
            if rule.escalate and not self.receivers_of(rule.name):
                raise ValueError(
                    f"rule {rule.name}: escalate: to names all receivers: say in `receivers` who is notified first"
                )
        for receiver in self.receivers:
            check_names(f"receiver {receiver.name}: always: rules", receiver.always.rules if receiver.always else (), rules)
        return self

    def rule(self, name: str) -> AnyRule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def receivers_of(self, rule: str) -> tuple[Receiver, ...]:
        """The receivers that are notified of this rule's alerts when they fire."""
        known = self.rule(rule)
        if known is not None and known.receivers:
            return tuple(r for r in self.receivers if r.name in known.receivers)
        later = known.escalate.to if known is not None and known.escalate else ()
        return tuple(r for r in self.receivers if r.name not in later)

    def escalated_of(self, rule: str) -> tuple[Receiver, ...]:
        """The receivers that are notified when nobody acknowledges an alert of this rule."""
        known = self.rule(rule)
        later = known.escalate.to if known is not None and known.escalate else ()
        return tuple(r for r in self.receivers if r.name in later)


def load_rules(path: Path) -> Alerts:
    """Reads alerts.yaml. Raises SettingsError, one line that names the file, the rule and the key."""
    return document.load(path, Alerts)


def parse_rules(content: bytes, path: Path) -> Alerts:
    """Parses the content of `path`. Raises as `load_rules`."""
    return document.parse(content, path, Alerts)
