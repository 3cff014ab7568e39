"""What open pages are told: a row when it is another, and of new numbers nothing but the numbers."""

from __future__ import annotations

from datetime import timedelta

from pipeline.console.desk import HERE
from pipeline.console.live import rows, shower
from pipeline.console.shown import FILTERS
from pipeline.console.sse import together
from schemas.alerts import State
from tests.support.console_rows import an_alert


def test_new_numbers_are_told_without_the_row() -> None:
    import jinja2

    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True)
    templates.filters.update(FILTERS)
    show, alert = shower(rows(templates), templates), an_alert()
    at = alert.changed_at + timedelta(minutes=1)
    numbers = alert.change(at, summary="Acme: 99 % of 120 are negative", observed=0.99)
    seen = numbers.change(at, state=State.ACKNOWLEDGED, actor="lars")
    over = seen.change(at, state=State.RESOLVED, ended_at=at)
    whole, less, mine, end, again = (show(each)[0].data for each in (alert, numbers, seen, over, numbers))
    for row in (whole, mine, end, again):
        assert "Silence" in row or "ended" in row
    assert "99 % of 120" in less and "data-numbers" in less and len(less) < len(whole) / 4
    assert f'id="alert-{alert.hex}"' in less and "Acknowledge" not in less
    assert show(an_alert(historical=True)) == show(an_alert(state=State.PENDING)) == ()


def test_many_events_wait_as_some_blocks() -> None:
    events = [b"x" * 300] * 10_000 + [b"y" * 100_000]
    blocks = list(together(events))
    assert b"".join(blocks) == b"".join(events) and len(blocks) == 47 and max(map(len, blocks[:-1])) <= 64 << 10
    assert list(together([])) == []
