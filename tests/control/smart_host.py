"""A smart host on 127.0.0.2 for the tests of trials: aiosmtpd with TLS, accounts and refusals as asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

ADDRESS = "127.0.0.2"
"""Not 127.0.0.1, which would be the server under test itself."""
PASSWORD = b"open sesame"


@dataclass
class SmartHostServer:
    """What it heard, and what it says. `refusals` is by command: `{"RCPT": "550 5.7.1 no"}`."""

    port: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    sessions: int = 0

    async def handle_MAIL(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        """MAIL."""
        envelope.mail_from = address
        return self.refusals.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        """RCPT."""
        envelope.rcpt_tos.append(address)
        return self.refusals.get("RCPT", "250 2.1.5 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        """The end of the content."""
        assert isinstance(envelope.content, bytes)
        self.messages.append((envelope.mail_from or "", list(map(str, envelope.rcpt_tos)), envelope.content))
        return self.refusals.get("DATA", "250 2.0.0 queued")


@asynccontextmanager
async def smart_host(
    tls: ssl.SSLContext | None = None, *, implicit: bool = False, accounts: bool = False
) -> AsyncIterator[SmartHostServer]:
    """A smart host that runs while the block does; with `accounts` it offers AUTH, and knows one password."""
    host = SmartHostServer()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        return AuthResult(success=login.password == PASSWORD, handled=False)

    def session() -> SMTP:
        host.sessions += 1
        options: dict[str, Any] = {"authenticator": check, "auth_require_tls": not implicit} if accounts else {}
        if tls is not None and not implicit:
            options["tls_context"] = tls
        return SMTP(host, hostname="mx.test", ident="ready", **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, ADDRESS, 0, ssl=tls if implicit else None)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
