"""What is lost and what is behind, from three offsets."""

from __future__ import annotations

import pytest

from pipeline.maintenance.group_offsets import PartitionState


@pytest.mark.parametrize(
    ("first", "end", "committed", "lag_of", "lost"),
    [
        (0, 10, None, 10, None),
        (4, 10, None, 6, None),
        (0, 10, 0, 10, None),
        (4, 10, 4, 6, None),
        (10, 10, 10, 0, None),
        (4, 10, 3, 6, (3, 3, 4)),
        (10, 10, 3, 0, (3, 9, 10)),
        (2, 10, 11, 8, (11, None, 2)),
    ],
)
def test_what_is_lost_and_what_is_behind(
    first: int, end: int, committed: int | None, lag_of: int, lost: tuple[int, int | None, int] | None
) -> None:
    state = PartitionState("t", 0, first, end, committed)
    assert state.lag == lag_of
    assert (state.lost and state.lost[2:]) == lost
