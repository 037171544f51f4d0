"""The state folder is made, checked and locked before anything is served; each refusal says what to do."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.core.organization import Node
from bridgehead.process import state_directory


def node(path: Path, **more: object) -> Node:
    return Node("S", str(path), **more)  # type: ignore[arg-type]  # each caller names one field


def test_state_directory_is_made_with_private_folders(tmp_path: Path) -> None:
    lock = state_directory.prepare(node(tmp_path / "a" / "state"))
    for name in ("spool", "tracking", "badmail", "damaged"):
        assert stat.S_IMODE((tmp_path / "a" / "state" / name).stat().st_mode) == 0o700
    os.close(lock)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_state_directory_lets_other_accounts_through_to_the_sockets(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        os.close(state_directory.prepare(node(tmp_path / "state")))
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o755


def test_state_directory_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o750)
    os.close(state_directory.prepare(node(tmp_path / "state")))
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o750


def test_state_directory_serves_one_server_at_a_time(tmp_path: Path) -> None:
    lock = state_directory.prepare(node(tmp_path))
    with pytest.raises(MachineError, match="used by another running server: stop it, or give this one its own"):
        state_directory.prepare(node(tmp_path))
    os.close(lock)
    os.close(state_directory.prepare(node(tmp_path)))


def test_state_directory_must_leave_room_for_the_names_of_its_sockets(tmp_path: Path) -> None:
    longest = Path("/" + "x" * (state_directory.PATH_OCTETS_MAX - 1))
    with pytest.raises(MachineError, match="is too long"):
        state_directory.prepare(node(Path(f"{longest}y")))
    with socket.socket(socket.AF_UNIX) as possible, pytest.raises(FileNotFoundError):
        possible.bind(str(longest / "control.sock"))  # not refused for its length


def test_state_directory_names_the_key_when_it_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"set state_dir in \[node\]"):
        state_directory.prepare(node(tmp_path / "file"))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="this machine has no file system in memory")
def test_state_directory_in_memory_is_refused_unless_the_file_says_it_may_be() -> None:
    path = Path("/dev/shm") / f"bridgehead-test-{os.getpid()}"
    try:
        with pytest.raises(MachineError, match="a power cut would empty it"):
            state_directory.prepare(node(path))
        os.close(state_directory.prepare(node(path, volatile_state=True)))
    finally:
        for entry in sorted(path.rglob("*"), reverse=True):
            entry.rmdir() if entry.is_dir() else entry.unlink()
        path.rmdir()


def test_state_directory_says_that_the_user_is_unknown(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        os.close(state_directory.prepare(node(tmp_path, user="nobody-of-this-name")))  # only root gives folders away
        return
    with pytest.raises(MachineError, match="no user 'nobody-of-this-name'"):
        state_directory.prepare(node(tmp_path, user="nobody-of-this-name"))


def test_state_directory_gives_a_file_to_the_user_that_serves_where_it_can(tmp_path: Path) -> None:
    (tmp_path / "control.sock").touch()
    state_directory.give(tmp_path / "control.sock", "")
    assert (tmp_path / "control.sock").owner() == pwd.getpwuid(os.geteuid()).pw_name
    state_directory.give(tmp_path / "control.sock", "nobody")
    owner = (tmp_path / "control.sock").stat()
    nobody = pwd.getpwnam("nobody")
    if os.geteuid() == 0:
        assert (owner.st_uid, owner.st_gid) == (nobody.pw_uid, nobody.pw_gid)
    else:
        assert owner.st_uid == os.geteuid()
