"""Which worker takes over which partition, and the mark by which that holds until the last message has moved.

state_dir/spool/p3.into says into which partition p3 moves. A move that is cut short may leave its last batch in both
partitions. Who goes on with the same move finds that out, as ids are unique within a partition; anybody else would
send that batch a second time. So the mark is there before the first message moves, and until it is gone the partition
is an orphan of that one, whatever `workers` has become meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bridgehead.spool.disk import Disk

_NAME: Final = re.compile(r"p([0-9]{1,3})\.into")


class TakeoverMark:
    """One partition's mark."""

    def __init__(self, database: Path) -> None:
        """`database`: state_dir/spool/p3.db."""
        self._path = database.with_suffix(".into")
        self._number = int(database.stem.removeprefix("p"))

    def read(self) -> int | None:
        """Number of the partition that this one moves into, a lower one; `None`: it does not move.

        A mark that says nothing was cut off while it was written: no message had moved. `OSError` where the disk does
        not say: then nobody may have the partition.
        """
        try:
            into = int(self._path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return into if 0 <= into < self._number else None

    def write(self, into: int, disk: Disk) -> None:
        """Make it durable. `OSError` where the disk refuses: then nothing may move."""
        disk.write_line(self._path, f"{into:03}")

    def clear(self, disk: Disk) -> None:
        """All has moved. A mark that comes back when the power fails does no harm: what is there moves, once."""
        disk.unlink(self._path)


def marks(state_dir: Path) -> dict[int, int]:
    """Which partitions move, and into which."""
    folder = state_dir / "spool"
    numbers = [int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    found = {number: TakeoverMark(folder / f"p{number}.db").read() for number in numbers}
    return {number: into for number, into in found.items() if into is not None}


def orphans(own: int, existing: Iterable[int], moving: Mapping[int, int], workers: int) -> list[int]:
    """The partitions that worker `own` takes over, in the order to do it, where so many workers run.

    `existing` are the partitions with messages, `moving` those that are marked. What moves into a partition that is
    an orphan itself comes after it, to the same worker. Whose own partition moves takes over nothing before that is
    done. So a partition has the same worker whatever others do meanwhile.
    """
    if own in moving:
        return []
    taken = []
    for number in sorted({*existing, *moving}):
        last = number
        while last in moving:
            last = moving[last]
        if last % workers == own and number != own:
            taken.append(number)
    return taken
