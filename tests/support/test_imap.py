"""The Dovecot of tests does what they take for granted."""

from __future__ import annotations

import pytest
from imapclient import IMAPClient

from tests.support.imap import PASSWORD, USER, Dovecot

pytestmark = pytest.mark.stack

MAIL = b"From: Ada <ada@mail.example>\r\nSubject: %d\r\n\r\nThe kettle is cold.\r\n"


def connected(server: Dovecot) -> IMAPClient:
    client = IMAPClient("127.0.0.1", server.port, ssl=False, timeout=20)
    client.login(USER, PASSWORD)
    return client


def subjects(client: IMAPClient) -> dict[int, bytes]:
    """By UID."""
    fetched = client.fetch(client.search(), ["ENVELOPE"])
    return {uid: data[b"ENVELOPE"].subject for uid, data in fetched.items()}


def test_mails_come_go_and_get_new_uids() -> None:
    with Dovecot() as server:
        first = server.deliver(MAIL % 1)
        client = connected(server)
        validity = client.select_folder("INBOX", readonly=True)[b"UIDVALIDITY"]
        assert subjects(client) == {1: b"1"}

        client.idle()
        server.deliver(MAIL % 2)
        assert (2, b"EXISTS") in client.idle_check(timeout=20)
        client.idle_done()
        assert subjects(client) == {1: b"1", 2: b"2"}
        assert client.fetch([2], ["BODY.PEEK[]"])[2][b"BODY[]"] == MAIL % 2

        server.delete(first)
        client.noop()
        assert subjects(client) == {2: b"2"}

        client.logout()
        server.rebuild()
        again = connected(server)
        assert again.select_folder("INBOX", readonly=True)[b"UIDVALIDITY"] > validity
        assert subjects(again) == {1: b"2"}
        again.logout()
