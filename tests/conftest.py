"""Settings of the whole suite.

Hypothesis measures wall time against its deadline; on a machine that does other work too that fails tests at random.
pytest-timeout bounds each test instead.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
