"""Counts wrong passwords, so that nobody guesses for long and nobody locks the owner of an account out.

Rules of this file:
* Different guesses count, not attempts: a device that says the same old password all day has guessed once.
* Who has guessed too often is put off: a client, and a network as far as one account is concerned. What is done to an
  account from elsewhere never refuses its owner; it leaves each network fewer guesses, and one is enough to be right.
* A guess that is being checked counts as wrong, so that many at once cannot outrun a limit.
* No clock, no secret: time is an argument, a guess is a keyed hash of the caller's. Every table has a bound, the
  longest unseen is forgotten. Names that are no account are counted like others, so that nothing tells them apart.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

CLIENT_MAX: Final = 10
"""Guesses of one client, an IPv4 address or an IPv6 /64, at any accounts within `CLIENT_SECONDS`."""
CLIENT_SECONDS: Final = 60.0
NETWORK_MAX: Final = 10
"""Guesses at one account from one network, an IPv4 /24 or an IPv6 /64, within `NETWORK_SECONDS`."""
NETWORK_MAX_UNDER_ATTACK: Final = 3
"""The same while the account is under attack."""
NETWORK_SECONDS: Final = 1800.0
ATTACK_MIN: Final = 50
"""Guesses at one account from everywhere within `ATTACK_SECONDS` that make it one under attack."""
ATTACK_SECONDS: Final = 3600.0
FREE_GUESSES: Final = 3
"""Guesses at one account from one network before each further one waits, a second longer each time."""
DELAY_SECONDS_MAX: Final = 5.0
_FAMILIAR_MAX: Final = 1024
"""Clients whose network is remembered: each handshake asks for it twice."""
TALLIES_MAX: Final = 10_000
"""Of each kind; one takes up to 1 KiB, that of an account under attack 5 KiB."""


@dataclass(slots=True)
class _Tally:
    """Different guesses since a moment."""

    since: float
    wrong: set[bytes] = field(default_factory=set)
    under_way: Counter[bytes] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return len(self.wrong | self.under_way.keys())


class _Tallies:
    """Tallies by what they are of."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: OrderedDict[str, _Tally] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: str, now: float) -> _Tally:
        """The tally as of now; a new one is not kept yet, since most guesses are right."""
        tally = self._found.get(key)
        if tally is None:
            return _Tally(now)
        self._found.move_to_end(key)
        if now >= tally.since + self._seconds:
            tally.since = now
            tally.wrong.clear()
        return tally

    def keep(self, key: str, tally: _Tally) -> None:
        self._found[key] = tally
        self._found.move_to_end(key)
        if len(self._found) > TALLIES_MAX:
            self._found.popitem(last=False)


class Guess:
    """One guess: look at it and `begin` without a pause between, check it, `end`."""

    __slots__ = ("_account", "_client", "_guesses", "_keys", "_mark", "_network")

    def __init__(self, guesses: Guesses, keys: tuple[str, str, str], mark: bytes, now: float) -> None:
        self._guesses = guesses
        self._keys = keys
        self._mark = mark
        self._client = guesses.clients.find(keys[0], now)
        self._network = guesses.networks.find(keys[1], now)
        self._account = guesses.accounts.find(keys[2], now)

    @property
    def is_known_wrong(self) -> bool:
        """Whether this very guess was made from there lately, and was wrong."""
        return self._mark in self._network.wrong

    @property
    def is_refused(self) -> bool:
        """Whether there were too many others before it."""
        is_new = self._mark not in self._network.under_way
        is_attacked = self._account.count >= ATTACK_MIN
        network_max = NETWORK_MAX_UNDER_ATTACK if is_attacked else NETWORK_MAX
        return is_new and (self._client.count >= CLIENT_MAX or self._network.count >= network_max)

    @property
    def delay(self) -> float:
        """Seconds to wait before it is checked."""
        return min(max(self._network.count - FREE_GUESSES + 1, 0.0), DELAY_SECONDS_MAX)

    def begin(self) -> None:
        """It is being checked; `end` must follow."""
        for tallies, key, tally in zip(self._guesses.kinds, self._keys, self._tallies, strict=True):
            tally.under_way[self._mark] += 1
            tallies.keep(key, tally)

    def end(self, *, is_wrong: bool) -> bool:
        """It was checked, or cannot be; whether it was the wrong one that makes the account one under attack."""
        was_attacked = len(self._account.wrong) >= ATTACK_MIN
        for tally in self._tallies:
            tally.under_way[self._mark] -= 1
            if not tally.under_way[self._mark]:
                del tally.under_way[self._mark]
            if is_wrong and len(tally.wrong) < ATTACK_MIN:
                tally.wrong.add(self._mark)
        return not was_attacked and len(self._account.wrong) >= ATTACK_MIN

    @property
    def _tallies(self) -> tuple[_Tally, _Tally, _Tally]:
        return self._client, self._network, self._account


class Guesses:
    """What was guessed lately at one worker. Used on its event loop alone."""

    def __init__(self) -> None:
        self.clients = _Tallies(CLIENT_SECONDS)
        self.networks = _Tallies(NETWORK_SECONDS)
        self.accounts = _Tallies(ATTACK_SECONDS)

    @property
    def kinds(self) -> tuple[_Tallies, _Tallies, _Tallies]:
        """Of clients, of networks and accounts, of accounts."""
        return self.clients, self.networks, self.accounts

    def guess(self, client: str, account: str, mark: bytes, now: float) -> Guess:
        """A guess at an account; `client` is an address in normal form, `mark` a hash of account and password."""
        source, network = places(client)
        return Guess(self, (source, f"{network} {account}", account), mark, now)


@lru_cache(_FAMILIAR_MAX)
def places(client: str) -> tuple[str, str]:
    """Who counts as one client, and as one network, for instance `("192.0.2.7", "192.0.2.0/24")`."""
    try:
        address = ip_address(client)
    except ValueError:
        return client, client  # one that was gone before we could ask for its address
    network = str(ip_network((address, 24 if address.version == 4 else 64), strict=False))
    return (client, network) if address.version == 4 else (network, network)
