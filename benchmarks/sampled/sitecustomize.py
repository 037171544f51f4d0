"""Samples the main thread of a Bridgehead worker by its processor time. Found by way of PYTHONPATH, for P14 alone.

The kernel sends SIGPROF to the main thread for each millisecond (at its tick) that this thread, not the process, has
used; the part to which the innermost known module on its stack belongs is counted. SIGUSR2 writes the counts and the
processor time of each thread, by name, to `$BRIDGEHEAD_SAMPLES/PID.json`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

NANOSECONDS: Final = 1_000_000
CLOCK_THREAD_CPUTIME_ID: Final = 3
SIGEV_THREAD_ID: Final = 4
PACKAGE: Final = f"{os.sep}bridgehead{os.sep}"
PARTS: Final = (
    ("accept", ("inbound/", "smtp/server", "smtp/command", "smtp/data_reader", "smtp/offer", "core/policy")),
    ("accept", ("smtp/parameters", "smtp/receive_buffer", "core/header")),
    ("commit", ("spool/",)),
    ("route", ("core/routing", "core/pattern", "core/address_space", "outbound/router")),
    ("tracking", ("control/", "core/tracking")),
    ("deliver", ("smtp/client", "smtp/reply_reader", "net/")),
    (
        "deliver",
        tuple(f"outbound/{name}" for name in ("dialer", "connect", "hosts", "smtp_channel", "line", "content")),
    ),
    ("deliver", tuple(f"outbound/{name}" for name in ("destination", "timeouts", "loader"))),
    ("queue", ("outbound/",)),
)
"""Beginnings of module paths; the first that fits counts."""
LOOP: Final = "event loop"
"""None of them is on the stack."""


class SignalEvent(ctypes.Structure):
    """`struct sigevent` of Linux, of which only this much is used."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_char * 44),
    )


class TimerSpecification(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("interval_seconds", "interval_nanoseconds", "seconds", "nanoseconds")
    )


counts: Counter[str] = Counter()
modules: Counter[str] = Counter()
known: dict[str, str] = {}


def part_of(path: str) -> str:
    """The part a file belongs to; empty where it decides nothing."""
    found = known.get(path)
    if found is None:
        module = path.rpartition(PACKAGE)[2] if PACKAGE in path else ""
        found = next((part for part, heads in PARTS if module.startswith(heads)), "") if module else ""
        known[path] = found
    return found


def sample(_number: int, frame: FrameType | None) -> None:
    """Count what the main thread is at."""
    while frame is not None:
        path = frame.f_code.co_filename
        if part := part_of(path):
            counts[part] += 1
            modules[path.rpartition(PACKAGE)[2]] += 1
            return
        frame = frame.f_back
    counts[LOOP] += 1


def write(_number: int, _frame: FrameType | None) -> None:
    """Write all counts since the start."""
    threads: Counter[str] = Counter()
    for thread in threading.enumerate():
        if thread.ident is not None:
            name = thread.name.split(maxsplit=1)[0].partition("_")[0]
            threads[name] += round(time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident)))
    path = Path(os.environ["BRIDGEHEAD_SAMPLES"]) / f"{os.getpid()}.json"
    partial = path.with_suffix(".new")
    partial.write_text(json.dumps({"counts": counts, "modules": modules, "threads": threads}))
    partial.rename(path)


def arm() -> None:
    """Start the timer of this thread."""
    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR2, write)
    system = ctypes.CDLL(None, use_errno=True)
    event = SignalEvent(None, signal.SIGPROF, SIGEV_THREAD_ID, threading.get_native_id(), b"")
    timer = ctypes.c_void_p()
    if system.timer_create(CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(timer)) != 0:
        raise OSError(ctypes.get_errno(), "timer_create")
    times = TimerSpecification(0, NANOSECONDS, 0, NANOSECONDS)
    if system.timer_settime(timer, 0, ctypes.byref(times), None) != 0:
        raise OSError(ctypes.get_errno(), "timer_settime")


if "BRIDGEHEAD_SAMPLES" in os.environ and "bridgehead.process.worker_main" in sys.orig_argv:
    arm()
