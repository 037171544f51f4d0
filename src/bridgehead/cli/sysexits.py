"""Exit codes of sysexits.h, which programs that call `sendmail` and `mailq` know how to read."""

from __future__ import annotations

import sys
from enum import IntEnum


class Sysexit(IntEnum):
    """What became of the call."""

    OK = 0
    USAGE = 64
    DATA = 65
    """The message, or an address, is wrong: trying again does not help."""
    TEMPORARY = 75
    """Nothing was accepted; the program may try again."""
    NO_PERMISSION = 77
    CONFIGURATION = 78


def failed(command: str, message: str, code: int) -> int:
    """Say on standard error what is wrong, and return the code to end with."""
    sys.stderr.write(f"{command}: {message}\n")
    return code
