"""Accounts: what a line holds, and files that are changed without ever being half written."""

from __future__ import annotations

import base64
import hashlib
import hmac
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.control import accounts
from bridgehead.control.accounts import Account, AccountsFile, is_password_of, make_account, name_fault, parse_account
from bridgehead.core.error import ConfigurationError, MachineError


def _scram_proves(scram: str, password: str) -> bool:
    """Whether the stored keys are those that RFC 5802 3 makes of the password."""
    mechanism, iterations_and_salt, keys = scram.split("$")
    iterations, salt = iterations_and_salt.split(":")
    stored_key, server_key = (base64.b64decode(key) for key in keys.split(":"))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return (
        mechanism == "SCRAM-SHA-256"
        and int(iterations) >= 4096
        and hashlib.sha256(client_key).digest() == stored_key
        and hmac.digest(salted, b"Server Key", "sha256") == server_key
    )


def test_account_proves_its_password_in_both_ways() -> None:
    account = make_account("app", "correct horse")
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert is_password_of(account.password_hash, "correct horse")
    assert not is_password_of(account.password_hash, "correct hors")
    assert _scram_proves(account.scram, "correct horse")


def test_account_is_read_back_as_written() -> None:
    account = make_account("DOMAIN\\app@contoso.com", "x")
    assert parse_account(str(account)) == account
    assert parse_account(f"app:{account.password_hash}") == Account("app", account.password_hash)


def test_account_shows_no_hash_in_its_repr() -> None:
    assert "$" not in repr(make_account("app", "x"))


def test_a_hash_that_is_none_fits_no_password() -> None:
    assert not is_password_of("", "x")
    assert not is_password_of("$argon2id$v=19$m=8,t=1,p=1$AA$AA", "x")
    assert not is_password_of(make_account("app", "x").password_hash, "x" * 2000)


def test_a_password_is_the_same_however_its_letters_are_composed() -> None:
    account = make_account("app", "pa\u0308ss\u00a0wort")
    for password in ("päss wort", "pa\u0308ss wort", "päss\u3000wort"):
        assert is_password_of(account.password_hash, password)
    for password in ("pass wort", "Päss wort", "pässwort"):
        assert not is_password_of(account.password_hash, password)


@pytest.mark.parametrize("name", ["app", "a", "a.b-c_d@e+f=g", "DOM\\u", "9", "x" * 128])
def test_name_may_be(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize("name", ["", "a:b", "a b", "#a", "-a", "ä", "a\n", "a\0", "x" * 129])
def test_name_may_not_be(name: str) -> None:
    assert name_fault(name)
    with pytest.raises(ConfigurationError):
        make_account(name, "x")


@pytest.mark.parametrize("password", ["", "a\nb", "a\0", "a\tb", "x" * 256, "ä" * 128, "\ud800"])
def test_password_may_not_be(password: str) -> None:
    with pytest.raises(ConfigurationError):
        make_account("app", password)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("app", "no account"),
        ("app:", "no argon2 hash"),
        ("app:xyzzy", "no argon2 hash"),
        ("app:$2b$12$abc", "no argon2 hash"),
        ("a b:$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "letters, digits"),
        ("app:$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA:xyzzy", "damaged SCRAM part"),
    ],
)
def test_wrong_line_says_why_and_shows_nothing(line: str, says: str) -> None:
    fault = parse_account(line)
    assert isinstance(fault, str)
    assert says in fault
    assert "xyzzy" not in fault


@given(st.text(max_size=80))
def test_no_line_makes_the_parser_raise(line: str) -> None:
    assert isinstance(parse_account(line), Account | str)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts are made without the cost of hashing."""

    def make(name: str, password: str) -> Account:
        return Account(name, f"$argon2id$v=19$m=8,t=1,p=1$AAAA${password}")

    monkeypatch.setattr(accounts, "make_account", make)


@pytest.fixture
def users(tmp_path: Path, quick: None) -> AccountsFile:
    return AccountsFile(tmp_path / "users.txt")


def _names(file: AccountsFile) -> list[str]:
    return [account.name for account in file.read()]


def test_file_that_is_not_there_has_no_accounts(users: AccountsFile) -> None:
    assert users.read() == ()
    assert not users.remove("app")
    assert not users.set_password("app", "x")


def test_accounts_are_added_in_order_to_a_private_file(users: AccountsFile, tmp_path: Path) -> None:
    assert users.add("b", "x")
    assert users.add("a", "x")
    assert _names(users) == ["b", "a"]
    assert stat.S_IMODE((tmp_path / "users.txt").stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.txt"]


def test_adding_an_existing_account_changes_nothing(users: AccountsFile, tmp_path: Path) -> None:
    users.add("a", "old")
    before = (tmp_path / "users.txt").stat()
    assert not users.add("a", "new")
    after = (tmp_path / "users.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_comments_and_order_are_kept(users: AccountsFile, tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text(
        "# scanners\na:$argon2id$v=19$m=8,t=1,p=1$AAAA$old\n\n# people\nb:$argon2id$v=19$m=8,t=1,p=1$AAAA$x"
    )
    assert users.set_password("a", "new")
    assert users.remove("b")
    assert file.read_text() == "# scanners\na:$argon2id$v=19$m=8,t=1,p=1$AAAA$new\n\n# people\n"


def test_group_may_still_read_what_it_could_and_others_never(users: AccountsFile, tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.touch()
    file.chmod(0o666)
    users.add("a", "x")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_link_to_the_file_stays_a_link(users: AccountsFile, tmp_path: Path) -> None:
    (tmp_path / "users.txt").symlink_to(tmp_path / "real.txt")
    users.add("a", "x")
    assert (tmp_path / "users.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text().startswith("a:")


def test_damaged_line_is_named_and_the_file_left_alone(users: AccountsFile, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("# x\nxyzzy\n")
    with pytest.raises(ConfigurationError, match=r"users\.txt:2: the line is no account"):
        users.add("a", "x")
    assert (tmp_path / "users.txt").read_text() == "# x\nxyzzy\n"


def test_file_that_cannot_be_written_says_so(tmp_path: Path, quick: None) -> None:
    with pytest.raises(MachineError, match="cannot be changed"):
        AccountsFile(tmp_path / "none" / "users.txt").add("a", "x")


def test_accounts_added_at_the_same_time_are_all_kept(users: AccountsFile) -> None:
    threads = [threading.Thread(target=users.add, args=(f"u{number}", "x")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(_names(users)) == [f"u{number}" for number in range(8)]
