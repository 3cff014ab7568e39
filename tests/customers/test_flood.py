"""One address on ten thousand accounts, in pieces as the intake passes them on: it links nobody, and what follows is held."""

from __future__ import annotations

import pytest

from pipeline.config.settings import Settings
from pipeline.customers.intake import PIECE
from schemas.identity import Command
from tests.support.customers import House, emails

ACCOUNTS, SHARED, OTHER = 10_000, 90_000, 90_001


@pytest.mark.timeout(300)
def test_an_address_of_ten_thousand_accounts(emptied: Settings) -> None:
    house = House(emptied)
    state = house.lead()
    state.take(emails((1, SHARED), (2, SHARED)), False)
    assert house.customers() == {1: 1, 2: 1}

    held = []
    for start in range(3, ACCOUNTS + 1, PIECE):
        state.take(emails(*((n, SHARED) for n in range(start, min(start + PIECE, ACCOUNTS + 1)))), False)
        held.append(state.holds)
    assert house.customers() == {} and house.moves() == [(2, 2, 1, 0), (2, 1, 2, 0)], "its first link is withdrawn, once"
    assert all(held), "more than a thousand refusals within a minute, from the first piece on"
    assert house.queue() == [("over limit", ACCOUNTS)]

    state.take(emails((20_001, OTHER), (20_002, OTHER)), False)
    assert house.customers() == {} and ("held", 2) in house.queue()
    state.command(Command(state.next_sequence(), "release"))
    assert house.customers() == {20_001: 20_001, 20_002: 20_001}
    assert house.queue() == [("over limit", ACCOUNTS)]
