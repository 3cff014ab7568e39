"""What the makers of events share: the dice, the moment, the people, what was posted lately, what is still to happen."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from pipeline.generate.output import Output, moment
from pipeline.generate.people import SLOTS, Account, Population
from pipeline.generate.plan import Plan, Voice
from pipeline.generate.texts import Texts

VOICE_SLOTS = 1 << 12
NEAR_POSTS, FAR_POSTS, FAR_EVERY = 1 << 10, 1 << 13, 8
PENDING = 50_000
"""At most so many things are still to happen: what a stream remembers does not grow with its length."""
ANSWERING = {"reply", "comment", "answer"}
PRIVATE = {"message", "email", "call"}
COUNTED = {"twitter", "instagram", "facebook", "mastodon", "reddit"}
START_COUNTS = ((0, 0, 0), (0, 0, 0), (1, 0, 0), (2, 1, 0))
SOURCE = '"source":{"name":"earshot generate","version":"1"}'


@dataclass(slots=True)
class Post:
    """An event with a text, as later events need it."""

    key: str
    id: str
    platform: str
    kind: str
    created: str
    created_ms: int
    text: str
    group: str
    """What else changes with the text: JSON members, a comma after each. So are all fragments here."""
    account: Account | None
    feel: str
    """What the truth says of the text."""
    voice: Voice | None
    language: str
    conversation: str
    metrics: tuple[int, int, int] | None
    """Likes, shares, replies, where the platform counts them."""
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
"""What happens at its time, given that; False when it does not after all."""


class World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        random = Random(plan.seed)
        self.dice = random.random
        self.people = Population(plan.seed)
        self.texts = Texts(random, plan.voices)
        self.out = Output(self.dice)
        self.latest: dict[tuple[str, int], Post] = {}
        """The newest post of a platform about a brand."""
        self.near: deque[Post] = deque(maxlen=NEAR_POSTS)
        self.far: deque[Post] = deque(maxlen=FAR_POSTS)
        self.heard: set[int] = set()
        """The accounts that did or wrote something."""
        self.at, self.hour = plan.start_ms, 0
        self.made = 0
        self._due: list[tuple[int, int, Happening]] = []
        self._planned = 0
        self._loudness: dict[int, list[Voice]] = {}

    def voice(self) -> Voice:
        """A brand, as loud as it is at this hour."""
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
        """Somebody on the platform, the busy ones more often."""
        account = self.people.draws[platform][int(self.dice() * SLOTS)]
        self.heard.add(account.number)
        return account

    def next_id(self) -> str:
        self.made += 1
        return f"{self.plan.id}-{self.made}"

    def create(self, platform: str, kind: str, at: int, members: str, ident: str = "") -> str:
        """Emits a new event without a text; returns its key. `members`: the rest of it, a comma after each."""
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
        metrics = START_COUNTS[int(self.dice() * len(START_COUNTS))] if platform in COUNTED and kind not in PRIVATE else None
        post = Post(
            key, ident, platform, kind, created, at, text, group, account, feel, voice, language, conversation, metrics, status
        )
        self.out.emit(
            key,
            f'{{"id":"{ident}","platform":"{platform}","kind":"{kind}","direction":"{direction}","created_at":"{created}",'
            f'"text":"{text}",{group}{answers}"conversation_id":"{conversation}",{post.counts()}{author},{SOURCE}}}',
            self.at,
        )
        self.out.tell("text", f'"event":"{key}",{feel}')
        if account is not None:
            self._remember(post)
        return post

    def _remember(self, post: Post) -> None:
        self.near.append(post)
        if not self.made % FAR_EVERY or len(self.far) < NEAR_POSTS:
            self.far.append(post)
        if post.voice is not None:
            self.latest[post.platform, post.voice.index] = post

    def forget(self, post: Post) -> None:
        """Nobody comes back to it long after; to be called at once."""
        if self.far and self.far[-1] is post:
            self.far.pop()

    def plan_for(self, at: float, happening: Happening) -> bool:
        """Lets it happen then; False when too much is planned already."""
        if len(self._due) >= PENDING:
            return False
        self._planned += 1
        heapq.heappush(self._due, (int(at), self._planned, happening))
        return True

    def happen(self) -> bool:
        """Lets the next thing happen that is due; False when none is."""
        while self._due and self._due[0][0] <= self.at:
            due, _, happening = heapq.heappop(self._due)
            if happening(due):
                return True
        return False

    def share_of_span(self, seconds: float, part: float) -> float:
        """The time in ms, at most a part of the stream: what a short stream starts also ends in it."""
        return min(seconds * 1000, self.plan.span_ms * part)


def feel(tone: str, brands: str) -> str:
    """What the truth says of a text."""
    if tone == "hostile":
        return f'"tone":"negative","brands":{brands},"hostile":true'
    return f'"tone":"{tone}","brands":{brands}'
