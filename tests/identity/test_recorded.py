"""Who is who among recorded persons whose accounts are known (EARSHOT_DATA): nobody is linked with a stranger."""

from __future__ import annotations

import csv
import random
from collections import defaultdict

import pytest

from pipeline.identity.rules_file import RulesFile
from schemas.identity import account_key
from tests.identity.recorded import DATA, DEFAULT, PUBLIC, SOURCE, Persons, key, persons, quality, stream, streamed

CANDIDATES, FAKE = DATA / "candidata_candidates.csv", DATA / "fake_1000.csv"
needs_candidates = pytest.mark.skipif(not CANDIDATES.is_file(), reason=f"no recorded persons at {CANDIDATES} (EARSHOT_DATA)")
needs_fake = pytest.mark.skipif(not FAKE.is_file(), reason=f"no recorded persons at {FAKE} (EARSHOT_DATA)")
pytestmark = pytest.mark.slow


def truth(of: Persons) -> list[list[int]]:
    return [[key(account) for account in listed] for listed in of.accounts.values()]


@needs_candidates
@pytest.mark.parametrize(("rules", "recall"), [(PUBLIC, 0.75), (DEFAULT, 0.58)], ids=["claims on X", "default"])
def test_accounts_of_a_person_are_linked_and_no_others(rules: RulesFile, recall: float) -> None:
    of = persons(CANDIDATES)
    accounts, several, _ = of.counts()
    assert 7_900 < accounts < 8_300
    assert 1_550 < several < 1_610
    found = quality(streamed(stream(of, random.Random(18)), rules, 8), truth(of))
    print(f"precision {found.precision:.3f}, recall {found.recall:.3f}")
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
    events = [
        {"platform": f"p{n}", "source": {"name": SOURCE}, "author": {"id": "1", "email": row["email"]}}
        for n, row in enumerate(rows)
    ]
    found = streamed(events, DEFAULT, 4)
    clusters: defaultdict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        clusters[row["cluster"]].append(account_key(f"p{number}", "1"))
    result = quality(found, clusters.values())
    assert result.precision == 1.0
    assert round(result.recall, 3) == 0.336
