"""Session limits of one worker."""

from __future__ import annotations

from bridgehead.inbound.session_leases import LocalLeases


async def test_all_limits_must_have_room() -> None:
    leases = LocalLeases()
    both = (("all", 2), ("one client", 1))
    first = await leases.try_acquire(both)
    assert first is not None
    assert await leases.try_acquire(both) is None
    assert await leases.try_acquire((("all", 2), ("another client", 1))) is not None
    assert await leases.try_acquire((("all", 2), ("third client", 1))) is None
    leases.release(first)
    leases.release(first)
    assert await leases.try_acquire(both) is not None


async def test_zero_is_no_limit() -> None:
    leases = LocalLeases()
    assert [await leases.try_acquire((("all", 0),)) for _ in range(3)] == [1, 2, 3]
