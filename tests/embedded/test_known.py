"""What the embedded engine keeps of its names, and when it reads them again."""

from __future__ import annotations

import pytest

from pipeline.embedded.known import MOST, Known, may_change_names


def test_a_value_is_made_once_until_names_change() -> None:
    known, made = Known(), list[int]()

    def make() -> int:
        made.append(1)
        return len(made)

    assert [known.get("a", make), known.get("a", make), known.get("b", make)] == [1, 1, 2]
    with known.changing():
        assert [known.get("a", make), known.get("a", make)] == [3, 4]
    assert [known.get("a", make), known.get("a", make)] == [5, 5]


def test_what_was_begun_before_a_change_is_not_kept() -> None:
    known = Known()

    def over_a_change() -> str:
        with known.changing():
            return "old"

    assert known.get("a", over_a_change) == "old"
    assert known.get("a", lambda: "new") == "new"


def test_a_failed_change_counts_and_what_cannot_be_made_is_not_kept() -> None:
    known = Known()
    known.get("a", lambda: "old")
    with pytest.raises(OSError), known.changing():
        raise OSError
    with pytest.raises(OSError):
        known.get("a", _fails)
    assert known.get("a", lambda: "new") == "new"


def _fails() -> str:
    raise OSError


def test_few_are_kept_those_used_last() -> None:
    known = Known()
    for number in range(MOST + 1):
        known.get(number, lambda: "old")
        known.get(0, lambda: "new")
    assert known.get(0, lambda: "new") == "old"
    assert known.get(1, lambda: "new") == "new"


@pytest.mark.parametrize(
    ("sql", "reads", "may"),
    [
        (b"INSERT INTO a SELECT 1", False, False),
        (b" insert into a values (1)", False, False),
        (b"SYSTEM RELOAD DICTIONARY a", False, False),
        (b"SYSTEM RELOAD FUNCTIONS", False, True),
        (b"/* */ INSERT INTO a SELECT 1", False, True),
        (b"CREATE VIEW a AS SELECT 1", False, True),
        (b"ATTACH TABLE a", False, True),
        (b"SELECT 1", True, False),
        (b"SELECT * FROM Default.`a.csv`", True, True),
    ],
)
def test_a_statement_changes_names_unless_it_is_plain_that_it_does_not(sql: bytes, reads: bool, may: bool) -> None:
    assert may_change_names(sql, reads, "earshot") is may
    assert may_change_names(sql, reads, "default") is (may or reads)
