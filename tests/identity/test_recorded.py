"""Who is who among recorded persons whose accounts are known (EARSHOT_DATA): nobody is linked with a stranger."""

from __future__ import annotations

import csv
import random

import polars as pl
import pytest

from schemas.identity import EDGE_COLUMNS, Rules, TypeRule, account_key, value_key
from tests.identity.recorded import DATA, DEFAULT, PUBLIC, Persons, key, persons, quality, stream, streamed

CANDIDATES, FAKE = DATA / "candidata_candidates.csv", DATA / "fake_1000.csv"
needs_candidates = pytest.mark.skipif(not CANDIDATES.is_file(), reason=f"no recorded persons at {CANDIDATES} (EARSHOT_DATA)")
needs_fake = pytest.mark.skipif(not FAKE.is_file(), reason=f"no recorded persons at {FAKE} (EARSHOT_DATA)")


def truth(of: Persons) -> list[list[int]]:
    return [[key(account) for account in listed] for listed in of.accounts.values()]


@needs_candidates
@pytest.mark.parametrize(("rules", "recall"), [(PUBLIC, 0.75), (DEFAULT, 0.58)], ids=["claims on X", "default"])
def test_accounts_of_a_person_are_linked_and_no_others(rules: Rules, recall: float) -> None:
    of = persons(CANDIDATES)
    accounts, several, _ = of.counts()
    assert 7_900 < accounts < 8_300
    assert 1_550 < several < 1_610
    edges = stream(of, random.Random(18))
    found = quality(streamed(edges, rules, 4), truth(of))
    assert found.precision == 1.0
    assert found.recall >= recall


@needs_candidates
def test_each_false_pair_goes_through_an_account_of_several_persons() -> None:
    of = persons(CANDIDATES, with_shared=True)
    _, _, shared_accounts = of.counts()
    assert 30 < shared_accounts < 50
    found = streamed(stream(of, random.Random(18)), PUBLIC, 1)
    shared = {key(account) for account in of.shared}
    customers = dict(found.assignments.iter_rows())
    through = {customers[profile] for profile in shared if profile in customers}
    false = quality(found, truth(of)).false
    assert {customers[one] for pair in false for one in pair} <= through


@needs_fake
def test_persons_are_linked_by_their_address() -> None:
    with FAKE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    edges = [
        ("value", account_key(f"p{n}", "1"), value_key("email", row["email"].strip().lower()), "email", f"p{n}", "")
        + ("test", 1, "given", n, n, 0)
        for n, row in enumerate(rows)
        if row["email"].strip()
    ]
    found = streamed(pl.DataFrame(edges, schema=EDGE_COLUMNS, orient="row"), Rules(1, {"email": TypeRule(1)}), 4)
    clusters: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        clusters.setdefault(row["cluster"], []).append(account_key(f"p{number}", "1"))
    result = quality(found, clusters.values())
    assert result.precision == 1.0
    assert round(result.recall, 3) == 0.336
