"""The way to this machine's own addresses."""

from __future__ import annotations

import os

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def reach_loopback_directly() -> None:
    """Requests to this machine go past the proxy that the environment names, in this process and its children.

    Behind a proxy for the outside a stack on this machine would else never answer.
    """
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    missing = [] if spared.strip() == "*" else [host for host in LOOPBACK if host not in spared.split(",")]
    os.environ["no_proxy"] = ",".join(filter(None, [spared, *missing]))
