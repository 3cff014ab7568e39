"""TLS for clients that are not librdkafka, from its own settings."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any


def tls_context(client: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What these settings of librdkafka ask for; None: no TLS."""
    if not client["security.protocol"].endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=client.get("ssl.ca.location"))
    if certificate := client.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, client.get("ssl.key.location"), client.get("ssl.key.password"))
    return context
