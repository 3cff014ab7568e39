"""X on loopback."""

from __future__ import annotations

import time

from tests.support.twitter_server import TwitterServer


def test_no_two_servers_give_one_id_to_two_posts_of_a_moment() -> None:
    at, servers = time.time() + 60, (TwitterServer(), TwitterServer())
    for server in servers:
        with server.running():
            for number in range(1, 200):
                server.world.post(number, at, f"post {number}")
    ids = [name for server in servers for names in server.versions.values() for name in names]
    assert len(set(ids)) == len(ids) == 398
