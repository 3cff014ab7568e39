"""Tests here may be coroutines."""

import time

import pytest

from tests.support.coroutines import pytest_pyfunc_call  # noqa: F401  # a hook


@pytest.fixture(autouse=True)
def _now(request: pytest.FixtureRequest) -> None:
    """NOW of a file is when its test runs, not when it was collected: the suite takes half an hour."""
    if isinstance(getattr(request.module, "NOW", None), float):
        request.module.NOW = float(int(time.time()))
