"""Accounts: names and password hashes in a text file, for SMTP AUTH (`users.txt`) and the console (`accounts.txt`).

A line is `NAME:$argon2id$…`, optionally followed by `:SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` (RFC 5803),
which lets a later mechanism prove a password without sending it. Empty lines and lines that begin with `#` are kept
where they are. A change rewrites the file in one step: a reader sees the old or the new content, never half of one.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bridgehead.core.error import ConfigurationError, MachineError
from bridgehead.core.prepared import prepared_password
from bridgehead.smtp.sasl_server import FIELD_MAX

NAME_LENGTH_MAX: Final = 128
PASSWORD_OCTETS_MAX: Final = FIELD_MAX
"""SMTP AUTH takes no longer one."""
CONSOLE_ACCOUNTS: Final = "accounts.txt"
"""Name of the console's accounts in `state_dir`."""

ARGON2_MEMORY_KIB: Final = 19_456
ARGON2_PASSES: Final = 2
"""19 MiB and two passes, the least that OWASP calls safe: a busy submission server checks many passwords at once, and
the library's default of 64 MiB each would let a few hundred clients exhaust its memory."""
SCRAM_ITERATIONS: Final = 4096
"""RFC 7677 4. More would slow clients, not thieves: argon2 stands beside it."""

_HASHER: Final = PasswordHasher(time_cost=ARGON2_PASSES, memory_cost=ARGON2_MEMORY_KIB, parallelism=1)
_NAME_CHARACTERS: Final = frozenset(string.ascii_letters + string.digits + "._-@+=\\")
_ARGON2: Final = re.compile(
    r"\$argon2(?:id|i|d)\$v=[0-9]{1,3}\$m=[0-9]{1,10},t=[0-9]{1,10},p=[0-9]{1,4}(?:\$[A-Za-z0-9+/]{1,512}){2}",
    re.ASCII,
)
_SCRAM: Final = re.compile(
    r"SCRAM-SHA-256\$[0-9]{1,10}:[A-Za-z0-9+/=]{1,512}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Account:
    """A name and what proves it."""

    name: str
    password_hash: str = field(repr=False)
    """`"$argon2id$v=19$m=19456,t=2,p=1$…$…"`."""
    scram: str = field(default="", repr=False)
    """`"SCRAM-SHA-256$4096:salt$StoredKey:ServerKey"`; empty: none was stored."""

    def __str__(self) -> str:
        return ":".join(part for part in (self.name, self.password_hash, self.scram) if part)


def parse_account(line: str) -> Account | str:
    """The account in a line of the file, or what is wrong with the line; the text shows no hash."""
    name, colon, rest = line.partition(":")
    password_hash, _, scram = rest.partition(":")
    if not colon:
        return "the line is no account; expected NAME:HASH as written by `bridgehead user add`"
    fault = name_fault(name)
    if fault:
        return fault
    if not _ARGON2.fullmatch(password_hash):
        return f"the account {name} has no argon2 hash; set its password with `bridgehead user passwd {name}`"
    if scram and not _SCRAM.fullmatch(scram):
        return f"the account {name} has a damaged SCRAM part; set its password anew"
    return Account(name, password_hash, scram)


def name_fault(name: str) -> str:
    """Why a name cannot be that of an account; empty where it can."""
    if not 0 < len(name) <= NAME_LENGTH_MAX:
        return f"the name of an account has 1 to {NAME_LENGTH_MAX} characters"
    if not _NAME_CHARACTERS.issuperset(name) or name.startswith("-"):
        return 'the name of an account has letters, digits and . _ - @ + = \\ only, and does not begin with "-"'
    return ""


def make_account(name: str, password: str) -> Account:
    """An account with fresh salts; `ConfigurationError` where name or password will not do. Takes about 30 ms."""
    fault = name_fault(name) or _password_fault(password)
    if fault:
        raise ConfigurationError(fault)
    return Account(name, _HASHER.hash(prepared_password(password) or ""), _scram(password))


def is_password_of(password_hash: str, password: str) -> bool:
    """Whether the password fits the hash. Takes about 30 ms of a core: not on an event loop."""
    try:
        return not _password_fault(password) and _HASHER.verify(password_hash, prepared_password(password) or "")
    except (VerificationError, InvalidHashError):
        return False


class AccountsFile:
    """The accounts in one file. Safe against other processes that change it at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Account, ...]:
        """All accounts in order; none where the file does not exist. `ConfigurationError` names a damaged line."""
        return tuple(account for account in self._parsed(self._lines()) if account is not None)

    def add(self, name: str, password: str) -> bool:
        """Adds an account; where the name exists, changes nothing and returns false."""
        account = make_account(name, password)

        def change(lines: list[str], found: int | None) -> bool:
            if found is None:
                lines.append(str(account))
            return found is None

        return self._rewrite(name, change)

    def set_password(self, name: str, password: str) -> bool:
        """Gives an account a new password; false where there is no such account."""
        account = make_account(name, password)

        def change(lines: list[str], found: int | None) -> bool:
            if found is not None:
                lines[found] = str(account)
            return found is not None

        return self._rewrite(name, change)

    def remove(self, name: str) -> bool:
        """Removes an account; false where there is none of this name."""

        def change(lines: list[str], found: int | None) -> bool:
            if found is not None:
                del lines[found]
            return found is not None

        return self._rewrite(name, change)

    def _rewrite(self, name: str, change: Callable[[list[str], int | None], bool]) -> bool:
        """`change` gets the lines and the number of the one that holds `name`; it says whether it changed them."""
        try:
            with self._lock():
                lines = self._lines()
                names = [None if account is None else account.name for account in self._parsed(lines)]
                is_changed = change(lines, names.index(name) if name in names else None)
                if is_changed:
                    self._write("".join(f"{line}\n" for line in lines))
                return is_changed
        except OSError as error:
            raise MachineError(
                f"{self._path} cannot be changed: {error.strerror}. Its folder must be one that you may write to"
            ) from error

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            return []
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self._path} is not UTF-8") from error
        except OSError as error:
            raise MachineError(f"{self._path} cannot be read: {error.strerror}") from error

    def _parsed(self, lines: list[str]) -> list[Account | None]:
        """For each line its account, `None` for comments and empty lines."""
        accounts: list[Account | None] = []
        for number, line in enumerate(lines, 1):
            text = line.strip()
            account = parse_account(text) if text and not text.startswith("#") else None
            if isinstance(account, str):
                raise ConfigurationError(f"{self._path}:{number}: {account}")
            accounts.append(account)
        return accounts

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        # The folder is locked, not the file: the file is another one after each change.
        folder = os.open(self._path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write(self, text: str) -> None:
        """Replaces the file: written and fsynced under another name, then renamed, then the folder fsynced."""
        target = self._path.resolve()
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                _keep_owner(stream.fileno(), target)
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            draft.rename(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_owner(descriptor: int, target: Path) -> None:
    """Owner and group stay, so that the server can still read what root has changed; so does reading by the group.

    What root makes anew belongs to the owner of the folder.
    """
    try:
        old = target.stat()
    except FileNotFoundError:
        folder = target.parent.stat()  # a new file in the state folder must be readable by the user who serves
        if os.geteuid() == 0:
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        return
    own = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, 0o600 | old.st_mode & stat.S_IRGRP)


def _password_fault(password: str) -> str:
    if not 0 < len(password.encode("utf-8", "surrogatepass")) <= PASSWORD_OCTETS_MAX:
        return f"a password has 1 to {PASSWORD_OCTETS_MAX} octets"
    return "" if prepared_password(password) else "a password is one line of text without control characters"


def _scram(password: str) -> str:
    """StoredKey and ServerKey of RFC 5802 3, in the form of RFC 5803."""
    salt = secrets.token_bytes(16)
    # SASLprep (RFC 4013) maps by NFKC; its further prohibitions would only refuse passwords.
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt_text}${stored_text}:{server_text}"
