"""Shared by the makers of events: the dice, the moment, the people, recent posts, planned events."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import log
from random import Random
from typing import NamedTuple

from pipeline.generate.account import Account
from pipeline.generate.output import Output, moment
from pipeline.generate.people import SLOTS, Population
from pipeline.generate.plan import Plan, Voice
from pipeline.generate.texts import Texts

VOICE_SLOTS = 1 << 12
NEAR_POSTS, FAR_POSTS, FAR_EVERY = 1 << 10, 1 << 13, 8
PENDING = 50_000
"""The most events that are planned ahead, so that memory does not grow with the stream's length."""
ANSWERING = {"reply", "comment", "answer"}
PRIVATE = {"message", "email", "call"}
COUNTED = {"twitter", "instagram", "facebook", "mastodon", "reddit"}
LIKES, LIKES_A_SHARE, LIKES_A_REPLY = 4.0, 6, 9
"""A post's likes in the mean, of an author with talent 1; so many likes come with a share, and with a reply."""
SOURCE = '"source":{"name":"earshot generate","version":"1"}'


@dataclass(slots=True)
class Post:
    """An event with a text, for later events that refer to it."""

    key: str
    id: str
    platform: str
    kind: str
    created: str
    created_ms: int
    text: str
    group: str
    """JSON members that change with the text, a comma after each. All fragments here have this form."""
    account: Account | None
    feel: str
    """The members of the truth about the text."""
    voice: Voice | None
    language: str
    conversation: str
    metrics: tuple[int, int, int] | None
    """Likes, shares, replies, if the platform counts them."""
    status: str = ""
    gone: bool = False

    def counts(self) -> str:
        """Members `metrics` and `thread`, which change together."""
        thread = f'"thread":{{"status":"{self.status}","team":"support"}},' if self.status else ""
        if self.metrics is None:
            return thread
        likes, shares, replies = self.metrics
        return f'{thread}"metrics":{{"likes":{likes},"shares":{shares},"replies":{replies}}},'


class Draft(NamedTuple):
    """A text that somebody is about to publish."""

    platform: str
    kind: str
    text: str
    feel: str
    """The members of the truth about this text, as `feel` makes them."""
    group: str = ""
    """Members that change with the text."""
    status: str = ""
    """Of the support thread that it opens."""


Happening = Callable[[int], bool]
"""Makes a planned event at its time, the argument; False if it does not happen after all."""


class World:
    """The state of one stream."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        random = Random(plan.seed)
        self.dice = random.random
        self.people = Population(plan.seed)
        self.texts = Texts(random, plan.voices)
        self.out = Output(self.dice)
        self.latest: dict[tuple[str, int], Post] = {}
        """The newest post about each brand on each platform."""
        self.near: deque[Post] = deque(maxlen=NEAR_POSTS)
        self.far: deque[Post] = deque(maxlen=FAR_POSTS)
        self.heard: set[int] = set()
        """The accounts that were active."""
        self.at, self.hour = plan.start_ms, 0
        self.made = 0
        self._due: list[tuple[int, int, Happening]] = []
        self._planned = 0
        self._loudness: dict[int, list[Voice]] = {}

    def voice(self) -> Voice:
        """A brand, drawn by its volume at this hour."""
        slots = self._loudness.get(self.hour)
        if slots is None:
            slots = self._loudness[self.hour] = self._slots(self.hour)
        return slots[int(self.dice() * len(slots))]

    def _slots(self, hour: int) -> list[Voice]:
        scale = VOICE_SLOTS / self.plan.loudness(hour)
        slots: list[Voice] = []
        due = 0.0
        for voice in self.plan.voices:
            due += voice.weight * voice.hours[hour] * scale
            slots += [voice] * (round(due) - len(slots))
        return slots

    def account(self, platform: str) -> Account:
        """An account of the platform, busy ones more often."""
        account = self.people.draws[platform][int(self.dice() * SLOTS)]
        self.heard.add(account.number)
        return account

    def next_id(self) -> str:
        self.made += 1
        return f"{self.plan.id}-{self.made}"

    def create(self, platform: str, kind: str, at: int, members: str, ident: str = "") -> str:
        """Emits a new event without a text; returns its key. `members`: its other members, a comma after each."""
        ident = ident or self.next_id()
        key = f"{platform}:{ident}"
        self.out.emit(
            key,
            f'{{"id":"{ident}","platform":"{platform}","kind":"{kind}","direction":"inbound",'
            f'"created_at":"{moment(at)}",{members}{SOURCE}}}',
            self.at,
        )
        return key

    def say(
        self, draft: Draft, account: Account | None, voice: Voice | None, *, reply_to: Post | None = None, at: int = 0
    ) -> Post:
        """Emits a new event with a text, now or `at`. Without an account the brand is the author."""
        platform, kind, text, feel, group, status = draft
        at = at or self.at
        ident = self.next_id()
        if account is not None:
            direction, language, author = "inbound", account.language, account.author
        else:
            direction, language, author = "outbound", "en", voice.authors[platform] if voice else ""
        answers = ""
        if reply_to is None and voice is not None and kind in ANSWERING:
            reply_to = self.latest.get((platform, voice.index))
        if reply_to is not None:
            answers = f'"in_reply_to":"{reply_to.id}",'
            if account is None or kind == "repost":
                language = reply_to.language
        key, conversation = f"{platform}:{ident}", reply_to.conversation if reply_to else ident
        created = moment(at)
        group = f'"language":"{language}","visibility":"{"private" if kind in PRIVATE else "public"}",{group}'
        metrics = self._counts(account) if platform in COUNTED and kind not in PRIVATE else None
        post = Post(
            key, ident, platform, kind, created, at, text, group, account, feel, voice, language, conversation, metrics, status
        )
        self.out.emit(
            key,
            f'{{"id":"{ident}","platform":"{platform}","kind":"{kind}","direction":"{direction}","created_at":"{created}",'
            f'"text":"{text}",{group}{answers}"conversation_id":"{conversation}",{post.counts()}{author},{SOURCE}}}',
            self.at,
        )
        self.out.write_truth("text", f'"event":"{key}",{feel}')
        if account is not None:
            self._remember(post)
        return post

    def _counts(self, account: Account | None) -> tuple[int, int, int]:
        """Likes, shares and replies of a new post: few of most, by the author's talent."""
        likes = int(-LIKES * (account.talent if account else 1.0) * log(1 - self.dice()))
        return likes, likes // LIKES_A_SHARE, likes // LIKES_A_REPLY

    def _remember(self, post: Post) -> None:
        self.near.append(post)
        if not self.made % FAR_EVERY or len(self.far) < NEAR_POSTS:
            self.far.append(post)
        if post.voice is not None:
            self.latest[post.platform, post.voice.index] = post

    def forget(self, post: Post) -> None:
        """No later event refers to this post; must be called right after `say`."""
        if self.far and self.far[-1] is post:
            self.far.pop()

    def plan_for(self, at: float, happening: Happening) -> bool:
        """Plans an event; False if too many are planned already."""
        if len(self._due) >= PENDING:
            return False
        self._planned += 1
        heapq.heappush(self._due, (int(at), self._planned, happening))
        return True

    def happen(self) -> bool:
        """Makes the next planned event that is due; False if there is none."""
        while self._due and self._due[0][0] <= self.at:
            due, _, happening = heapq.heappop(self._due)
            if happening(due):
                return True
        return False

    def share_of_span(self, seconds: float, part: float) -> float:
        """The time in ms, limited to a part of the stream, so that even a short stream ends what it starts."""
        return min(seconds * 1000, self.plan.span_ms * part)


def feel(tone: str, brands: str) -> str:
    """The members of the truth about a text."""
    if tone == "hostile":
        return f'"tone":"negative","brands":{brands},"hostile":true'
    return f'"tone":"{tone}","brands":{brands}'
