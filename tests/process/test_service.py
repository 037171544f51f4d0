"""What `bridgehead serve` says, and how it ends, where it cannot start; and whose its files are."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bridgehead.process.service import CANNOT_LISTEN_EXIT, CONFIGURATION_EXIT, STATE_EXIT, serve
from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead


def write(folder: Path, *, listen: str = "127.0.0.1:0", more: str = "") -> Path:
    path = folder / "bridgehead.toml"
    path.write_text(
        f'[node]\nstate_dir = "{folder / "state"}"\nconsole = ""\n{more}\n'
        f'[[virtual_server]]\nname = "Default"\nlisten = ["{listen}"]\nfqdn = "mail.contoso.com"\n'
    )
    return path


def wrong_key(folder: Path) -> Path:
    return write(folder, more='stat_dir = "/x"')


def wrong_toml(folder: Path) -> Path:
    path = write(folder)
    path.write_text("[node\n")
    return path


def no_such_file(folder: Path) -> Path:
    return folder / "missing.toml"


def state_is_a_file(folder: Path) -> Path:
    (folder / "state").touch()
    return write(folder)


def no_such_user(folder: Path) -> Path:
    return write(folder, more='user = "nobody-of-this-name"')


CASES: list[tuple[Callable[[Path], Path], int, str]] = [
    (wrong_key, CONFIGURATION_EXIT, 'did you mean "state_dir"'),
    (wrong_toml, CONFIGURATION_EXIT, "bridgehead.toml:1:"),
    (no_such_file, CONFIGURATION_EXIT, "missing.toml"),
    (state_is_a_file, STATE_EXIT, "set state_dir in [node]"),
    pytest.param(  # type: ignore[list-item]  # a case with a condition
        no_such_user,
        STATE_EXIT,
        "no user 'nobody-of-this-name'",
        marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user"),
    ),
]


@pytest.mark.parametrize(("make", "code", "words"), CASES)
def test_service_ends_with_one_clear_message_for(
    make: Callable[[Path], Path], code: int, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert serve(make(tmp_path)) == code
    assert words in capfd.readouterr().err


def test_service_says_that_a_port_is_in_use(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert serve(write(tmp_path, listen=f"127.0.0.1:{port}")) == CANNOT_LISTEN_EXIT
    assert f"cannot listen on 127.0.0.1 port {port}: another program listens there" in capfd.readouterr().err


def test_service_warns_of_its_configuration_in_lines_of_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever reads standard error as JSON meets no other line of a server that runs."""
    path = write(tmp_path, more='[[accepted_domain]]\ndomain = "contoso.com"')
    (tmp_path / "state").touch()  # so that it ends by itself
    assert serve(path, json_logs=True) == STATE_EXIT
    *logged, last = capfd.readouterr().err.splitlines()
    assert {json.loads(line)["event"] for line in logged} >= {"configuration-warning"}
    assert last.startswith("bridgehead: ")


def test_service_makes_files_that_are_nobody_elses_and_sockets_that_are(new_bridgehead: NewBridgehead) -> None:
    server = new_bridgehead()
    server.configure("", workers=1)
    server.start()
    wait_until((server.state / "tracking" / "w0.db-wal").exists, "the tracking store")
    found = {path.relative_to(server.state): path.stat().st_mode for path in server.state.rglob("*")}
    sockets = {str(path): stat.S_IMODE(mode) for path, mode in found.items() if stat.S_ISSOCK(mode)}
    assert sockets == {"control.sock": 0o660, "submit.sock": 0o666}
    assert [str(path) for path, mode in found.items() if mode & 0o077 and str(path) not in sockets] == []
    assert {"p0.db", "w0.db"} <= {path.name for path in found}
    assert server.state.stat().st_mode & 0o055 == 0o055, "the sockets are reached through it"
