"""Events with a text: posts, comments, reviews, messages, reposts, and bursts of anger."""

from __future__ import annotations

from pipeline.generate.account import Account
from pipeline.generate.changes import Changes
from pipeline.generate.phrases import CITIES, LANGUAGES
from pipeline.generate.plan import Burst, Voice, inside_quotes
from pipeline.generate.silent import Silent
from pipeline.generate.threads import SUPPORT, Threads
from pipeline.generate.world import Draft, Post, World, feel

CHATTY = {"post", "comment", "reply"}
SMALL_TALK, LOCATED, FAR_REPOSTS = 0.2, 0.15, 0.3
LATE, LATE_MIN_S, LATE_MAX_S = 0.01, 120, 6 * 3600
BUYS, BUYS_WITHIN_S = 0.08, 3 * 86_400
RAGE = ("twitter", "post"), ("twitter", "post"), ("twitter", "reply"), ("facebook", "comment"), ("instagram", "comment")
RAGE_HOSTILE, RAGE_REPOSTS = 0.08, 0.25
RATINGS = {"negative": (1, 2), "hostile": (1, 1), "positive": (4, 5), "neutral": (3, 4)}


class Talk:
    def __init__(self, world: World, silent: Silent, changes: Changes) -> None:
        self._world, self._silent = world, silent
        self.threads = Threads(world, changes)
        self.branded = 0
        """Texts of customers so far that name a brand by themselves, those of bursts aside."""
        self._small_talk = {code: tuple(map(inside_quotes, words.small_talk)) for code, words in LANGUAGES.items()}
        self._neutral = feel("neutral", "[]")

    def make(self, platform: str, kind: str) -> None:
        """Makes a post on the platform."""
        world = self._world
        account = world.account(platform)
        if kind in CHATTY and world.dice() < SMALL_TALK:
            text = world.texts.pick(self._small_talk[account.language])
            world.say(Draft(platform, kind, text, self._neutral), account, None)
            return
        voice = world.voice()
        self.branded += 1
        if kind == "repost":
            self._repost(account, voice)
            return
        tone = world.texts.tone()
        if world.dice() < LATE:
            self._late(platform, kind, account, voice, tone)
            return
        asks = tone in ("negative", "neutral") and world.dice() < SUPPORT.get((platform, kind), 0)
        post = self._about(platform, kind, account, voice, tone, world.at, "open" if asks else "")
        if asks:
            self.threads.open(post)
        elif tone in ("positive", "neutral") and world.dice() < BUYS:
            self._plan_order(account, voice, post)

    def _about(
        self, platform: str, kind: str, account: Account, voice: Voice, tone: str, at: int, status: str = ""
    ) -> Post:  # fmt: skip
        world = self._world
        brands, group = voice.json, ""
        compared = world.texts.comparison(voice, account.language) if tone == "neutral" and kind != "review" else None
        if compared is not None:
            text, other = compared
            brands = f'["{voice.name}","{other.name}"]'
        else:
            text, form = world.texts.about(voice, account.language, tone)
            group = f'"mentions":["{form[1:]}"],' if form[0] == "@" else ""
        if kind == "review":
            low, high = RATINGS[tone]
            group += f'"rating":{low if world.dice() < 0.5 else high},"brands":{voice.json},'
        elif world.dice() < LOCATED:
            group += f'"location":"{world.texts.pick(CITIES)}",'
        return world.say(Draft(platform, kind, text, feel(tone, brands), group, status), account, voice, at=at)

    def _late(self, platform: str, kind: str, account: Account, voice: Voice, tone: str) -> None:
        """Makes a post that is delivered long after it was written."""
        world = self._world
        late_ms = int(1000 * (LATE_MIN_S + (LATE_MAX_S - LATE_MIN_S) * world.dice() ** 3))
        post = self._about(platform, kind, account, voice, tone, world.at - late_ms)
        world.out.write_truth("late", f'"event":"{post.key}","seconds":{late_ms / 1000}')

    def _repost(self, account: Account, voice: Voice) -> None:
        """Reposts the newest post about the brand, or an old one."""
        world = self._world
        post = world.latest.get((account.platform, voice.index))
        if world.far and world.dice() < FAR_REPOSTS:
            old = world.texts.pick(world.far)
            post = old if old.platform == account.platform and old.voice is not None else post
        if post is None or not self._forward(post, account):
            self._about(account.platform, "post", account, voice, "negative", world.at)

    def _forward(self, post: Post, account: Account) -> bool:
        """Reposts this post; False if it can't be reposted."""
        world = self._world
        if post.gone or post.kind == "repost" or post.account is None:
            return False
        text = f"RT @{post.account.handle}: {post.text}"
        again = world.say(Draft(post.platform, "repost", text, post.feel), account, post.voice, reply_to=post)
        world.out.write_truth("repost", f'"event":"{again.key}","of":"{post.key}"')
        return True

    def rage(self, burst: Burst) -> None:
        """Makes one text of a burst of anger."""
        world = self._world
        platform, kind = world.texts.pick(RAGE)
        account, voice = world.account(platform), burst.voice
        burst.made += 1
        post = world.latest.get((platform, voice.index))
        if kind == "post" and post is not None and world.dice() < RAGE_REPOSTS and self._forward(post, account):
            return
        if world.dice() < RAGE_HOSTILE:
            tone = "hostile"
            text, form = world.texts.about(voice, account.language, tone)
        else:
            tone = "negative"
            text, form = world.texts.angry(voice, account.language, burst.cause)
        group = f'"mentions":["{form[1:]}"],' if form[0] == "@" else ""
        # A burst must end: if people kept reposting its texts for hours, it would not.
        world.forget(world.say(Draft(platform, kind, text, feel(tone, voice.json), group), account, voice))

    def _plan_order(self, account: Account, voice: Voice, post: Post) -> None:
        world = self._world
        buyer = world.people.people[account.person].accounts.get("shop")
        if buyer is not None:
            delay = world.share_of_span(BUYS_WITHIN_S, 0.1) * world.dice() ** 2
            world.plan_for(world.at + 1000 + delay, lambda at: self._silent.order_after(buyer, voice, post, at))
