"""The named queries: each file says what it means, takes and gives, and nothing else."""

from __future__ import annotations

import pytest

from schemas.queries import Parameter, Plot, named_queries, parse

TEXT = """-- Mentions by day. More of it,
-- in a second line.
--
-- And a paragraph.
--
-- parameter brand = []: of these
--   brands
-- parameter by = []: split
-- parameter least: so many
-- column day: when
-- column mentions: how many: all
-- plot line: day, mentions, brand, platform
SELECT day, {least:UInt32} AS mentions, {by:Array(Enum('platform', 'language'))}
FROM x WHERE brand IN {brand:Array(String)};
"""


def test_a_file_is_read() -> None:
    query = parse("volume", TEXT)
    assert query.meaning == "Mentions by day. More of it, in a second line. And a paragraph."
    assert (query.first, query.view, query.operators) == ("Mentions by day", "q_volume", "")
    brand, by, least = query.parameters
    assert brand == Parameter("brand", "Array(String)", "[]", "of these brands")
    assert (by.choices, by.many, least.default, least.many, brand.choices) == (["platform", "language"], True, None, False, [])
    assert query.columns == {"day": "when", "mentions": "how many: all"}
    assert query.plot == Plot("line", "day", "mentions", ("brand", "platform"))
    assert query.sql.startswith("SELECT day") and query.sql.endswith("String)}")


@pytest.mark.parametrize(
    ("was", "is_", "says"),
    [
        ("-- column day: when", "-- colum day: when", "'colum day: when' is none of parameter, column"),
        ("-- parameter least: so many\n", "", "its comment has parameters brand, by, its SELECT least"),
        ("{least:UInt32}", "1", "its comment has parameters brand, by, least"),
        ("FROM x", "FROM x WHERE {least:UInt8} AND", "its comment has parameters"),
    ],
)
def test_a_file_that_says_otherwise_is_refused(was: str, is_: str, says: str) -> None:
    with pytest.raises(ValueError, match="query volume: .*") as caught:
        parse("volume", TEXT.replace(was, is_))
    assert says in str(caught.value)


def test_each_file_is_complete() -> None:
    assert {"brands", "latest", "sentiment", "rejects", "alerts"} <= set(named_queries())
    meant: dict[str, str] = {}
    for query in named_queries().values():
        assert query.columns and len(query.first) <= 128, query.name
        assert all(meaning.strip() for meaning in query.columns.values()), query.name
        for each in query.parameters:
            assert each.type.startswith(("Array(String)", "Array(Enum(", "Enum(", "String", "UInt", "Float", "DateTime64(3")), (
                each
            )
            assert not each.choices or each.many or each.default is None or each.default in each.choices, (query.name, each)
            if each.name in ("zone", "to"):
                assert meant.setdefault(each.name, each.meaning) == each.meaning, (query.name, each)
        if query.plot:
            assert query.plot.kind in ("line", "bar") and {query.plot.x, query.plot.y, *query.plot.series} <= set(query.columns)
