"""TLS for clients other than librdkafka, from librdkafka's settings; and the reason for a refused certificate."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from pipeline.config.settings import KafkaConfig

_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
_PORT = 9092
_TIMEOUT_S = 2.0
_UNKNOWN_CA = range(18, 22)
"""OpenSSL's codes for a certificate whose CA is not among those that the client trusts."""


def tls_context(client: KafkaConfig) -> ssl.SSLContext | None:
    """The TLS context for these settings of librdkafka; None without TLS."""
    if not client["security.protocol"].endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=client.get("ssl.ca.location"))
    if certificate := client.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, client.get("ssl.key.location"), client.get("ssl.key.password"))
    return context


def unreadable_file(client: KafkaConfig) -> str:
    """The first certificate or key file that can't be read, and why; blank when all can be. librdkafka names no file."""
    for path in filter(None, map(client.get, _FILES)):
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            return f"{path}: {error.strerror}"
    return ""


def certificate_problem(client: KafkaConfig) -> str:
    """Why a broker's certificate is refused, as "certificate has expired"; blank when none is, or no broker answers.

    librdkafka reports every refused certificate in the same words. Blocks for two seconds a broker at most.
    """
    if (context := tls_context(client)) is None:
        return ""
    for address in client["bootstrap.servers"].split(","):
        url = urlsplit("//" + address.strip().rpartition("://")[2])
        try:
            with socket.create_connection((url.hostname or "", url.port or _PORT), _TIMEOUT_S) as plain:
                context.wrap_socket(plain, server_hostname=url.hostname).close()
        except ssl.SSLCertVerificationError as error:
            hint = "; is its CA in kafka.ssl_ca?" if error.verify_code in _UNKNOWN_CA else ""
            return error.verify_message.rstrip(".") + hint
        except (OSError, ValueError):
            continue
    return ""
