"""`bridgehead demo` as a new user runs it: every path of mail is seen, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAM = Path(sys.executable).with_name("bridgehead")
WORDS_OF_EVERY_PATH = (
    "delivered",
    "deferred",
    "failed",
    "dsn",
    "refused",
    "rerouted",
    "connector-down",
    "bridgehead explain",
    "bridgehead queue list",
    "bridgehead trace",
)


def test_demo_shows_every_path_of_mail_and_leaves_nothing_behind() -> None:
    with TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:  # a short path, for the sockets in it
        run_in(Path(folder))


def run_in(folder: Path) -> None:
    done = subprocess.run(
        [str(PROGRAM), "demo", "--seconds", "10", "--plain"],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [word for word in WORDS_OF_EVERY_PATH if word not in done.stdout] == []
    assert list(folder.iterdir()) == []
