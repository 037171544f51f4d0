"""Settings of the whole suite.

Hypothesis measures wall time against its deadline; on a machine that does other work too that fails tests at random.
pytest-timeout bounds each test instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A program that is tested within this process may set the umask of all tests behind it."""
    former = os.umask(0o022)
    yield
    os.umask(former)
