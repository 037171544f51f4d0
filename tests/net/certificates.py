"""Certificates for tests, from an authority of their own."""

from __future__ import annotations

import ssl

import trustme

from bridgehead.core.organization import Certificate


class Authority:
    """Trusted by whoever is given `pem`."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes()

    def certificate(self, *names: str) -> Certificate:
        """A certificate for these names or addresses, as configuration reads it."""
        leaf = self._ca.issue_cert(*names)
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return Certificate("cert.pem", "key.pem", chain, leaf.private_key_pem.bytes())

    def context(self, *names: str) -> ssl.SSLContext:
        """A server's context for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context


AUTHORITY = Authority()
STRANGER = Authority()
"""Another one, whom nobody trusts."""
