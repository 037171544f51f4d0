"""Checks the certificate of a virtual server when the configuration is loaded, not at the first handshake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.report import Report
from bridgehead.control.configuration.sources import Sources
from bridgehead.core.organization import Certificate

EXPIRY_WARNING: Final = timedelta(days=14)
"""Automatic renewal has long happened by then; there is still time to do it by hand."""


def read_certificate(files: tuple[str, str], path: Path, sources: Sources) -> Certificate | None:
    """Certificate and key of a virtual server, `None` (and errors) where they are missing or do not fit."""
    certificate_file, key_file = files
    certificate_pem = sources.read(certificate_file, (*path, "certificate"))
    key_pem = sources.read(key_file, (*path, "key"))
    if certificate_pem is None or key_pem is None:
        return None
    return Certificate(
        str(sources.path_of(certificate_file)), str(sources.path_of(key_file)), certificate_pem, key_pem
    )


def check_certificate(certificate: Certificate, path: Path, now: float, report: Report) -> bool:
    """Whether the certificate can be served at `now`; reports what is wrong, and what soon will be."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.certificate_pem)
    except ValueError:
        report.error((*path, "certificate"), f"{certificate.certificate_path} holds no PEM certificate")
        return False
    try:
        key = load_pem_private_key(certificate.key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        report.error((*path, "key"), f"{certificate.key_path} holds no PEM private key without a passphrase")
        return False
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if chain[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        report.error((*path, "key"), f"{certificate.key_path} is not the key of {certificate.certificate_path}")
        return False
    return _check_dates(chain[0], certificate, path, (now, report))


def _check_dates(leaf: x509.Certificate, certificate: Certificate, path: Path, when: tuple[float, Report]) -> bool:
    now, report = datetime.fromtimestamp(when[0], UTC), when[1]
    place = (*path, "certificate")
    if now >= leaf.not_valid_after_utc:
        report.error(place, f"{certificate.certificate_path} expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
        return False
    if now < leaf.not_valid_before_utc:
        report.error(
            place, f"{certificate.certificate_path} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}"
        )
        return False
    if now >= leaf.not_valid_after_utc - EXPIRY_WARNING:
        report.warning(
            place, f"{certificate.certificate_path} expires on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
        )
    return True
