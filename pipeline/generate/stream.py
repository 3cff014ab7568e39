"""The stream itself: record after record, each consistent with the ones before it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from pipeline.generate.broken import Broken
from pipeline.generate.changes import Changes
from pipeline.generate.output import Block, moment
from pipeline.generate.phrases import CAUSES
from pipeline.generate.plan import Burst, Plan, Stretch
from pipeline.generate.silent import Silent
from pipeline.generate.talk import Talk
from pipeline.generate.world import World

BLOCK = 5_000
"""The most records made at a time."""
REDELIVERED, CHANGED, BROKEN = 0.03, 0.06, 0.005
MENU = {
    ("twitter", "post"): 20, ("twitter", "reply"): 9, ("twitter", "repost"): 6, ("twitter", "like"): 4,
    ("twitter", "follow"): 2, ("twitter", "profile"): 1, ("twitter", "measure"): 1,
    ("instagram", "comment"): 10, ("instagram", "like"): 4, ("instagram", "post"): 2, ("instagram", "follow"): 1,
    ("facebook", "post"): 5, ("facebook", "comment"): 6, ("facebook", "reaction"): 3, ("facebook", "message"): 3,
    ("mastodon", "post"): 4, ("mastodon", "reply"): 2, ("mastodon", "follow"): 1,
    ("reddit", "post"): 2, ("reddit", "comment"): 3, ("reddit", "vote"): 2,
    ("google_play", "review"): 6, ("shop", "order"): 4, ("shop", "visit"): 3,
    ("helpdesk", "email"): 2, ("helpdesk", "call"): 1,
    ("forum", "question"): 2, ("forum", "answer"): 1, ("forum", "idea"): 1, ("facebook", "profile"): 1,
}  # fmt: skip
SILENT = {"like", "reaction", "vote", "follow", "visit", "order", "profile", "measure"}


class Stream:
    """Makes one plan's records and truth, once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._world = world = World(plan)
        self._silent, self._changes, self._broken = Silent(world), Changes(world), Broken(world)
        self._talk = Talk(world, self._silent, self._changes)
        self._menu = [entry for entry, weight in MENU.items() for _ in range(weight)]
        self._burst: Burst | None = None
        self._usual = 0.0
        """Records so far outside bursts."""
        self._usual_of_burst = 0.0
        """The expected records about the burst's brand during the burst, outside it."""

    def blocks(self, size: int = BLOCK) -> Iterator[Block]:
        """The whole stream, in blocks of `size` records."""
        world, dice = self._world, self._world.dice
        self._begin()
        for stretch in self._plan.stretches(self._plan.bursts()):
            self._enter(stretch)
            width = (stretch.end_ms - stretch.start_ms) / max(1, stretch.records)
            for number in range(stretch.records):
                world.at = int(stretch.start_ms + (number + dice()) * width)
                if stretch.burst is not None and dice() < stretch.share:
                    self._talk.rage(stretch.burst)
                elif not world.happen():
                    self._roll()
                if len(world.out) >= size:
                    yield world.out.take()
        self._end()
        yield world.out.take()

    def _roll(self) -> None:
        """Makes one record outside bursts."""
        world = self._world
        chance = world.dice()
        if chance < REDELIVERED:
            if world.out.redeliver(world.at):
                return
        elif chance < REDELIVERED + CHANGED:
            if self._changes.make():
                return
        elif chance > 1 - BROKEN:
            self._broken.make()
            return
        platform, kind = self._menu[int(world.dice() * len(self._menu))]
        if kind in SILENT:
            self._silent.make(platform, kind)
        else:
            self._talk.make(platform, kind)

    # --- the truth about the whole --------------------------------------------------------------------------------------
    def _begin(self) -> None:
        plan = self._plan
        brands = ",".join(f'"{voice.name}"' for voice in plan.voices)
        self._world.out.write_truth(
            "stream",
            f'"id":"{plan.id}","seed":{plan.seed},"count":{plan.count},"start":"{moment(plan.start_ms)}",'
            f'"end":"{moment(plan.end_ms)}","brands":[{brands}]',
        )

    def _enter(self, stretch: Stretch) -> None:
        if self._burst is not None and stretch.burst is not self._burst:
            self._record_burst(self._burst)
        self._burst, self._world.hour = stretch.burst, stretch.hour
        usual = stretch.records * (1 - stretch.share)
        self._usual += usual
        if stretch.burst is not None:
            voice = stretch.burst.voice
            self._usual_of_burst += usual * voice.weight * voice.hours[stretch.hour] / self._plan.loudness(stretch.hour)

    def _record_burst(self, burst: Burst) -> None:
        minutes = (burst.end_ms - burst.start_ms) / 60_000
        normal = self._talk.branded / self._usual * self._usual_of_burst / minutes
        self._usual_of_burst = 0.0
        self._world.out.write_truth(
            "burst",
            f'"brand":"{burst.voice.name}","start":"{moment(burst.start_ms)}","end":"{moment(burst.end_ms)}",'
            f'"cause":"{CAUSES[burst.cause]}","texts":{burst.made},"normal_per_minute":{normal:.4f}',
        )

    def _end(self) -> None:
        if self._burst is not None:
            self._record_burst(self._burst)
        self._talk.threads.end()
        self._record_people()
        out = self._world.out
        events = self._world.made - out.truths["broken"]  # a broken record takes an id as well
        lines = orjson.dumps(dict(out.truths)).decode()
        out.write_truth("end", f'"records":{out.number},"events":{events},"lines":{lines}')

    def _record_people(self) -> None:
        world = self._world
        for number, person in enumerate(world.people.people):
            accounts = [account for account in person.accounts.values() if account.number in world.heard]
            if not accounts:
                continue
            keys, talents = [account.key for account in accounts], [round(account.talent, 4) for account in accounts]
            members = f'"person":{number},"accounts":{orjson.dumps(keys).decode()},"talents":{orjson.dumps(talents).decode()}'
            for field in ("email", "phone"):
                known = [value for account in accounts if (value := getattr(account, field))]
                members += f',"{field}":"{known[0]}"' if known else ""
            world.out.write_truth("person", members)
