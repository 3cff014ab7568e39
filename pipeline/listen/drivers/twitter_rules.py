"""The rules of an app's filtered stream: one a source, with the tag `earshot:NAME`, kept equal to sources.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import orjson

from pipeline.listen.api import Api, parsed
from pipeline.listen.drivers.twitter_problems import text
from pipeline.listen.states import Failed
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

TAG = "earshot:"
"""Rules with other tags are somebody else's, and stay."""


@dataclass(frozen=True)
class Rule:
    """One of X's."""

    id: str
    value: str
    tag: str


class Rules:
    """The rules of one app, as they were when they were read or written last."""

    def __init__(self, server: str) -> None:
        self._url = f"{server}/2/tweets/search/stream/rules"
        self._known: dict[str, Rule] | None = None

    def forget(self) -> None:
        """They are read again before they are used."""
        self._known = None

    async def read(self, api: Api) -> dict[str, Rule]:
        """All rules of the app, by id. Raises SourceError."""
        answer = object_of(await api.json(self._url))
        if not isinstance(answer.get("data", []), list) or not isinstance(answer.get("meta"), dict):
            raise Failed("the answer is no list of rules")
        self._known = {rule.id: rule for rule in _rules(answer, "data")}
        return self._known

    async def set(self, name: str, query: str, beside: frozenset[str], api: Api) -> Rule:
        """The rule of this source, which X has after it. Deletes older ones of it, and those of sources that are not `beside`
        it. A rule of the same value that is another's is used: X takes none twice. Raises SourceError."""
        known = self._known if self._known is not None else await self.read(api)
        tag = TAG + name
        ours = {tag, *(TAG + each for each in beside)}
        first = next((rule for rule in known.values() if rule.tag == tag and rule.value == query), None)
        wrong = [
            rule.id
            for rule in known.values()
            if (rule.tag == tag and rule is not first) or (rule.tag.startswith(TAG) and rule.tag not in ours)
        ]
        if wrong:
            await self._post({"delete": {"ids": wrong}}, api)
            for each in wrong:
                known.pop(each)
        if (same := first or next((rule for rule in known.values() if rule.value == query), None)) is not None:
            return same
        answer = await self._post({"add": [{"value": query, "tag": tag}]}, api)
        rule = next((rule for rule in (*_rules(answer, "data"), *_rules(answer, "errors")) if rule.value == query), None)
        if rule is None:
            raise Failed("X's answer names no new rule")
        known[rule.id] = rule
        return rule

    def has(self, rule: Rule) -> bool:
        """Whether X has it."""
        return self._known is not None and rule.id in self._known

    async def _post(self, change: JsonObject, api: Api) -> JsonObject:
        """The answer; one that failed is posted again without a look at the rules. Raises SourceError."""
        headers = {"Content-Type": "application/json"}
        answer = await api.send("POST", self._url, headers=headers, body=orjson.dumps(change), expect=(201, 400))
        body = object_of(parsed(answer))
        errors = objects_of(body.get("errors"))
        if answer.status == 400 or any(error.get("title") != "DuplicateRule" or "id" not in error for error in errors):
            self.forget()
            raise Failed(f"X refuses the query as a rule{text(body)}")
        return body  # an earlier try may have written it, whatever its answer said: then X names the rule


def _rules(answer: JsonObject, part: Literal["data", "errors"]) -> list[Rule]:
    rules = [each for each in objects_of(answer.get(part)) if "id" in each]
    return [Rule(str(each["id"]), str(each.get("value")), str(each.get("tag", ""))) for each in rules]
