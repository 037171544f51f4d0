"""The other files and places that a configuration refers to: list files, secrets, certificates.

Everything is read while the file is loaded, so that the `Organization` is a value and a missing file is an error at
`check`, not at the first message. Contents never appear in a message.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from bridgehead.control.configuration.fields import SecretTable
from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.machine import Machine
from bridgehead.control.configuration.report import Report
from bridgehead.core.organization import Secret

LIST_FILE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Several million addresses."""
SMALL_FILE_BYTES_MAX: Final = 1024 * 1024
"""Secrets and certificates are far smaller."""
GENERATION_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A line of a list file, without comment and surrounding spaces."""

    line: int
    text: str


class Sources:
    """Reads what the configuration refers to; remembers what goes into its generation. Used by one `load` only."""

    def __init__(self, folder: FilePath, machine: Machine, report: Report) -> None:
        self._folder = folder
        self._environ = machine.environ
        self._report = report
        self._digest = hashlib.sha256()

    def path_of(self, text: str) -> FilePath:
        """A path of the file; a relative one starts at the folder of the configuration."""
        return self._folder / text

    def count_in(self, content: bytes) -> None:
        """Make the generation depend on this content."""
        self._digest.update(len(content).to_bytes(8, "big") + content)

    @property
    def generation(self) -> str:
        """Short hash of all that was counted in: `"3f9a01c2"`."""
        return self._digest.hexdigest()[:GENERATION_DIGITS]

    def list_file(self, text: str, path: Path) -> list[ListEntry] | None:
        """The entries of a list file, `None` (and an error) where it cannot be read."""
        content = self.read(text, path, LIST_FILE_BYTES_MAX)
        if content is None:
            return None
        self.count_in(content)
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self._report.error_in_list(path, str(self.path_of(text)), line, "the file is not UTF-8")
            return None
        entries = (ListEntry(number, _without_comment(line)) for number, line in enumerate(lines, 1))
        return [entry for entry in entries if entry.text]

    def secret(self, table: SecretTable, path: Path, *, is_here: bool) -> Secret | None:
        """The secret that the table names, `None` where it names none or (an error) it cannot be had.

        Another server's secret is not looked up: its value is empty here.
        """
        named = [(kind, name) for kind in ("env", "file", "credential") if (name := str(getattr(table, kind)))]
        if not named:
            return None
        if len(named) > 1:
            self._report.error(path, "the secret has more than one source", "one of env, file, credential")
            return None
        kind, name = named[0]
        value = self._secret_value(kind, name, (*path, kind)) if is_here else ""
        if value is None:
            return None
        if is_here and (not value or any(mark in value for mark in "\0\r\n")):
            self._report.error((*path, kind), f"the secret of {kind} {name} is empty or has more than one line")
            return None
        reference = str(self.path_of(name)) if kind == "file" else name
        return Secret(f"{kind} {reference}", value)

    def read(self, text: str, path: Path, size_max: int = SMALL_FILE_BYTES_MAX) -> bytes | None:
        """The content of a file, `None` (and an error) where it cannot be read."""
        found = self._read_with_mode(text, path, size_max)
        return None if found is None else found[0]

    def _read_with_mode(self, text: str, path: Path, size_max: int) -> tuple[bytes, int] | None:
        """Content and permissions, both of the very file that was opened."""
        file = self.path_of(text)
        try:
            with file.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                content = stream.read(size_max + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
            self._report.error(path, f"{file} cannot be read: {reason}")
            return None
        if len(content) > size_max:
            self._report.error(path, f"{file} is larger than {size_max // 1024} KB")
            return None
        return content, mode

    def _secret_value(self, kind: str, name: str, path: Path) -> str | None:
        if kind == "env":
            if name not in self._environ:
                self._report.error(path, f"environment variable {name} is not set")
            return self._environ.get(name)
        if kind == "file":
            return self._secret_file(name, path)
        folder = self._environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder or "/" in name or name in {".", ".."}:
            reason = "not a name of a credential" if folder else "$CREDENTIALS_DIRECTORY is not set (LoadCredential=)"
            self._report.error(path, f"credential {name}: {reason}")
            return None
        return self._decoded(self.read(f"{folder}/{name}", path), path)

    def _secret_file(self, name: str, path: Path) -> str | None:
        found = self._read_with_mode(name, path, SMALL_FILE_BYTES_MAX)
        if found is None:
            return None
        content, mode = found
        if mode & stat.S_IROTH:
            file = self.path_of(name)
            self._report.error(path, f"{file} can be read by everyone on this machine; chmod o-rwx {file}")
            return None
        return self._decoded(content, path)

    def _decoded(self, content: bytes | None, path: Path) -> str | None:
        if content is None:
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            self._report.error(path, "the secret is not UTF-8 text")
            return None
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def _without_comment(line: str) -> str:
    """A `#` begins a comment at the start of a line or after a space: addresses may hold one."""
    text = line.strip()
    if text.startswith("#"):
        return ""
    for mark in (" #", "\t#"):
        text = text.partition(mark)[0]
    return text.strip()
