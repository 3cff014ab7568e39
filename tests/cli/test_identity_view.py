"""What `earshot identity` prints of customers, without a server."""

from __future__ import annotations

from datetime import datetime

from pipeline.cli.identity_view import customer
from pipeline.queries.identity.customers import Customer, Member
from pipeline.queries.identity.profiles import Profile

AT = datetime(2026, 11, 3, 10)


def test_a_customer_is_a_line_a_profile_with_its_evidence_below() -> None:
    members = [
        Member(Profile(0x8C1B, "shop", "4711", "", 2_120, AT), None, ["e-mail address e454, with twitter:@ines (given)"]),
        Member(Profile(0x05B1, "vk", "55", "in_k", 8, AT), AT, ["linked by hand with shop:4711 (command 7 by ines)"]),
        Member(Profile(0x00C0, "vk"), None, []),
        Member(Profile(0x00C1), None, []),
    ]
    assert list(customer(Customer(0x8C1B, members))) == [
        "customer 0000000000008c1b: 4 profiles",
        "  shop:4711  0000000000008c1b  2,120 interactions, the last 2026-11-03 10:00:00",
        "      e-mail address e454, with twitter:@ines (given)",
        "  vk:@in_k  00000000000005b1  id 55, 8 interactions, the last 2026-11-03 10:00:00, here since 2026-11-03 10:00:00",
        "      linked by hand with shop:4711 (command 7 by ines)",
        "  vk:?  00000000000000c0",
        "  ?:?  00000000000000c1",
    ]
    assert next(customer(Customer(1, members[:1]))) == "customer 0000000000000001: 1 profile"
