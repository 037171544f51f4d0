"""TLS contexts: what we show to clients, and what we ask of servers (RFC 3207, INTERFACE "TLS levels").

Keys never touch the disk again once they were read: OpenSSL wants a file name and gets that of an anonymous one in
memory. TLS 1.2 is the oldest version on either side; below `verify` any certificate will do, since without a name
that DNS cannot forge there is nothing to hold it against.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Final

from bridgehead.core.error import ConfigurationError
from bridgehead.core.organization import Certificate, Security, TlsLevel

CONTEXTS_MAX: Final = 256
"""Client contexts kept: one for each set of trust anchors in the organization; more than that start anew."""


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """The context of a listener; `ConfigurationError` if certificate and key do not fit together.

    Parsing takes milliseconds: make it once for each configuration.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    descriptor = os.memfd_create("certificate")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(certificate.key_pem.rstrip() + b"\n" + certificate.certificate_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            f"certificate {certificate.certificate_path} and key {certificate.key_path} cannot be used: "
            f"{describe_error(error)}"
        ) from error
    finally:
        os.close(descriptor)
    context.num_tickets = 0  # ADR 0013
    return context


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to open TLS with one server."""

    context: ssl.SSLContext
    name: str
    """Sent as SNI unless it is empty; with a context that verifies, what the certificate must be for."""
    verifies: bool


class ClientContexts:
    """Contexts for dialling out, made once for each set of trust anchors. Owned by one worker."""

    def __init__(self) -> None:
        self._contexts: dict[bytes | None, ssl.SSLContext] = {}

    def tls(self, security: Security, name: str, host: str) -> ClientTls:
        """How to open TLS with `host` as `security` asks, any level but `none`.

        `name` is whom we mean to reach as the operator or the recipient's address says it: the smart host's name, or
        the recipient domain. The name of an MX host comes from DNS, which may be forged, and is never what we trust.
        """
        if security.tls is not TlsLevel.VERIFY:
            return ClientTls(self._context(None), _sni(host), verifies=False)
        return ClientTls(self._context(security.ca_pem), security.tls_domain or name, verifies=True)

    def _context(self, anchors: bytes | None) -> ssl.SSLContext:
        """For these trust anchors: `b""` is the system's store, `None` trusts anyone."""
        context = self._contexts.get(anchors)
        if context is None:
            if len(self._contexts) >= CONTEXTS_MAX:
                self._contexts.clear()
            context = self._contexts[anchors] = _client_context(anchors)
        return context


def _sni(host: str) -> str:
    """The name to send, or empty: DNS may name hosts as no host can be named, and OpenSSL then refuses to begin."""
    try:
        host.encode("idna")
    except UnicodeError:
        return ""
    return "" if host.startswith(".") else host


def _client_context(anchors: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if anchors is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif anchors:
        context.load_verify_locations(cadata=anchors.decode("ascii", "replace"))
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def describe(connection: ssl.SSLObject, *, verified: bool) -> str:
    """A session for logs and outcomes: `"TLSv1.3 TLS_AES_256_GCM_SHA384 verified"`."""
    cipher = connection.cipher()
    words = [connection.version() or "TLS", cipher[0] if cipher else ""]
    return " ".join(word for word in (*words, "verified" if verified else "") if word)


def describe_error(error: Exception) -> str:
    """Why a handshake or a certificate failed, in words: `"certificate has expired"`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or type(error).__name__


def _no_password() -> str:
    """Instead of asking on the terminal for the pass phrase of an encrypted key."""
    raise ValueError("the key is encrypted")
