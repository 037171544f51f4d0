"""`bridgehead serve`: from a configuration file to a running supervisor, with one clear message where it fails."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridgehead.control.configuration.find import find
from bridgehead.control.configuration.load import Configuration, Loaded, load
from bridgehead.control.log import set_up
from bridgehead.core.error import MachineError
from bridgehead.process import state_directory
from bridgehead.process.supervisor import Start, Supervisor

log: Final = logging.getLogger(__name__)

CONFIGURATION_EXIT: Final = 2
CANNOT_LISTEN_EXIT: Final = 69
STATE_EXIT: Final = 73


def serve(config: Path | None, *, json_logs: bool = False) -> int:
    """Serve until stopped; returns the exit code of the command."""
    path = find(str(config) if config else None, os.environ, uid=os.getuid())
    loaded = load(path)
    if loaded.configuration is None:
        sys.stderr.writelines(f"{issue}\n" for issue in loaded.issues)
        return CONFIGURATION_EXIT
    set_up(json=True if json_logs else None)
    for issue in loaded.issues:
        log.warning("%s", issue, extra={"event": "configuration-warning"})
    if os.geteuid() == 0 and not loaded.configuration.node.user:
        log.warning("serving as root: set user in [node], which serves as that user once the ports are bound")
    try:
        lock = state_directory.prepare(loaded.configuration.node)
    except MachineError as error:
        sys.stderr.write(f"bridgehead: {error}\n")
        return STATE_EXIT
    try:
        return _supervise(loaded.configuration, lambda: load(path), "json" if json_logs else "auto")
    finally:
        os.close(lock)


def _supervise(configuration: Configuration, load_again: Callable[[], Loaded], logs: str) -> int:
    node = configuration.node
    count = node.workers or os.cpu_count() or 1
    supervisor = Supervisor(Start(configuration, load_again, count, logs))
    try:
        supervisor.bind()
    except MachineError as error:
        sys.stderr.write(f"bridgehead: {error}\n")
        return CANNOT_LISTEN_EXIT
    os.umask(state_directory.UMASK)
    asyncio.run(supervisor.run())
    return 0
