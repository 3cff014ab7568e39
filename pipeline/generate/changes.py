"""Changes of posts: edits, new counts, deletes."""

from __future__ import annotations

from pipeline.generate.output import moment
from pipeline.generate.world import SOURCE, Post, World

DELETES, TEXT_EDITS = 0.15, 0.45
"""Cumulative shares of all changes; the rest are new counts."""
EDITS = (" (edit: typo)", " Edit: fixed a word.", " …")
LONGEST = 400


class Changes:
    def __init__(self, world: World) -> None:
        self._world = world

    def make(self) -> bool:
        """Changes a recent post or an old one; False if there is none to change."""
        world = self._world
        known = world.near if world.dice() < 0.6 else world.far
        if not known:
            return False
        post = world.texts.pick(known)
        if post.gone or post.created_ms >= world.at:
            return False
        chance = world.dice()
        if chance < DELETES and not post.status:  # an author who waits for an answer deletes nothing
            post.gone = True
            self._emit(post, "delete", "", world.at)
            world.out.write_truth("delete", f'"event":"{post.key}","at":"{moment(world.at)}"')
        elif chance < TEXT_EDITS and len(post.text) < LONGEST:
            post.text += world.texts.pick(EDITS)
            self._edit(post, "text", f'"text":"{post.text}",{post.group}', world.at)
        elif post.metrics is not None:
            likes, shares, replies = post.metrics
            talent = post.account.talent if post.account else 1.0
            likes += 1 + int(world.dice() * 40 * talent)
            post.metrics = (likes, shares + int(world.dice() * 4), replies + int(world.dice() * 3))
            self._edit(post, "metrics", post.counts(), world.at)
        else:
            return False
        return True

    def close(self, post: Post, at: int) -> bool:
        """Closes the support thread."""
        post.status = "closed"
        self._edit(post, "thread", post.counts(), at)
        return True

    def _edit(self, post: Post, what: str, members: str, at: int) -> None:
        self._emit(post, "update", members, at)
        self._world.out.write_truth("edit", f'"event":"{post.key}","at":"{moment(at)}","what":"{what}"')

    def _emit(self, post: Post, operation: str, members: str, at: int) -> None:
        self._world.out.emit(
            post.key,
            f'{{"id":"{post.id}","platform":"{post.platform}","kind":"{post.kind}","operation":"{operation}",'
            f'"created_at":"{post.created}","occurred_at":"{moment(at)}",{members}{SOURCE}}}',
            self._world.at,
        )
