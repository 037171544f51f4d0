"""Codes that old programs know."""

from __future__ import annotations

import os

import pytest

from bridgehead.cli.sysexits import Sysexit, failed


def test_codes_are_those_of_sysexits() -> None:
    assert (Sysexit.USAGE, Sysexit.DATA, Sysexit.TEMPORARY) == (os.EX_USAGE, os.EX_DATAERR, os.EX_TEMPFAIL)
    assert (Sysexit.NO_PERMISSION, Sysexit.CONFIGURATION) == (os.EX_NOPERM, os.EX_CONFIG)


def test_failure_is_said_on_standard_error_and_its_code_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert failed("mailq", "no server", Sysexit.TEMPORARY) == 75
    assert capsys.readouterr() == ("", "mailq: no server\n")
