"""Certificates in words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.control.certificate_text import describe_certificate

AUTHORITY = trustme.CA(organization_name="Contoso CA")
EXPIRES = datetime(2030, 6, 1, tzinfo=UTC)


def der(*names: str) -> bytes:
    """A certificate for these names, good until 1 June 2030."""
    issued = AUTHORITY.issue_cert(*names, not_before=datetime(2024, 1, 1, tzinfo=UTC), not_after=EXPIRES)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def at(year: int, month: int, day: int) -> float:
    """Noon of a day, in seconds since the epoch."""
    return datetime(year, month, day, 12, tzinfo=UTC).timestamp()


def test_a_certificate_says_for_whom_by_whom_and_until_when() -> None:
    described = describe_certificate(der("mx.test", "192.0.2.7"), at(2026, 1, 1))
    assert described.words == 'for mx.test, 192.0.2.7, issued by "Contoso CA", until 2030-06-01'
    assert described.trouble == ""


@pytest.mark.parametrize(
    ("now", "trouble"),
    [
        (at(2023, 12, 31), "not yet valid"),
        (at(2024, 1, 2), ""),
        (at(2030, 5, 17), ""),
        (at(2030, 5, 20), "expires in 11 days"),
        (at(2030, 5, 30), "expires in 1 day"),
        (at(2030, 5, 31), "expires within a day"),
        (at(2030, 6, 2), "expired"),
    ],
)
def test_trouble_is_told_in_time(now: float, trouble: str) -> None:
    assert describe_certificate(der("mx.test"), now).trouble == trouble


def test_of_many_names_only_some_are_shown() -> None:
    described = describe_certificate(der(*(f"mx{number}.test" for number in range(7))), at(2026, 1, 1))
    assert described.words.startswith("for mx0.test, mx1.test, mx2.test, mx3.test and 3 more, issued by")


def test_a_certificate_without_names_that_signed_itself_says_so() -> None:
    own = ssl.PEM_cert_to_DER_cert(AUTHORITY.cert_pem.bytes().decode())
    assert describe_certificate(own, at(2026, 1, 1)).words.startswith("for Contoso CA, signed by itself, until ")


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_no_error(octets: bytes) -> None:
    assert describe_certificate(octets, 0.0).words == "a certificate that cannot be read"
