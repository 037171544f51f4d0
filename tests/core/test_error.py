"""Whose fault it is can be told by type, and everything raised on purpose is caught as one kind."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import bridgehead
from bridgehead.core.error import BridgeheadError, ConfigurationError, MachineError, ProtocolError

FAULTS = (ConfigurationError, MachineError, ProtocolError)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_except_catches_every_fault_and_no_defect(fault: type[BridgeheadError]) -> None:
    assert issubclass(fault, BridgeheadError)
    assert not issubclass(fault, (OSError, ValueError, AssertionError))


def test_the_faults_of_operator_machine_and_peer_exclude_each_other() -> None:
    for fault in FAULTS:
        assert [other for other in FAULTS if issubclass(fault, other)] == [fault]


def test_the_text_is_the_sentence_that_was_given() -> None:
    assert str(MachineError("port 25 is in use")) == "port 25 is in use"


def test_every_error_of_ours_has_one_party_at_fault_at_most() -> None:
    for found in pkgutil.walk_packages(bridgehead.__path__, "bridgehead."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    waiting, errors = [BridgeheadError], set[type[BridgeheadError]]()
    while waiting:
        error = waiting.pop()
        errors.add(error)
        waiting += error.__subclasses__()
    assert errors > {BridgeheadError, *FAULTS}
    for error in errors:
        assert len([fault for fault in FAULTS if issubclass(error, fault)]) <= 1, error
        assert error.__name__.endswith("Error")
