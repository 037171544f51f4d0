"""All listening sockets of a server, and what of them a worker must still be given.

Connections to a worker that is being replaced wait in its sockets. Where it cannot start they would wait in vain: its
sockets are closed, so that the kernel gives connections to other workers, and refuses them where there is none.
"""

from __future__ import annotations

import socket
from pathlib import Path

from bridgehead.core.organization import Listener, Node, Organization
from bridgehead.process import sockets
from bridgehead.process.messages import Listening


class ListeningSockets:
    """The supervisor's sockets: one for each worker on every address, and one submission socket shared by all."""

    def __init__(self, node: Node, worker_count: int) -> None:
        self._node = node
        self._worker_count = worker_count
        self._bound: dict[Listening, tuple[socket.socket, ...]] = {}

    @property
    def listening(self) -> tuple[Listening, ...]:
        """What is listened on, in a stable order."""
        return tuple(self._bound)

    def bind(self, organization: Organization) -> tuple[Listening, ...]:
        """Listen as the organization says, keeping what is bound already; returns what is new.

        `MachineError` where something cannot be bound; then nothing has changed.
        """
        wanted = _wanted(organization, self._node)
        made: dict[Listening, tuple[socket.socket, ...]] = {}
        try:
            for one in wanted:
                if one not in self._bound:
                    made[one] = self._make(one)
        except BaseException:
            _close(made)
            raise
        _close({one: bound for one, bound in self._bound.items() if one not in wanted})
        self._bound = {one: self._bound.get(one) or made[one] for one in wanted}
        return tuple(made)

    def descriptors(self, worker: int, which: tuple[Listening, ...]) -> list[int]:
        """The descriptors of a worker's own sockets, in the order of `which`."""
        return [self._bound[one][worker % len(self._bound[one])].fileno() for one in which]

    def rest(self, worker: int) -> None:
        """Let no connection wait for a worker that cannot start."""
        for one, bound in self._bound.items():
            if one.virtual_server:
                bound[worker].close()

    def wake(self, worker: int) -> None:
        """Bind again what `rest` closed. Nothing arrives there before the worker listens.

        `MachineError` where something cannot be bound; what was is kept.
        """
        for one, bound in self._bound.items():
            if bound[worker % len(bound)].fileno() < 0:
                again = sockets.bind_again(Listener(one.address, one.port, one.implicit_tls))
                self._bound[one] = (*bound[:worker], again, *bound[worker + 1 :])

    def close(self) -> None:
        """Stop listening altogether."""
        _close(self._bound)
        self._bound = {}

    def _make(self, one: Listening) -> tuple[socket.socket, ...]:
        if not one.virtual_server:
            return (sockets.bind_submission(Path(self._node.state_dir)),)
        return sockets.bind(Listener(one.address, one.port, one.implicit_tls), self._worker_count)


def _wanted(organization: Organization, node: Node) -> list[Listening]:
    wanted = [
        Listening(virtual_server.key, listener.address, listener.port, listener.implicit_tls)
        for virtual_server in organization.virtual_servers
        if virtual_server.server == node.server
        for listener in virtual_server.listeners
    ]
    return [*wanted, Listening("", sockets.SUBMIT_NAME, 0, implicit_tls=False)]


def _close(bound: dict[Listening, tuple[socket.socket, ...]]) -> None:
    for each in bound.values():
        for one in each:
            one.close()
