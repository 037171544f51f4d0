"""What the processes load: an SMTP worker is small, because there is one a core and each restarts quickly."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.source import PACKAGE

FORBIDDEN = {"fastapi", "starlette", "uvicorn", "rich", "typer", "pydantic", "tomlkit", "email.policy", "jinja2"}
SCRIPT = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*names: str) -> set[str]:
    """Names of all modules that importing some brings into a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_worker_loads_neither_web_nor_terminal_nor_configuration_libraries() -> None:
    assert loaded("bridgehead.process.worker") & FORBIDDEN == set()


@pytest.mark.parametrize("package", ["core", "smtp"])
def test_core_and_smtp_load_nothing_that_does_input_or_output(package: str) -> None:
    names = [f"bridgehead.{package}.{path.stem}" for path in (PACKAGE / package).glob("[a-z]*.py")]
    assert loaded(*names) & (FORBIDDEN | {"asyncio", "ssl", "sqlite3", "logging"}) == set()
