"""A server's certificate in words: for whom, by whom, until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

NAMES_MAX: Final = 4
"""Names of one certificate that are shown; some have hundreds."""
SOON_DAYS: Final = 14
"""A certificate that ends within so many days should have been renewed."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a certificate says."""

    words: str
    """`"for mail.isp.example, issued by \\"Example CA\\", until 2027-01-31"`."""
    trouble: str
    """`"expired"`, or empty."""


def describe_certificate(der: bytes, now: float) -> Description:
    """The certificate in words; one that cannot be read says so. `now` is in seconds since the epoch."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
        issuer = _name_of(certificate.issuer)
    except ValueError as error:
        return Description("a certificate that cannot be read", str(error)[:100])
    until = certificate.not_valid_after_utc
    shown = ", ".join(names[:NAMES_MAX]) + (f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else "")
    by = "signed by itself" if certificate.issuer == certificate.subject else f'issued by "{issuer}"'
    return Description(f"for {shown or 'no name'}, {by}, until {until:%Y-%m-%d}", _trouble(certificate, now))


def _trouble(certificate: x509.Certificate, now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    until = certificate.not_valid_after_utc
    if until < moment:
        return "expired"
    if certificate.not_valid_before_utc > moment:
        return "not yet valid"
    if until - moment >= timedelta(days=SOON_DAYS):
        return ""
    days = (until - moment).days
    return "expires within a day" if not days else f"expires in {days} {'day' if days == 1 else 'days'}"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        name = _name_of(certificate.subject)
        return [name] if name else []
    hosts = names.get_values_for_type(x509.DNSName)
    return [*hosts, *map(str, names.get_values_for_type(x509.IPAddress))]


def _name_of(name: x509.Name) -> str:
    """The common name, else the organization."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return ""
