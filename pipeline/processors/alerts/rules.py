"""alerts.yaml: rules that raise alerts, and the receivers that are notified.

    receivers:
      - {name: chat, type: webhook, url_env: CHAT_URL, template: slack}
      - {name: incidents, type: webhook, url: "https://ops.example/hook", secret_env: HOOK_SECRET}
      - {name: alertmanager, type: alertmanager, url: "http://127.0.0.1:9093", allow: ["127.0.0.1"]}
    group: {by: [brand], interval: 30s}
    rules:
      - {name: volume, type: spike, by: [platform]}
      - {name: anger, type: threshold, measure: negative_share, above: 0.6, window: 15m, min_mentions: 30}
      - {name: crisis, type: keyword, words: {en: [recall, lawsuit], de: [rückruf]}}
      - {name: big-voice, type: reach, followers: 100000}
      - {name: copies, type: campaign, accounts: 15, window: 10m}
      - {name: quiet, type: no_data, of: platform, after: 1h}

Checked as a whole when it is read; an unknown key is an error. Durations are a number and s, m, h or d. rule_types.py has the
keys of each type; docs/ops.md says what each is for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import Field, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel, hint
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
        known = {receiver.name for receiver in self.receivers}
        for rule in self.rules:
            for name in rule.receivers:
                if name not in known:
                    raise ValueError(f"rule {rule.name}: receivers: there is no {name!r}{hint(name, known)}")
        return self

    def rule(self, name: str) -> AnyRule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def receivers_of(self, rule: str) -> tuple[Receiver, ...]:
        """The receivers that are notified of this rule's alerts."""
        known = self.rule(rule)
        return tuple(r for r in self.receivers if known is None or not known.receivers or r.name in known.receivers)


def load_rules(path: Path) -> Alerts:
    """Reads alerts.yaml. Raises SettingsError, one line that names the file, the rule and the key."""
    return document.load(path, Alerts)


def parse_rules(content: bytes, path: Path) -> Alerts:
    """Parses the content of `path`. Raises as `load_rules`."""
    return document.parse(content, path, Alerts)
