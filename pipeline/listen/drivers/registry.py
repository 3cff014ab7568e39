"""The driver of each platform."""

from __future__ import annotations

from importlib import import_module

from pipeline.listen.driver import Driver, Reach
from pipeline.listen.sources_file import AnySource


def make_driver(source: AnySource, reach: Reach) -> Driver:
    """The source's driver. Raises NoCredentials where the platform needs a token and the source names none."""
    driver: Driver = import_module(f"pipeline.listen.drivers.{source.platform}").make(source, reach)
    return driver
