"""A network of hosts in one process: connections with delays, splits, stalls and cuts, silent hosts.

What is written arrives in order, in pieces, after a while. The kernel's part is played too: what a process wrote
before it was killed still arrives, a machine that lost power says nothing, and whoever speaks to a connection of a
former life is reset.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from random import Random
from typing import Any, Final, TypeAlias

from tests.simulation.virtual_loop import Life, VirtualLoop, present_life

BUFFER_MAX: Final = 64 * 1024
"""Octets under way before the sender is asked to wait."""
GAP: Final = 1e-6
"""Between two pieces: they never arrive at the same moment."""


class Handshake(Enum):
    """What may come of a TLS handshake."""

    WELL = "well"
    FAILS = "fails"
    BREAKS = "breaks"
    HANGS = "hangs"


class _Secured:
    """What is said of a secured connection."""

    def version(self) -> str:
        """In place of an `ssl.SSLObject`."""
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        """In place of an `ssl.SSLObject`."""
        return ("TLS_SIMULATED", "TLSv1.3", 256)


_SECURED: Final = _Secured()

Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]


@dataclass
class Host:
    """One address."""

    address: str
    life: Life
    doors: list[tuple[Life, Factory]] = field(default_factory=list)
    """Who takes connections; more than one share the port."""
    is_silent: bool = False
    """Nothing goes in or out."""
    is_refusing: bool = False
    is_faithful: bool = False
    """No fault ever strikes a connection to it."""
    latency: float = 0.002

    def opens(self, life: Life, factory: Factory) -> OpenDoor:
        """A process listens here."""
        self.doors.append((life, factory))
        return OpenDoor(self, life, factory)


@dataclass(frozen=True)
class OpenDoor:
    """What listens, as an `asyncio.Server`."""

    host: Host
    life: Life
    factory: Factory

    def close(self) -> None:
        """Listen no more."""
        self.host.doors = [door for door in self.host.doors if door != (self.life, self.factory)]


@dataclass(frozen=True)
class Rates:
    """How likely the faults of a connection are."""

    cut: float = 0.0
    stall: float = 0.0
    split: float = 0.0


class Network:
    """All hosts and connections. `changed` is told when a connection opens: who, whereto, how many there are now."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.rates = Rates()
        self.hosts: dict[str, Host] = {}
        self.context = Context()
        self.open: Counter[tuple[str, str]] = Counter()
        self.changed: Callable[[str, str, int], None] = lambda *_: None
        self.faults = Counter[str]()
        """What struck a connection, by kind."""
        self.dialling: dict[object, tuple[Life, float]] = {}
        """Who waits for a connection, and since when."""
        self._ends: dict[End, None] = {}
        self._last_number = 0
        loop.connect = self._connect

    def host(self, address: str, life: Life) -> Host:
        """A host that is up."""
        return self.hosts.setdefault(address, Host(address, life))

    def killed(self, life: Life) -> None:
        """The kernel closes what a dead process had open."""
        for host in self.hosts.values():
            host.doors = [door for door in host.doors if door[0] is not life]
        for end in [end for end in self._ends if end.life is life]:
            end.orphaned(is_reset=self.random.random() < 0.3)
        self._none_open(life)

    def unplugged(self, life: Life, host: Host) -> None:
        """The machine of a process has no power: nobody is told anything, and what it had not sent is gone."""
        host.is_silent = True
        host.doors.clear()
        for end in [end for end in self._ends if end.life is life]:
            end.outgoing.clear()
            end.is_dark = True
            self._forget(end)
        self._none_open(life)

    def _none_open(self, life: Life) -> None:
        """Also what a dead process was still waiting for."""
        for key in [key for key in self.open if key[0] == life.name]:
            del self.open[key]

    def parted(self, host: Host) -> None:
        """All connections to a host break."""
        for end in [end for end in self._ends if end.host is host and not end.is_gone]:
            end.breaks()

    def silent(self, seconds: float) -> Iterator[tuple[Life, str]]:
        """Who waits for somebody outside for longer than this, and for what."""
        then = self.loop.time() - seconds
        for end in self._ends:
            if end.heard_at < then and not end.is_gone and not end.is_dark and end.life.is_alive:
                yield end.life, f"connection {end.number} with {end.host.address}"
        for life, since in self.dialling.values():
            if since < then and life.is_alive:
                yield life, "a connection to be opened"

    def healed(self) -> None:
        """Hosts may hear each other again."""
        for end in list(self._ends):
            end.pump_soon()

    async def _connect(
        self, factory: Factory, address: str, _port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        life = present_life()
        assert life is not None
        key = (life.name, address)
        self.open[key] += 1
        is_open, ticket = False, object()
        self.dialling[ticket] = life, self.loop.time()
        try:
            self.changed(*key, self.open[key])
            host = self.hosts[address]
            await asyncio.sleep(host.latency * (1 + self.random.random()))
            if host.is_silent:
                await asyncio.Event().wait()
            if host.is_refusing or not host.doors:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
            transport = self._join(key, life, host, factory)
            is_open = True
            return transport, transport.protocol
        finally:
            del self.dialling[ticket]
            if not is_open:
                self._one_less(key)

    def _join(self, key: tuple[str, str], life: Life, host: Host, factory: Factory) -> End:
        their_life, door = self.random.choice(host.doors)
        self._last_number += 1
        protocol = factory()
        ours = End(self, self._last_number, life, host)
        theirs = End(self, self._last_number, their_life, host)
        ours.peer, theirs.peer = theirs, ours
        ours.counted_as, ours.protocol = key, protocol
        self._ends[ours] = self._ends[theirs] = None
        if not host.is_faithful:
            self._curse(ours, theirs)
        ours.protocol.connection_made(ours)
        their_life.run(theirs.begin, door)
        return ours

    def _curse(self, ours: End, theirs: End) -> None:
        """Decide what will happen to a connection."""
        random, rates = self.random, self.rates
        for end, octets in ((ours, 1500), (theirs, 900)):
            if random.random() < rates.cut:
                end.cut_at = random.randrange(octets)
            if random.random() < rates.stall:
                end.stall_at = random.randrange(octets)
                end.stall_seconds = random.choice((2.0, 10.0, 40.0))
            end.is_split = random.random() < rates.split
            self.faults["connection in pieces"] += end.is_split

    def _forget(self, end: End) -> None:
        self._ends.pop(end, None)
        self._count_no_more(end)

    def _count_no_more(self, end: End) -> None:
        if end.counted_as is not None:
            self._one_less(end.counted_as)
            end.counted_as = None

    def _one_less(self, key: tuple[str, str]) -> None:
        self.open[key] -= 1
        if not self.open[key]:
            del self.open[key]


class End(asyncio.Transport):
    """One end of a connection."""

    peer: End
    protocol: Any

    def __init__(self, network: Network, number: int, life: Life, host: Host) -> None:
        super().__init__()
        self.number = number
        """The same at both ends."""
        self.life = life
        self.network = network
        self.outgoing: deque[tuple[float, bytes]] = deque()
        """When it arrives, and what; empty: the end."""
        self.counted_as: tuple[str, str] | None = None
        self.cut_at = self.stall_at = inf
        self.stall_seconds = 0.0
        self.is_split = False
        self.heard_at = network.loop.time()
        self.shakes_hands = Handshake.HANGS
        """What comes of a handshake, at the end that accepted the connection."""
        self.is_secured = False
        self.is_gone = False
        """The process was told, or is about to be."""
        self.is_dark = False
        """Its machine has no power: what comes is answered by nobody."""
        self.host = host
        self._written = 0
        self._under_way = 0
        self._last_arrival = 0.0
        self._is_closing = self._is_paused = self._is_full = self._has_ended = False
        self.loses_next = False
        """What is written next is lost, and the connection with it."""

    def begin(self, door: Factory) -> None:
        """The accepting side."""
        self.protocol = door()
        self.protocol.connection_made(self)

    # What a protocol asks of its transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Only who is at the other end, and that the connection is secured."""
        if name == "ssl_object" and self.is_secured:
            return _SECURED
        return ("10.9.0.1", 40_000) if name == "peername" else default

    async def shake_hands(self) -> End | None:
        """The client's part of a handshake: what it comes to is decided at the other end; nothing is encrypted."""
        await asyncio.sleep(4 * self._delay())
        match self.peer.shakes_hands:
            case Handshake.WELL if not self.is_gone:
                self.is_secured = True
                self.peer.life.run(self.peer.protocol.secured)
                return self
            case Handshake.FAILS:
                error = ssl.SSLError(1, "[SSL] handshake failure")
                error.reason = "HANDSHAKE_FAILURE"
                raise error
            case Handshake.BREAKS:
                self.breaks()
            case Handshake.HANGS:
                await asyncio.Event().wait()
            case Handshake.WELL:
                pass
        return None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """One bound for all."""

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._is_closing or self.is_gone

    def can_write_eof(self) -> bool:
        """Half-closed connections are possible."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in pieces."""
        if self._is_closing or self.is_gone or self._has_ended or not data:
            return
        if self.loses_next:
            self.network.faults["reply lost"] += 1
            self.breaks()
            return
        random, rest = self.network.random, bytes(data)
        while self.is_split and len(rest) > 1 and random.random() < 0.7:
            size = random.choice((1, 2, random.randrange(1, len(rest))))
            self._send(rest[:size])
            rest = rest[size:]
        self._send(rest)
        if self._under_way > BUFFER_MAX and not self._is_full:
            self._is_full = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        if not self._has_ended:
            self._has_ended = True
            self._send(b"")

    def pause_reading(self) -> None:
        """Take nothing in for now."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Take what waits."""
        self._is_paused = False
        self.peer.pump_soon()

    def close(self) -> None:
        """End when all is sent."""
        self.network._count_no_more(self)
        if not self._is_closing and not self.is_gone:
            self.write_eof()
            self._is_closing = True
            self._lose(None)

    def abort(self) -> None:
        """End now; what is under way is lost, or not."""
        self.network._count_no_more(self)
        if self.is_gone:
            return
        if self.network.random.random() < 0.5:
            self.outgoing.clear()
        self._is_closing = True
        self._reset_peer()
        self._lose(None)

    # What the network does to it

    def breaks(self) -> None:
        """Something between the ends forgets the connection: both hear of it, at different times."""
        for end in (self, self.peer):
            end.outgoing.clear()
            end._lose(ConnectionResetError(errno.ECONNRESET, "connection reset by peer"), self._delay() * 3)

    def orphaned(self, *, is_reset: bool) -> None:
        """Its process died: the kernel sends what it has, and the end."""
        if is_reset:
            self.outgoing.clear()
            self._reset_peer()
        elif not self._has_ended:
            self.write_eof()
        self.network._forget(self)

    def pump_soon(self) -> None:
        """Look at what has arrived."""
        self.network.loop.call_soon(self._pump, context=self.network.context)

    def _send(self, piece: bytes) -> None:
        loop = self.network.loop
        delay = self._delay()
        if self._written <= self.stall_at < self._written + len(piece):
            delay += self.stall_seconds
            self.network.faults["connection stalls"] += 1
        self._written += len(piece)
        self._under_way += len(piece)
        self._last_arrival = max(self._last_arrival + GAP, loop.time() + delay)
        self.outgoing.append((self._last_arrival, piece))
        loop.call_at(self._last_arrival, self._pump, context=self.network.context)

    def _delay(self) -> float:
        return self.host.latency * (1 + self.network.random.random())

    def _pump(self) -> None:
        """Hand over what has arrived."""
        peer, now = self.peer, self.network.loop.time()
        while self.outgoing and self.outgoing[0][0] <= now and not peer._is_paused and not self.host.is_silent:
            _, piece = self.outgoing.popleft()
            self._under_way -= len(piece)
            self.cut_at -= len(piece)
            if self.cut_at < 0:
                self.network.faults["connection cut"] += 1
                self.breaks()
            elif peer.is_dark:
                continue
            elif not peer.life.is_alive or (peer.is_gone and piece):
                if not self.is_gone:
                    self._lose(ConnectionResetError(errno.ECONNRESET, "connection reset by peer"))
            elif not peer.is_gone:
                peer.life.run(peer._receive, piece)
        if self._is_full and self._under_way <= BUFFER_MAX // 4 and not self.is_gone:
            self._is_full = False
            self.life.run(self.protocol.resume_writing)

    def _receive(self, piece: bytes) -> None:
        self.heard_at = self.network.loop.time()
        if piece:
            self.protocol.data_received(piece)
        elif not self.protocol.eof_received():
            self.close()

    def _reset_peer(self) -> None:
        peer, loop = self.peer, self.network.loop
        error = ConnectionResetError(errno.ECONNRESET, "connection reset by peer")
        when = max(self._last_arrival + GAP, loop.time() + self._delay())
        loop.call_at(when, peer._lose, error, context=self.network.context)

    def _lose(self, error: Exception | None, delay: float = 0.0) -> None:
        """The process learns that the connection is gone."""
        if not self.is_gone:
            self.is_gone = True
            self.network.loop.call_later(delay, self.life.run, self._told, error, context=self.network.context)

    def _told(self, error: Exception | None) -> None:
        self.network._forget(self)
        self.protocol.connection_lost(error)
