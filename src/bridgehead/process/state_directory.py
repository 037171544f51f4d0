"""The state folder: made, checked and locked before anything is served.

Layout, all of it private to the user that serves:

    lock               held while a server runs
    control.sock       for the command line and the console
    submit.sock        for `sendmail`
    spool/             mail that was accepted and not yet delivered
    tracking/          what happened to which message
    badmail/           DSNs that could not be delivered
    damaged/           what could not be read any more
"""

from __future__ import annotations

import fcntl
import os
import pwd
from pathlib import Path
from typing import Final

from bridgehead.core.error import MachineError
from bridgehead.core.organization import Node
from bridgehead.spool.volume import is_volatile

PATH_OCTETS_MAX: Final = 107 - len("/control.sock")
"""Linux takes 108 octets for the path of a Unix socket, the NUL at its end included (unix(7))."""
UMASK: Final = 0o077
"""Of every process that serves: mail is nobody else's business. The sockets set the modes that they need."""
_FOLDERS: Final = ("spool", "tracking", "badmail", "damaged")


def prepare(node: Node) -> int:
    """Make the folder and lock it for this process; returns the descriptor that holds the lock.

    `MachineError` (exit 73) where it cannot be used, with what to do about it.
    """
    path = Path(node.state_dir)
    if len(os.fsencode(path)) > PATH_OCTETS_MAX:
        raise MachineError(
            f"state_dir {path} is too long: the sockets in it allow {PATH_OCTETS_MAX} octets. Choose a shorter folder"
        )
    try:
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(0o755)  # whatever the umask is: other accounts reach `submit.sock` through it
        for name in _FOLDERS:
            (path / name).mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MachineError(_advice(path, error)) from error
    _lock(lock, path)
    if not node.volatile_state and is_volatile(path):
        os.close(lock)
        raise MachineError(
            f"state_dir {path} lies in memory (tmpfs): a power cut would empty it, and with it all waiting mail."
            " Choose a folder on a disk, or set volatile_state = true in [node] if that is what you want"
        )
    if node.user:
        _give_to(path, node.user)
    return lock


def give(path: Path, user: str) -> None:
    """Let the user that serves own a file, if this process may give it away and there is such a user."""
    if user and os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise MachineError(
            f"state_dir {path} is used by another running server: stop it, or give this one its own state_dir"
        ) from error


def _give_to(path: Path, user: str) -> None:
    """Let the user that serves own the folder; only root can, and only root needs to."""
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise MachineError(f"user in [node]: this machine has no user {user!r}") from error
    if path.stat().st_uid == entry.pw_uid:
        return
    for folder, folders, files in os.walk(path):
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        for name in [*folders, *files]:
            os.chown(Path(folder, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _advice(path: Path, error: OSError) -> str:
    return (
        f"cannot use state_dir {path}: {error.strerror}. It must be a folder that uid {os.geteuid()} may write to;"
        " set state_dir in [node], or $STATE_DIRECTORY"
    )
