"""Which file is the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILE_NAME: Final = "bridgehead.toml"
SYSTEM_FILE: Final = Path("/etc/bridgehead") / FILE_NAME
ENVIRONMENT_VARIABLE: Final = "BRIDGEHEAD_CONFIG"


def find(option: str | None, environ: Mapping[str, str], *, uid: int, folder: Path = Path()) -> Path | None:
    """The file to load: `--config`, `$BRIDGEHEAD_CONFIG`, the working folder's, the system's; `None`: none of them.

    A file that option or variable name is returned whether it exists or not: `load` then says that it does not.
    The working folder does not count for root, who may be standing in a folder that someone else can write to.
    """
    named = option or environ.get(ENVIRONMENT_VARIABLE, "")
    if named:
        return Path(named)
    candidates = [SYSTEM_FILE] if uid == 0 else [folder / FILE_NAME, SYSTEM_FILE]
    return next((candidate for candidate in candidates if candidate.exists()), None)
