"""`bridgehead user`: accounts in a file, passwords from standard input or a terminal, never from arguments."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bridgehead.control.accounts import AccountsFile, is_password_of
from tests.cli.calling import called, configuration


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file with one account, bob."""
    path = tmp_path / "users.txt"
    assert called("user", "add", "bob", "--file", path, stdin=b"first\n").code == 0
    return path


def password_fits(path: Path, name: str, password: str) -> bool:
    """Whether the account has this password."""
    (account,) = [one for one in AccountsFile(path).read() if one.name == name]
    return is_password_of(account.password_hash, password)


def test_add_takes_one_line_of_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    came = called("user", "add", "app@contoso.com", "--file", path, stdin=b"open sesame\r\nand more\n")
    assert came.out == f"added app@contoso.com to {path}; a running server takes it at its next reload (SIGHUP)\n"
    assert password_fits(path, "app@contoso.com", "open sesame")


def test_add_of_an_existing_name_changes_nothing(users: Path) -> None:
    before = users.read_bytes()
    came = called("user", "add", "bob", "--file", users, stdin=b"second\n")
    advice = "`bridgehead user passwd` changes its password"
    assert (came.code, came.err) == (1, f"bridgehead: {users} has an account 'bob' already: {advice}\n")
    assert users.read_bytes() == before


def test_passwd_changes_the_password(users: Path) -> None:
    came = called("user", "passwd", "bob", "--file", users, stdin=b"second\n")
    assert (came.code, password_fits(users, "bob", "first")) == (0, False)
    assert password_fits(users, "bob", "second")


def test_remove_takes_the_account_out(users: Path) -> None:
    assert called("user", "remove", "bob", "--file", users).code == 0
    assert AccountsFile(users).read() == ()


@pytest.mark.parametrize("verb", ["remove", "passwd"])
def test_a_name_that_is_none_ends_with_1(users: Path, verb: str) -> None:
    came = called("user", verb, "eve", "--file", users, stdin=b"x\n")
    assert (came.code, came.err) == (
        1,
        f"bridgehead: {users} has no account 'eve': `bridgehead user list` shows them\n",
    )


def test_list_shows_names_and_never_hashes(users: Path) -> None:
    called("user", "add", "app@contoso.com", "--file", users, stdin=b"x\n")
    came = called("user", "list", "--file", users)
    assert (came.code, came.out) == (0, "bob\napp@contoso.com\n")


def test_list_writes_json(users: Path) -> None:
    assert json.loads(called("user", "list", "--file", users, "--json").out) == [{"name": "bob", "scram": True}]


def test_list_ends_with_1_where_there_are_none(tmp_path: Path) -> None:
    came = called("user", "list", "--file", tmp_path / "users.txt")
    assert (came.code, came.out) == (1, f"no accounts in {tmp_path}/users.txt\n")


def test_without_a_file_accounts_are_those_of_the_console(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    came = called("user", "add", "admin", "--config", config, "--json", stdin=b"x\n")
    accounts = tmp_path / "state" / "accounts.txt"
    assert json.loads(came.out) == {"name": "admin", "file": str(accounts), "done": "added"}
    assert accounts.stat().st_mode & 0o077 == 0


def test_the_first_console_account_may_come_before_the_first_start(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    (tmp_path / "state").rmdir()
    assert called("user", "add", "admin", "--config", config, stdin=b"x\n").code == 0


MISTAKES = [
    ("no password", ("add", "app"), b"", "standard input holds no password: it must be its first line", 64),
    ("an empty password", ("add", "app"), b"\n", "standard input holds no password: it must be its first line", 64),
    ("a name with a colon", ("add", "a:b"), b"x\n", "the name of an account has letters, digits and", 64),
    ("no name", ("add",), b"x\n", "Missing argument 'NAME'.", 64),
    ("a password as argument", ("add", "app", "secret"), b"", "Got unexpected extra argument (secret)", 64),
    ("a password too long", ("add", "app"), b"x" * 2000 + b"\n", "a password has 1 to 255 octets", 2),
    ("a password with a NUL", ("add", "app"), b"a\0b\n", "a password is one line of text", 2),
]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message", "code"),
    [mistake[1:] for mistake in MISTAKES],
    ids=[mistake[0] for mistake in MISTAKES],
)
def test_mistakes_are_named_and_change_nothing(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes, message: str, code: int
) -> None:
    path = tmp_path / "users.txt"
    came = called("user", *arguments, "--file", path, stdin=stdin)
    assert (came.code, came.out, path.exists()) == (code, "", False)
    assert message in came.err


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    came = called("user", "add", "app", "--file", tmp_path / "none" / "users.txt", stdin=b"x\n")
    assert came.code == 69
    assert came.err == (
        f"bridgehead: {tmp_path}/none/users.txt cannot be changed: No such file or directory."
        " Its folder must be one that you may write to\n"
    )


def on_a_terminal(path: Path, *lines: str) -> tuple[int, str]:
    """`user add bob` on a terminal of its own where someone types; the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bridgehead.cli.main", "user", "add", "bob", "--file", str(path)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        for line in lines:
            while not shown.endswith(b": "):
                shown += os.read(ours, 1024)
            os.write(ours, line.encode() + b"\n")
            shown += b"\n"
        try:
            while piece := os.read(ours, 1024):
                shown += piece
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    return process.returncode, shown.decode()


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    code, shown = on_a_terminal(path, "open sesame", "open sesame")
    assert code == 0
    assert "Password for bob: " in shown
    assert "sesame" not in shown
    assert password_fits(path, "bob", "open sesame")


def test_on_a_terminal_two_different_passwords_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    code, shown = on_a_terminal(path, "open sesame", "open sesam")
    assert (code, path.exists()) == (64, False)
    assert "the two passwords are not the same; nothing was changed" in shown
