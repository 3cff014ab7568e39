"""What stewards decided: the same in any order and any pieces, and a command costs what it changes."""

from __future__ import annotations

import random
from dataclasses import replace

import polars as pl
import pytest

from pipeline.identity import decided
from pipeline.identity.commands import Decisions, decisions_of, hand_edges
from pipeline.identity.decided import Decided
from schemas.identity import ACTIONS, TYPES, Command


def commands(count: int, chance: random.Random) -> list[Command]:
    return [
        Command(number, chance.choice(ACTIONS), chance.randint(1, 6), chance.randint(1, 6), 5, chance.choice(("", TYPES[0])))
        for number in range(1, count + 1)
    ]


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.sort(one.columns).equals(other.select(one.columns).sort(one.columns))


@pytest.mark.parametrize("seed", range(8))
def test_pieces_in_any_order_say_what_all_say(seed: int) -> None:
    chance = random.Random(seed)
    known, pieces = commands(120, chance), Decided()
    for order in (known, chance.sample(known, len(known))):
        pieces, left = Decided(), list(order)
        while left:
            size = chance.choice((1, 1, 30))
            before, copied = pieces.copied(), pieces.copied()
            copied.take(left[:size])
            assert pieces.decisions == before.decisions and pieces.commands == before.commands, "a copy is another one"
            pieces.take(left[:size])
            left = left[size:]
        whole = Decided()
        whole.take(known)
        assert pieces.decisions == whole.decisions == decisions_of(known)
        assert same(pieces.hand, whole.hand) and same(pieces.consents, whole.consents)
        assert same(pieces.hand, hand_edges(whole.decisions))
        assert pieces.decisions.columns().nevers.tolist() == [list(pair) for pair in pieces.decisions.nevers]


def test_a_command_costs_what_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader of 100,000 commands took a second for each new one, and another to try it."""
    stood = Decided()
    stood.take([Command(number, "link", 2 * number, 2 * number + 1) for number in range(1, 1_000)])
    made: list[int] = []

    def counted(decisions: Decisions) -> pl.DataFrame:
        made.append(len(decisions.links))
        return hand_edges(decisions)

    monkeypatch.setattr(decided, "hand_edges", counted)
    monkeypatch.setattr(decided, "decisions_of", None)
    next_ = Command(1_000, "link", 1, 2)
    assert stood.take([next_]).profiles == {1, 2}
    assert not stood.take([next_]).profiles, "it is known"
    stood.take([replace(next_, sequence=1_001, action="unlink")])
    stood.take([replace(next_, sequence=1_002, action="reject")])
    assert made == [1, 0] and stood.hand.height == 999
    assert stood.decisions.columns() is stood.decisions.columns()
