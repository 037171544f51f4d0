"""New mail is refused while the disk is nearly full."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.process.free_space import BELIEVED_SECONDS, FreeSpace
from bridgehead.spool.volume import free_bytes


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("share", "is_enough"), [(0.5, True), (1.5, False)])
def test_free_space_is_enough_while_more_than_the_reserve_is_free(
    tmp_path: Path, share: float, is_enough: bool
) -> None:
    assert FreeSpace(tmp_path, lambda: int(free_bytes(tmp_path) * share), Clock()).is_enough() is is_enough


def test_free_space_asks_again_after_a_second_so_that_accepting_resumes_by_itself(tmp_path: Path) -> None:
    clock = Clock()
    reserve = 2**62
    space = FreeSpace(tmp_path, lambda: reserve, clock)
    assert not space.is_enough()
    reserve = 1
    clock.now += BELIEVED_SECONDS / 2
    assert not space.is_enough()
    clock.now += BELIEVED_SECONDS
    assert space.is_enough()
