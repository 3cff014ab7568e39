"""One believable event at a time: invented people on several platforms about invented brands."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from pipeline.phrases import (
    ANSWERS,
    CITIES,
    FIRST_NAMES,
    HANDLE_WORDS,
    LANGUAGE_WEIGHTS,
    LANGUAGES,
    LAST_NAMES,
    SMALL_TALK,
)

Event = dict[str, Any]
Brands = dict[str, list[dict[str, Any]]]
"""What brands.yaml holds."""

WEIGHTS: dict[tuple[str, str], int] = {
    ("twitter", "post"): 20, ("twitter", "reply"): 9, ("twitter", "repost"): 6, ("twitter", "like"): 3,
    ("instagram", "comment"): 10, ("instagram", "like"): 4, ("instagram", "post"): 2,
    ("facebook", "post"): 5, ("facebook", "comment"): 6, ("facebook", "reaction"): 3, ("facebook", "message"): 3,
    ("mastodon", "post"): 4, ("mastodon", "reply"): 2, ("reddit", "post"): 2, ("reddit", "comment"): 3, ("reddit", "vote"): 2,
    ("google_play", "review"): 6, ("shop", "order"): 4, ("shop", "visit"): 3, ("helpdesk", "email"): 2,
    ("helpdesk", "call"): 1, ("forum", "question"): 2, ("forum", "answer"): 1, ("forum", "idea"): 1,
    ("twitter", "follow"): 2, ("twitter", "profile"): 1, ("twitter", "measure"): 1,
}  # fmt: skip
ANSWERING = {"reply", "comment", "answer", "repost"}
SILENT = {"like", "reaction", "vote", "follow", "visit", "order", "profile", "measure"}
PRIVATE = {"message", "email", "call", "order", "visit"}
TONES = {"complaints": 4, "praise": 3, "questions": 2}


class Sample:
    """Makes events, each fit to what was said before it. The same seed and brands give the same events."""

    def __init__(self, random: Random, brands: Brands, run: str) -> None:
        self.random = random
        self.brands = brands["brands"]
        self.run = run
        self.made = 0
        self.people = [self._person(number) for number in range(600)]
        self.recent: dict[str, deque[Event]] = {platform: deque(maxlen=200) for platform, _ in WEIGHTS}

    def create(self, created_at: str) -> Event:
        """The next event; a tenth or so are a brand's answers to a recent one."""
        self.made += 1
        if self.random.random() < 0.1 and (asked := self._recent(self.random.choice(("twitter", "facebook", "google_play")))):
            return self._answer(asked, created_at)
        platform, kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        event = self._event(platform, kind, created_at, dict(self.random.choice(self.people)))
        brand = self.random.choices(self.brands, [len(self.brands) - n for n in range(len(self.brands))])[0]
        other = self._recent(platform)
        if kind in ANSWERING and other:
            event |= {"in_reply_to": other["id"], "conversation_id": other.get("conversation_id", other["id"])}
        if kind == "repost" and other:
            event["text"], event["language"] = f"RT @{other['author']['handle']}: {other['text']}", other.get("language", "en")
        elif kind in SILENT:
            event |= self._silent(kind, brand, other)
        else:
            event |= self._words(brand, kind)
            self.recent[platform].append(event)
        return event

    def edit(self, event: Event) -> Event:
        """What an edit changes of an event: its text, or its counts."""
        if "text" in event and self.random.random() < 0.4:
            group = ("text", "language", "visibility", "rating", "location", "brands")
            changed = {name: event[name] for name in group if name in event}
            return changed | {"text": event["text"] + self.random.choice((" (edit: solved!)", " Edit: still waiting.", " …"))}
        counts = event.get("metrics", {})
        return {
            "metrics": {name: counts.get(name, 0) + self.random.randrange(1, 90) for name in ("likes", "shares", "replies")}
        }

    def _event(self, platform: str, kind: str, created_at: str, author: Event) -> Event:
        event: Event = {
            "id": f"{self.run}{self.made}",
            "platform": platform,
            "kind": kind,
            "direction": "inbound",
            "created_at": created_at,
            "visibility": "private" if kind in PRIVATE else "public",
            "author": author,
            "source": {"name": "sample", "version": "1"},
        }
        if platform == "twitter" and kind not in SILENT:
            event["metrics"] = {"likes": int(self.random.expovariate(0.4)), "shares": int(self.random.expovariate(1.2))}
        if self.random.random() < 0.2:
            event["location"] = self.random.choice(CITIES)
        return event

    def _person(self, number: int) -> Event:
        name = f"{self.random.choice(FIRST_NAMES)} {self.random.choice(LAST_NAMES)}"
        handle = "_".join(self.random.sample(HANDLE_WORDS, 2)) + str(number)
        followers = int(self.random.paretovariate(0.9) * 40)
        return {"id": f"u{number}", "handle": handle, "name": name, "kind": "person", "followers": min(followers, 4_000_000)}

    def _recent(self, platform: str) -> Event | None:
        known = self.recent[platform]
        return known[self.random.randrange(len(known))] if known else None

    def _words(self, brand: Event, kind: str) -> Event:
        if self.random.random() < 0.2 and kind in ("post", "comment", "reply"):
            return {"text": self.random.choice(SMALL_TALK)}
        language = self.random.choices(list(LANGUAGE_WEIGHTS), list(LANGUAGE_WEIGHTS.values()))[0]
        words = LANGUAGES[language]
        tone = self.random.choices(list(TONES), list(TONES.values()))[0]
        template = self.random.choice(getattr(words, tone))
        named = self.random.choice((brand["handles"][0], brand["name"]))
        event: Event = {"text": template.format(b=named, t=self.random.choice(words.things)), "language": language}
        if kind == "review":
            event |= {"rating": self.random.choice({"complaints": (1, 2), "praise": (4, 5), "questions": (3, 4)}[tone])}
            event["brands"] = [brand["name"]]
        return event

    def _silent(self, kind: str, brand: Event, other: Event | None) -> Event:
        handle = brand["handles"][0].removeprefix("@")
        if kind == "order":
            amount = round(self.random.uniform(5, 240), 2)
            return {
                "order": {"id": f"{self.run}o{self.made}", "amount": amount, "currency": self.random.choice(("EUR", "USD"))},
                "brands": [brand["name"]],
            }
        if kind in ("like", "reaction", "vote"):
            reaction = {"reaction": self.random.choice(("love", "haha", "angry", "wow"))} if kind == "reaction" else {}
            return {"target": other["id"] if other else handle, **reaction}
        if kind == "measure":
            value = float(self.random.randrange(10_000, 90_000))
            return {
                "measure": {"name": "followers", "value": value},
                "target": handle,
                "brands": [brand["name"]],
                "author": None,
            }
        if kind == "profile":
            return {"author": {**self.random.choice(self.people), "bio": self.random.choice(SMALL_TALK)}}
        return {"target": handle, "brands": [brand["name"]]}

    def _answer(self, asked: Event, created_at: str) -> Event:
        brand = self.random.choice(self.brands)
        for named in self.brands:
            if named["handles"][0] in asked["text"] or named["name"] in asked["text"]:
                brand = named
        author = {"handle": brand["handles"][0].removeprefix("@"), "name": brand["name"], "kind": "organisation"}
        event = self._event(asked["platform"], "message" if asked["kind"] == "message" else "reply", created_at, author)
        name = asked["author"]["name"].split()[0]
        text = self.random.choice(ANSWERS).format(name=name, t=self.random.choice(LANGUAGES["en"].things))
        conversation = asked.get("conversation_id", asked["id"])
        return event | {
            "direction": "outbound",
            "visibility": asked["visibility"],
            "text": text,
            "language": "en",
            "brands": [brand["name"]],
            "in_reply_to": asked["id"],
            "conversation_id": conversation,
        }
