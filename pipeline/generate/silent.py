"""Events without a text: likes, follows, orders, visits, profiles and measures."""

from __future__ import annotations

from pipeline.generate.account import Account
from pipeline.generate.plan import Voice
from pipeline.generate.world import Post, World

REACTIONS = ("love", "haha", "angry", "wow")
LOCAL = {"like", "reaction", "vote"}
LINKING = 0.3
"""The share of profiles without a link whose bio names another account of the same person."""


class Silent:
    def __init__(self, world: World) -> None:
        self._world = world

    def make(self, platform: str, kind: str) -> None:
        world = self._world
        if kind == "measure":
            self._measure(platform, world.voice())
            return
        account = world.account(platform)
        if kind in LOCAL:
            self._like(account, kind)
        elif kind == "order":
            self.order(account, world.voice(), world.at)
        elif kind == "profile":
            self._profile(account)
        else:
            self._turn_to(account, kind, world.voice())

    def _like(self, account: Account, kind: str) -> None:
        world = self._world
        voice = world.voice()
        post = world.latest.get((account.platform, voice.index))
        if post is None or post.gone:
            self._turn_to(account, "follow", voice)
            return
        reaction = f'"reaction":"{world.texts.pick(REACTIONS)}",' if kind == "reaction" else ""
        members = f'"target":"{post.id}",{reaction}{account.author},'
        key = world.create(account.platform, kind, world.at, members)
        world.out.write_truth("like", f'"event":"{key}","account":"{account.key}","of":"{post.key}"')

    def _turn_to(self, account: Account, kind: str, voice: Voice) -> None:
        """A follow of the brand's account, or a visit to its shop."""
        world = self._world
        private = '"visibility":"private",' if kind == "visit" else ""
        members = f'{private}"target":"{voice.handle}","brands":{voice.json},{account.author},'
        key = world.create(account.platform, kind, world.at, members)
        if kind == "follow":
            members = f'"event":"{key}","account":"{account.key}","target":"{voice.handle}","brand":"{voice.name}"'
            world.out.write_truth("follow", members)

    def order(self, account: Account, voice: Voice, at: int) -> str:
        """Emits an order in the brand's shop; returns its key."""
        world = self._world
        ident = world.next_id()
        amount = int(500 + 23_500 * world.dice() * world.dice()) / 100
        currency = "EUR" if world.dice() < 0.7 else "USD"
        members = (
            f'"visibility":"private","order":{{"id":"o{ident}","amount":{amount},"currency":"{currency}"}},'
            f'"brands":{voice.json},{account.author},'
        )
        return world.create(account.platform, "order", at, members, ident)

    def order_after(self, account: Account, voice: Voice, post: Post, at: int) -> bool:
        """The order that follows an interaction."""
        self._world.heard.add(account.number)
        key = self.order(account, voice, at)
        self._world.out.write_truth(
            "order_after",
            f'"event":"{key}","after":"{post.key}","brand":"{voice.name}","person":{account.person},'
            f'"seconds":{(at - post.created_ms) / 1000}',
        )
        return True

    def _profile(self, account: Account) -> None:
        world = self._world
        others = [other for other in world.people.people[account.person].accounts.values() if other is not account]
        bio = "Coffee, trains and long walks"
        if others and world.dice() < LINKING:
            other = world.texts.pick(others)
            bio = f"Also {other.page or f'@{other.handle} on {other.platform}'}"
        author = account.author if '"bio":' in account.author else f'{account.author[:-1]},"bio":"{bio}"}}'
        world.create(account.platform, "profile", world.at, f"{author},")

    def _measure(self, platform: str, voice: Voice) -> None:
        world = self._world
        value = 10_000 + int(80_000 / (voice.index + 1)) + world.made % 1_000
        members = f'"target":"{voice.handle}","brands":{voice.json},"measure":{{"name":"followers","value":{value}}},'
        world.create(platform, "measure", world.at, members)
