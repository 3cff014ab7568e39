"""The judge of requests."""

from __future__ import annotations

import pytest

from tests.support.ledger import BURST, Ledger, ratio


def test_an_answer_without_news_is_needed_once_in_a_time() -> None:
    now = 0.0
    ledger = Ledger(10.0, lambda: now)
    first, edited, idle = b"<p>item 1 of rss0.</p>", b"<p>item 1 of rss0. Edited when 2 came</p>", "GET /feed"
    assert ledger.needs(idle, first) and ledger.needs(idle, edited), "news always are"
    assert [ledger.needs(idle, first) for _ in range(int(BURST) + 2)] == [True] * int(BURST) + [False] * 2
    assert ledger.needs("GET /feed before", first), "another question"
    now = 9.0
    assert not ledger.needs(idle, first)
    now = 11.0
    assert ledger.needs(idle, first) and not ledger.needs(idle, first)


def test_one_needless_answer_a_kill_makes_it_one() -> None:
    ledger = Ledger(1.0)
    ledger.requests, ledger.failures = 100, 20
    assert ratio([ledger], 0) == 1.0 and ratio([ledger], 5) < 1.0
    ledger.needless["GET /feed"] = 6
    assert ratio([ledger], 6) == 1.0 and ratio([ledger], 5) > 1.0
    assert ratio([ledger], 0) == pytest.approx(100 / 94)
