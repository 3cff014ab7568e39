"""Kafka with listeners that ask clients for credentials: the embedded broker's jars, with certificates made for the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pydantic import SecretStr

from pipeline.config.settings import KafkaSettings
from pipeline.embedded.broker import broker_answers, kafka_command
from pipeline.embedded.child import Child, free_port
from pipeline.embedded.guard import Guard

HOST, USER, PASSWORD = "127.0.0.1", "earshot", "the password of the tests"
PLAINTEXT, LOGIN, EXPIRED, MUTUAL = "PLAINTEXT", "LOGIN", "EXPIRED", "MUTUAL"
PROTOCOLS = {PLAINTEXT: "PLAINTEXT", LOGIN: "SASL_SSL", EXPIRED: "SASL_SSL", MUTUAL: "SSL"}
"""The listeners. The certificate of EXPIRED has expired; MUTUAL asks for the client's certificate."""
_MECHANISMS = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}
_MODULE = "org.apache.kafka.common.security"


class Certificates:
    """A CA, the certificates of a server and a client, and a CA that signed nothing; all as PEM files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ca = folder, trustme.CA()
        self.ca, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        self.client, self.client_key = folder / "client.pem", folder / "client-key.pem"
        self._ca.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        client = self._ca.issue_cert("worker@example.org")
        client.cert_chain_pems[0].write_to_path(self.client)
        client.private_key_pem.write_to_path(self.client_key)

    def server(self, listener: str, *, expired: bool = False) -> Path:
        """Writes the listener's key and certificate; the certificate's time was over yesterday when it is `expired`."""
        path = self._folder / f"{listener.lower()}.pem"
        now = datetime.now(UTC)
        end = now + timedelta(days=-1 if expired else 1)
        issued = self._ca.issue_cert(HOST, not_before=now - timedelta(days=2), not_after=end)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Java reads keys in PKCS #8 alone.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + b"".join(part.bytes() for part in issued.cert_chain_pems))
        return path


class SecureBroker:
    """A broker over `folder`, which must be empty. A `restart` puts new certificates and another password into force."""

    def __init__(self, folder: Path) -> None:
        self.password = PASSWORD
        """Of user earshot by mechanism PLAIN; by SCRAM it is always PASSWORD."""
        self.certificates = Certificates(folder)
        for listener, protocol in PROTOCOLS.items():
            if protocol.endswith("SSL"):
                self.certificates.server(listener, expired=listener == EXPIRED)
        self._ports = {listener: free_port() for listener in PROTOCOLS}
        self._controller_port = free_port()
        self._command = kafka_command(folder / "kafka", self._ports[PLAINTEXT], self._controller_port, None, print)
        self._guard = Guard()
        self._properties = Path(self._command[-1]).with_name("secure.properties")
        self._child = Child(
            "kafka", [*self._command[:-1], str(self._properties)], folder / "kafka.log", self._guard,
            broker_answers(self.bootstrap(PLAINTEXT)),
        )  # fmt: skip

    def bootstrap(self, listener: str) -> str:
        return f"{HOST}:{self._ports[listener]}"

    def login(self, listener: str = LOGIN, mechanism: str = "PLAIN", password: str = PASSWORD) -> KafkaSettings:
        """Settings that are right for a listener with a login."""
        return KafkaSettings.model_validate(
            {
                "bootstrap": self.bootstrap(listener), "security_protocol": PROTOCOLS[listener], "sasl_mechanism": mechanism,
                "sasl_username": USER, "sasl_password": SecretStr(password), "ssl_ca": self.certificates.ca,
            }
        )  # fmt: skip

    def mutual(self) -> KafkaSettings:
        """Settings that are right for the listener that asks for a certificate."""
        files = self.certificates
        return KafkaSettings(
            bootstrap=self.bootstrap(MUTUAL), security_protocol="SSL",
            ssl_ca=files.ca, ssl_certificate=files.client, ssl_key=files.client_key,
        )  # fmt: skip

    def start(self) -> None:
        self._properties.write_text(Path(self._command[-1]).read_text() + self._secured())
        self._child.start()
        self._child.wait_ready()
        admin = AdminClient({"bootstrap.servers": self.bootstrap(PLAINTEXT), "log_level": 0})
        for mechanism in _MECHANISMS.values():  # one a request: a user is altered once in each
            user = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
            admin.alter_user_scram_credentials([user])[USER].result(20)

    def restart(self) -> None:
        self._child.stop()
        self.start()

    def close(self) -> None:
        self._child.stop()
        self._guard.close()

    def _secured(self) -> str:
        listeners = ",".join(f"{name}://{self.bootstrap(name)}" for name in PROTOCOLS)
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in PROTOCOLS.items())
        lines = [
            f"listeners={listeners},CONTROLLER://{HOST}:{self._controller_port}",
            f"advertised.listeners={listeners}",
            f"listener.security.protocol.map=CONTROLLER:PLAINTEXT,{protocols}",
            "inter.broker.listener.name=PLAINTEXT",
        ]
        for name, protocol in PROTOCOLS.items():
            listener = f"listener.name.{name.lower()}"
            if protocol.endswith("SSL"):
                lines += _store(listener, "keystore", self.certificates.ca.with_name(f"{name.lower()}.pem"))
            if protocol.startswith("SASL"):
                lines += self._logins(listener)
        mutual = f"listener.name.{MUTUAL.lower()}"
        lines += [f"{mutual}.ssl.client.auth=required", *_store(mutual, "truststore", self.certificates.ca)]
        return "\n".join([*lines, ""])

    def _logins(self, listener: str) -> list[str]:
        plain = f'{_MODULE}.plain.PlainLoginModule required user_{USER}="{self.password}";'
        scram = f"{_MODULE}.scram.ScramLoginModule required;"
        return [
            f"{listener}.sasl.enabled.mechanisms={','.join(['PLAIN', *_MECHANISMS])}",
            f"{listener}.plain.sasl.jaas.config={plain}",
            *(f"{listener}.{mechanism.lower()}.sasl.jaas.config={scram}" for mechanism in _MECHANISMS),
        ]


def _store(listener: str, kind: str, path: Path) -> list[str]:
    return [f"{listener}.ssl.{kind}.type=PEM", f"{listener}.ssl.{kind}.location={path}"]


@contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Raises StackError when it can't start, as without Kafka's jars."""
    broker = SecureBroker(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
