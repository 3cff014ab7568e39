"""The world of the kill tests: what it expects hangs on nothing that may be replaced before it is looked up."""

from __future__ import annotations

from collections import defaultdict

from tests.support.identity_world import World


def test_no_version_of_a_post_has_another_handle() -> None:
    """Look-ups read the newest version: whether one came before the change, and found the handle of before, was chance."""
    world = World(18, 120, 3_000, 12)
    handles: defaultdict[str, set[str]] = defaultdict(set)
    for post in (*world.quiet, *world.busy):
        if handle := post.get("author", {}).get("handle"):
            handles[post["id"]].add(handle)
    assert len(handles) > 1_000 and not {name for name, borne in handles.items() if len(borne) > 1}
