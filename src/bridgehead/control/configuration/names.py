"""Names that tables refer to: servers, virtual servers, routing groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridgehead.core.organization import Server, VirtualServer

DEFAULT_SERVER: Final = "LOCAL"
"""Name of the server where the file names none: fixed, since queued mail remembers its virtual server by it."""
DEFAULT_ROUTING_GROUP: Final = "First Routing Group"
DEFAULT_VIRTUAL_SERVER: Final = "Default SMTP Virtual Server"


@dataclass(frozen=True, slots=True)
class Names:
    """What can be referred to."""

    here: str
    """The server that this machine is."""
    servers: tuple[Server, ...]
    virtual_servers: tuple[VirtualServer, ...]

    @property
    def server_names(self) -> list[str]:
        """Names of the servers."""
        return [server.name for server in self.servers]

    @property
    def routing_groups(self) -> list[str]:
        """Names of the routing groups, in order of first mention."""
        return list(dict.fromkeys(server.routing_group for server in self.servers))

    @property
    def keys(self) -> list[str]:
        """Keys of the virtual servers."""
        return [virtual_server.key for virtual_server in self.virtual_servers]

    def keys_meant(self, text: str) -> list[str]:
        """The virtual servers that `SERVER/NAME`, or `NAME` alone, may mean."""
        if text in self.keys:
            return [text]
        return [virtual_server.key for virtual_server in self.virtual_servers if virtual_server.name == text]
