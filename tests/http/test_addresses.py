"""Which addresses are public, how an address is spelt, and what an `allow` opens."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from pipeline.http.addresses import Allowed, kind, literal, refuse_private
from pipeline.http.failures import AddressRefused

REFUSED = {
    "127.0.0.1": "loopback",
    "127.9.9.9": "loopback",
    "0.0.0.0": "unspecified",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "169.254.169.254": "link-local",
    "100.64.0.1": "shared",
    "100.100.100.200": "shared",
    "192.0.0.192": "the network's own",
    "168.63.129.16": "the network's own",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "198.18.0.1": "private",
    "::": "unspecified",
    "::1": "loopback",
    "fe80::1": "link-local",
    "fd00:ec2::254": "private",
    "fec0::1": "not public",
    "ff02::1": "multicast",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::1": "reserved",
    "2002:7f00:1::": "a tunnel",
    "2001:0:7f00:1::": "a tunnel",
    "2001:db8::1": "private",
    "::127.0.0.1": "reserved",
    "100::1": "reserved",
}
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_has_a_word_for_it(address: str) -> None:
    assert kind(ip_address(address)) == REFUSED[address]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_has_none(address: str) -> None:
    assert kind(ip_address(address)) == ""


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "0x7f.1", "2130706433", "0177.0.0.1", "0", "127.0.0.1.", "8.8.8.8."])
def test_an_address_in_short_is_refused_whatever_it_is(host: str) -> None:
    with pytest.raises(AddressRefused, match="^an address must be written in full$"):
        literal(host)


@pytest.mark.parametrize("host", ["feeds.example", "a1", "1.2.3.4.example", "cafe", "xn--caf-dma.example"])
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host) is None


def test_an_allow_holds_names_and_networks() -> None:
    allowed = Allowed.of(["10.0.0.0/8", "127.0.0.1", "Feeds.Example."])
    assert allowed.within("other.example") == frozenset({ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")})
    assert allowed.within("feeds.example.") is None
    assert Allowed.of([]) == Allowed() and Allowed().within("feeds.example") == frozenset()


@pytest.mark.parametrize("address", ["10.9.9.9", "::ffff:10.9.9.9", "64:ff9b::a09:909", "8.8.8.8", "2606:4700::1111"])
def test_an_address_in_an_allowed_network_passes_however_it_is_embedded(address: str) -> None:
    refuse_private(ip_address(address), frozenset({ip_network("10.0.0.0/8")}))


@pytest.mark.parametrize("address", ["11.0.0.0", "127.0.0.1", "::1", "fe80::1%eth0"])
def test_an_allowed_network_opens_no_other(address: str) -> None:
    networks = frozenset({ip_network("10.0.0.0/8"), ip_network("11.0.0.1/32")})
    if kind(ip_address(address)):
        with pytest.raises(AddressRefused):
            refuse_private(ip_address(address), networks)
    refuse_private(ip_address(address), None)
