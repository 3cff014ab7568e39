"""How many connections of one address come in."""

from __future__ import annotations

import socket

import pytest

from pipeline.console.door import MOST_OF_ADDRESS, Door, listen


def come(door: Door, address: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """A connection of this address, at both ends. Raises ConnectionAbortedError where the door closed it."""
    made = socket.create_connection(door.getsockname(), 60, (address, 0))
    try:
        return made, door.accept()[0]
    except ConnectionAbortedError:
        assert made.recv(1) == b""
        made.close()
        raise


def test_an_address_has_so_many_connections_and_has_them_again_when_it_leaves() -> None:
    with listen("127.0.0.1", 0, lambda address: False) as door:
        inside = [come(door) for _ in range(MOST_OF_ADDRESS)]
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                come(door)
        inside.append(come(door, "127.0.0.2"))
        inside[0][1].close()
        inside[0][1].close()
        inside.append(come(door))
        with pytest.raises(ConnectionAbortedError):
            come(door)
        for ends in inside:
            for each in ends:
                each.close()
        assert not door.inside


def test_this_machine_and_proxies_have_no_limit_of_their_own() -> None:
    with listen("127.0.0.1", 0) as door:
        made = [come(door) for _ in range(MOST_OF_ADDRESS + 5)]
        assert door.inside.total() == len(made)
        for ends in made:
            for each in ends:
                each.close()
        assert not door.inside
