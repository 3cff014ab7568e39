"""One address on ten thousand accounts: through Kafka, a worker, the leader of the customers, and a steward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from schemas.identity import account_key
from schemas.untyped import JsonObject
from tests.support import topics
from tests.support.control import send, stamp
from tests.support.customers_process import ask, start_customers, state, stewarded, taken_all
from tests.support.worker import Worker, wait_for

ACCOUNTS = 10_000


def posts(email: str, accounts: Iterable[tuple[str, str]]) -> list[JsonObject]:
    """One of each account, with this address."""
    return [
        {"id": f"of {name}", "platform": platform, "kind": "post", "created_at": stamp(), "text": "hello", "brands": ["Lumen"],
         "author": {"id": name, "email": email}}
        for platform, name in accounts
    ]  # fmt: skip


@pytest.mark.timeout(600)
def test_a_flood_links_nobody_and_holds_what_follows(kafka: Stack, settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    given = stewarded(settings)
    processes = [Worker(given, tmp_path / "worker.log"), start_customers(given, tmp_path / "customers.log")]
    worker, leader = processes

    def settled() -> bool:
        for process in (worker, leader):
            assert process.exit_code is None, process.tail()
        return not topics.lag(given.kafka) and taken_all(given)

    def customers() -> dict[int, int]:
        return dict(state(given)["assignments"])

    def queue() -> Counter[str]:
        return Counter(reason for _, reason in state(given)["queue"])

    try:
        for process in processes:
            process.wait_ready()
        first, second = account_key("forum", "a"), account_key("shop", "b")
        send(given, posts("shared@example.org", [("forum", "a"), ("shop", "b")]))
        wait_for("two accounts are linked", lambda: set(customers()) == {first, second}, every=0.2)

        send(given, posts("shared@example.org", ((f"p{n % 20}", f"account {n}") for n in range(ACCOUNTS))))
        wait_for("the flood is taken", settled, 180, every=0.3)
        assert customers() == {} and queue() == {"over limit": ACCOUNTS + 2}, "its first link is withdrawn, too"
        shown = {f'earshot_identity_refused{{reason="over limit"}} {ACCOUNTS + 2}.0', "earshot_identity_breaker_holds 1.0"}
        wait_for("metrics show it", lambda: shown <= set(processes[1].ask("/metrics")[1].splitlines()), every=0.5)

        leader.kill()
        processes[1] = leader = start_customers(given, tmp_path / "another.log")
        leader.wait_ready()
        pair = [("forum", "c"), ("shop", "d")]
        send(given, posts("ann@example.org", pair))
        wait_for("what follows is taken", settled, every=0.3)
        assert customers() == {} and queue()["held"] == 2

        assert ask(lambda: [leader], given, {"action": "release", "why": "it was a form without a check"}) == ""
        assert set(customers()) == {account_key(*each) for each in pair}
        assert queue() == {"over limit": ACCOUNTS + 2}
    finally:
        for process in processes:
            process.close()
