"""The CRM of the people of a stream: records of customers, as a company would export them.

Record `K<n>` is about person n of the truth. One person has one record at most.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from random import Random
from typing import BinaryIO

from pipeline.generate.connections import ROLE
from pipeline.generate.people import Person, Population

HEADER = ("id", "name", "email", "phone", "accounts")
SEPARATOR = ";"
"""Between accounts, which have the form of `author.accounts`."""
BUYERS, OTHERS = 0.8, 0.1
"""The shares of people with and without an account in the shop that are on record."""
EMAIL, PHONE, SHOP, HANDLE, ROLES = 0.9, 0.5, 0.6, 0.2, 0.01
"""The shares of records with an address, a number, the account in the shop, a handle on X, the address of a role."""


def write_crm(seed: int, file: BinaryIO) -> int:
    """Writes the records of the people of this seed as CSV in UTF-8, heard of in the stream or not. Returns how many."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    records = list(_records(Population(seed).people, Random(f"crm {seed}")))
    writer.writerows(records)
    file.write(text.getvalue().encode())
    return len(records)


def _records(people: list[Person], random: Random) -> Iterator[tuple[str, ...]]:
    dice = random.random
    for number, person in enumerate(people):
        if dice() >= (BUYERS if "shop" in person.accounts else OTHERS):
            continue
        email = person.email if dice() < EMAIL else ""
        email = ROLE if dice() < ROLES else email
        phone = person.phone if dice() < PHONE else ""
        known = []
        if "shop" in person.accounts and dice() < SHOP:
            known.append(person.accounts["shop"].key)
        if "twitter" in person.accounts and dice() < HANDLE:
            known.append(f"twitter:@{person.accounts['twitter'].handle}")
        yield f"K{number}", person.name, email, phone, SEPARATOR.join(known)
