"""Times as people type them for `--since`: how long ago, or when. Pure; now is an argument."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[smhd])+")
_PART: Final = re.compile(r"([0-9]+)([smhd])")
_CLOCK: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")


def read_instant(text: str, now: float) -> float | None:
    """Seconds since the epoch; `None` where it is no time.

    `"2h"`, `"1d12h"`: so long before now. `"2026-11-24"`, `"2026-11-24 08:30"`, `"2026-11-24T08:30:00Z"`: then, in
    this machine's time zone where none is written. `"08:30"`: today.
    """
    text = text.strip()
    if _DURATION.fullmatch(text):
        return max(0.0, now - sum(int(count) * _SECONDS[unit] for count, unit in _PART.findall(text)))
    if _CLOCK.fullmatch(text):
        hour, _, rest = text.partition(":")
        text = f"{datetime.fromtimestamp(now).astimezone():%Y-%m-%d} {hour:0>2}:{rest}"
    try:
        return max(0.0, datetime.fromisoformat(text).astimezone().timestamp())
    except (ValueError, OverflowError):
        return None
