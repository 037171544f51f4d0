"""Where the server of this machine keeps its state, for commands that any account may give: `sendmail`, `mailq`.

Such an account may not be able to read the configuration or the secrets it names, and must not have to wait while
all of it is checked. So `state_dir` alone is read, and where that cannot be, the usual places are tried.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bridgehead.control.configuration.find import find
from bridgehead.core.error import ConfigurationError

SYSTEM_FOLDER: Final = Path("/var/lib/bridgehead")
_FILE_BYTES_MAX: Final = 16 * 1024 * 1024


def state_folder(config: Path | None, environ: Mapping[str, str], *, uid: int, holds: tuple[str, ...]) -> Path:
    """The folder that the configuration names, else the first usual one in which one of `holds` lies.

    `ConfigurationError` where the file is missing or no TOML and no usual folder serves: mail must get through while
    somebody edits the file.
    """
    usual = _usual_folders(environ)
    path = find(str(config or ""), environ, uid=uid)
    if path is None:
        return _first(usual, holds) or usual[0]
    try:
        return _named_in(path) or _first(usual, holds) or usual[0]
    except PermissionError:
        return _first(usual, holds) or usual[0]
    except (OSError, ValueError) as error:
        found = _first(usual, holds) if path.exists() else None
        if found is None:
            reason = error.strerror if isinstance(error, OSError) else f"not valid TOML: {error}"
            raise ConfigurationError(f"{path} cannot be read: {reason}") from error
        return found


def _named_in(path: Path) -> Path | None:
    """`state_dir` of a file; `None` where it names none."""
    with path.open("rb") as stream:
        text = stream.read(_FILE_BYTES_MAX).decode("utf-8-sig")
    node = tomllib.loads(text).get("node")
    named = node.get("state_dir") if isinstance(node, dict) else None
    return path.absolute().parent / named if isinstance(named, str) and named else None


def _usual_folders(environ: Mapping[str, str]) -> list[Path]:
    # systemd separates several state directories by colons; ours is the first.
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    home = Path(environ.get("HOME") or "/") / ".local/state/bridgehead"
    return ([Path(given)] if given else []) + [home, SYSTEM_FOLDER]


def _first(folders: list[Path], holds: tuple[str, ...]) -> Path | None:
    return next((folder for folder in folders if any(_is_there(folder / name) for name in holds)), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False
