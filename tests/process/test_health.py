"""What keeps new mail out is told, and logged once at each change."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import pytest

from bridgehead.process import free_space
from bridgehead.process.child_process import ChildProcess
from bridgehead.process.free_space import BELIEVED_SECONDS, FreeSpace
from bridgehead.process.health import MEBIBYTE, Health


class Worker:
    """As much of a `ChildProcess` as is asked."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.is_ready = is_ready
        self.fault = ""


class Machine:
    """A server of two workers on a disk whose reserve the test sets."""

    def __init__(self, folder: Path) -> None:
        self.reserve = 0
        self.now = 0.0
        self.workers: list[Worker | None] = [Worker(), Worker()]
        space = FreeSpace(folder, lambda: self.reserve, lambda: self.now)
        self.health = Health(space, lambda: cast("list[ChildProcess | None]", self.workers))

    def keeps(self, reserve: int) -> None:
        """Another reserve, and so much time that it is seen."""
        self.reserve = reserve
        self.now += BELIEVED_SECONDS
        self.health.room()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.__dict__["event"]) for record in caplog.records]


def test_health_has_nothing_to_say_of_a_server_that_is_well(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.keeps(0)
    assert machine.health.reasons() == ()
    assert logged(caplog) == []


def test_health_tells_of_a_full_disk_and_logs_each_change_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for reserve in (2**62, 2**62, 2**62, 0, 0):
        machine.keeps(reserve)
        assert bool(machine.health.reasons()) is bool(reserve)
    assert logged(caplog) == [("ERROR", "disk-full"), ("WARNING", "disk-room")]
    assert "less than the 4,398,046,511,104 MB that min_free_mb keeps: new mail gets 452 4.3.1" in caplog.text


def test_health_is_quiet_while_the_disk_hovers_around_its_reserve(
    machine: Machine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 0
    monkeypatch.setattr(free_space, "free_bytes", lambda _: free * MEBIBYTE)
    for free in (257, 255, 257, 256, 255, 281, 282, 256):
        machine.keeps(256 * MEBIBYTE)
        if free == 281:
            (reason,) = machine.health.reasons()
            assert reason.startswith(
                "the disk has 281 MB free, and had less than the 256 MB that min_free_mb keeps: "
            )
            assert reason.endswith("new mail gets 452 4.3.1 until it has 282 MB, deliveries go on")
    assert logged(caplog) == [("ERROR", "disk-full"), ("WARNING", "disk-room")]


def test_health_tells_of_a_spool_that_cannot_be_written_and_logs_each_change_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine.health.spool_said(1, "disk I/O error")
    machine.health.spool_said(1, "database or disk is full")
    (reason,) = machine.health.reasons()
    assert reason.startswith("worker 1 cannot write its spool (database or disk is full): new mail gets 452 4.3.1")
    machine.health.spool_said(1, "")
    machine.health.spool_said(1, "")
    assert machine.health.reasons() == ()
    assert logged(caplog) == [("ERROR", "spool-unwritable"), ("WARNING", "spool-writable")]


def test_health_names_workers_that_do_not_accept_mail(machine: Machine) -> None:
    machine.workers = [None, Worker(is_ready=False)]
    assert machine.health.reasons() == tuple(f"worker {index} is not ready: see the log" for index in (0, 1))


def test_health_does_not_mind_a_worker_that_spoke_and_is_gone(machine: Machine) -> None:
    machine.workers = [None, Worker()]
    machine.health.spool_said(0, "disk I/O error")
    assert machine.health.reasons() == ("worker 0 is not ready: see the log",)


def test_health_tells_why_a_worker_cannot_start_until_it_does(machine: Machine) -> None:
    machine.health.worker_failed(0, "the disk gives nothing of p0.db")
    assert machine.health.reasons() == ()
    machine.workers[0] = None
    assert machine.health.reasons() == ("worker 0 cannot start: the disk gives nothing of p0.db",)
    assert machine.health.fault_of(0) == "the disk gives nothing of p0.db"
    machine.workers[0] = Worker()
    machine.health.worker_ready(0)
    machine.workers[0] = None
    assert machine.health.reasons() == ("worker 0 is not ready: see the log",)
    assert machine.health.fault_of(0) == ""
