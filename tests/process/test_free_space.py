"""New mail is refused while the disk is nearly full."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.process import free_space
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


def test_free_space_tells_what_is_free_and_what_must_stay_so(tmp_path: Path) -> None:
    room = FreeSpace(tmp_path, lambda: 2**62, Clock()).room()
    assert room.reserve == 2**62
    assert 0 < room.free < 2**62
    assert not room.is_enough


def test_free_space_takes_no_mail_where_the_file_system_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Path) -> int:
        raise OSError("Stale file handle")

    monkeypatch.setattr(free_space, "free_bytes", gone)
    space = FreeSpace(tmp_path, lambda: 0, Clock())
    room = space.room()
    assert not space.is_enough()
    assert (room.free, room.is_enough) == (0, False)


def test_free_space_asks_again_after_a_second_so_that_accepting_resumes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, free = Clock(), 1
    monkeypatch.setattr(free_space, "free_bytes", lambda _: free)
    space = FreeSpace(tmp_path, lambda: 10, clock)
    assert not space.is_enough()
    free = 100
    clock.now += BELIEVED_SECONDS / 2
    assert not space.is_enough()
    clock.now += BELIEVED_SECONDS
    assert space.is_enough()


def test_free_space_knows_another_reserve_at_once(tmp_path: Path) -> None:
    reserve = 2**62
    space = FreeSpace(tmp_path, lambda: reserve, Clock())
    assert (space.is_enough(), space.room().is_enough) == (False, False)
    reserve = 1
    assert (space.is_enough(), space.room().is_enough) == (True, True)


def test_free_space_that_was_too_little_has_to_be_a_tenth_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hovers around the reserve does not take mail and refuse it by turns."""
    clock, free = Clock(), 100
    monkeypatch.setattr(free_space, "free_bytes", lambda _: free)
    space = FreeSpace(tmp_path, lambda: 100, clock)
    seen = []
    for free in (100, 99, 100, 109, 99, 109, 110, 105, 100, 99):  # noqa: B007  what the lambda gives
        clock.now += BELIEVED_SECONDS
        seen.append(space.is_enough())
    assert seen == [True, False, False, False, False, False, True, True, True, False]
    assert (space.room().reserve, space.room().wanted) == (100, 110)


def test_free_space_without_a_reserve_is_always_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_space, "free_bytes", lambda _: 0)
    assert FreeSpace(tmp_path, lambda: 0, Clock()).is_enough()
