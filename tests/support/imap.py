"""A real Dovecot for a test: IMAP on loopback over a folder of mails, and what happens to such a folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType

import pytest
import trustme

from pipeline.embedded.child import free_port
from tests.support.deploy import program
from tests.support.worker import wait_for

USER, PASSWORD = "ada", "correct-horse"
MODULES = Path("/usr/lib/dovecot")
"""Where Debian's Dovecot looks for its processes and modules, whatever its settings say."""
NOBODY = 65_534
"""Dovecot serves no mails of root."""
_SETTINGS = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap
default_internal_user = root
default_internal_group = root
default_login_user = nobody
disable_plaintext_auth = no
stats_writer_socket_path =
mail_location = maildir:{folder}/mails
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home={folder}/mails
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
"""
_TLS = """\
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/cert.pem
"""
_TOKENS = """\
auth_mechanisms = plain xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2
}}
"""
_INTROSPECTION = """\
introspection_url = {url}
introspection_mode = auth
username_attribute = username
active_attribute = active
active_value = true
"""


class Dovecot:
    """Serves INBOX of USER on 127.0.0.1 at `port`, between `with` and its end; skips the test, saying why, where it can't."""

    def __init__(self, cert: trustme.LeafCert | None = None, tokens: str = "", capabilities: str = "") -> None:
        """`cert`: it speaks TLS at `tls_port`. `tokens`: the URL that says to whom an access token belongs, for XOAUTH2.
        `capabilities`: instead of Dovecot's own."""
        self._programs = program("doveconf"), program("dovecot")
        self._cert, self._tokens, self._capabilities = cert, tokens, capabilities
        if not MODULES.is_dir():
            pytest.skip(f"no {MODULES} here (.ci/tools puts it there, as root)")
        if os.getuid():
            pytest.skip("only root can start Dovecot, which serves each user as its own")
        self.port = free_port()
        self.tls_port = free_port() if cert else 0
        self._names = count()

    def __enter__(self) -> Dovecot:
        self._folder = Path(tempfile.mkdtemp(prefix="imap"))  # short: sockets lie below it, whose names have 107 bytes at most
        self._folder.chmod(0o755)
        self._mails = self._folder / "mails"
        for name in ("", "tmp", "new", "cur"):
            (self._mails / name).mkdir()
            os.chown(self._mails / name, NOBODY, NOBODY)
        (self._folder / "dovecot.conf").write_text(self._settings())
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def _settings(self) -> str:
        settings = _SETTINGS.format(
            folder=self._folder, password=PASSWORD, nobody=NOBODY, port=self.port, tls_port=self.tls_port
        )  # fmt: skip
        if self._capabilities:
            settings += f"imap_capability = {self._capabilities}\n"
        if self._tokens:
            (self._folder / "oauth2").write_text(_INTROSPECTION.format(url=self._tokens))
            settings = _TOKENS.format(folder=self._folder) + settings
        if self._cert is None:
            return settings + "ssl = no\n"
        self._cert.private_key_and_cert_chain_pem.write_to_path(self._folder / "cert.pem")
        return settings + _TLS.format(folder=self._folder)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Also after `stop`, with the same mails and the same UIDs."""
        settings = str(self._folder / "dovecot.conf")
        reader, server = self._programs
        command = [reader, "-c", settings, "-p", "-e", server, "-F", "-c", settings]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for("Dovecot greets", self._greets, 30)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends it and every connection."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                return connection.recv(4) == b"* OK"
        except OSError:
            return False

    def deliver(self, mail: bytes) -> str:
        """Puts a mail into the folder, as a server that receives it; returns its name, for `delete`."""
        name = f"{1_772_000_000 + next(self._names)}.test"
        path = self._mails / "tmp" / name
        path.write_bytes(mail)
        os.chown(path, NOBODY, NOBODY)
        path.rename(self._mails / "new" / name)
        return name

    def delete(self, name: str) -> None:
        """Takes a mail out of the folder, as another program of the same user."""
        found = [*self._mails.glob(f"new/{name}*"), *self._mails.glob(f"cur/{name}*")]
        assert len(found) == 1, f"{len(found)} mails of the name {name}"
        found[0].unlink()

    def rebuild(self) -> None:
        """Forgets the UIDs, as a folder that was restored or moved: it gets a new UIDVALIDITY, and ends every connection."""
        self.stop()
        for path in (*self._mails.glob("dovecot-uidlist"), *self._mails.glob("dovecot.index*")):
            path.unlink()
        self.start()
