"""The certificate of a virtual server is checked before anybody shakes hands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from bridgehead.core.organization import TlsLevel
from tests.control.configuration.examples import (
    CONNECTOR,
    MACHINE,
    NOW,
    VIRTUAL_SERVER,
    configuration,
    loaded,
    the_issue,
)

EXPIRES = datetime.fromtimestamp(NOW, UTC).replace(microsecond=0)
TLS = VIRTUAL_SERVER.replace("25", "587") + 'tls = { certificate = "cert.pem", key = "key.pem" }'
DAY = 86_400.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    """Certificate and key of a server; it expires at `NOW`, so tests look at it from before."""
    leaf = authority.issue_cert("mail.contoso.com", not_before=EXPIRES - timedelta(days=90), not_after=EXPIRES)
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def test_certificate_and_key_are_read(folder: Path) -> None:
    virtual_server = configuration(TLS, folder, replace(MACHINE, now=NOW - 60 * DAY)).organization.virtual_servers[0]
    assert virtual_server.tls is not None
    assert virtual_server.tls.certificate.certificate_path == str(folder / "cert.pem")
    assert virtual_server.tls.certificate.key_pem == (folder / "key.pem").read_bytes()


@pytest.mark.parametrize(
    ("days", "severity", "says"),
    [
        (-91, "error", "is not valid before 2029-12-17"),
        (-13.5, "warning", "expires on 2030-03-17; renew it"),
        (0, "error", "expired on 2030-03-17"),
        (1, "error", "expired on 2030-03-17"),
    ],
)
def test_certificate_that_has_expired_or_soon_will_is_reported(
    folder: Path, days: float, severity: str, says: str
) -> None:
    issue = the_issue(loaded(TLS, folder, replace(MACHINE, now=NOW + days * DAY)).issues)
    assert issue.severity == severity
    assert says in issue.message
    assert issue.path == "virtual_server[0].tls.certificate"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("cert.pem", b"", "holds no PEM certificate"),
        ("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no PEM certificate"),
        ("key.pem", b"", "holds no PEM private key"),
        ("cert.pem", None, "cannot be read"),
        ("key.pem", None, "cannot be read"),
    ],
)
def test_file_that_holds_something_else_is_refused(folder: Path, file: str, content: bytes | None, says: str) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    issue = the_issue(loaded(TLS, folder, replace(MACHINE, now=NOW - 60 * DAY)).issues)
    assert says in issue.message


def test_key_of_another_certificate_is_refused(folder: Path, authority: trustme.CA) -> None:
    authority.issue_cert("other.contoso.com").private_key_pem.write_to_path(str(folder / "key.pem"))
    issue = the_issue(loaded(TLS, folder, replace(MACHINE, now=NOW - 60 * DAY)).issues)
    assert "key.pem is not the key of" in issue.message
    assert issue.path == "virtual_server[0].tls.key"


def test_required_tls_on_port_25_is_warned_of(folder: Path) -> None:
    text = TLS.replace("587", "25").replace(" }", ", required = true }")
    issue = the_issue(loaded(text, folder, replace(MACHINE, now=NOW - 60 * DAY)).warnings)
    assert "tls.required on port 25" in issue.message
    assert (issue.line, issue.column) == (5, text.split("\n")[4].index("true") + 1)


def test_authentication_without_any_tls_is_warned_of(folder: Path) -> None:
    text = VIRTUAL_SERVER + 'authentication = { users = { file = "/dev/null" } }'
    assert "nobody can authenticate" in loaded(text, folder).warnings[0].message


def test_trust_anchors_are_read(folder: Path) -> None:
    text = f'{VIRTUAL_SERVER}{CONNECTOR}security = {{ tls = "verify", ca_file = "ca.pem" }}'
    security = configuration(text, folder).organization.connectors[0].security
    assert security.tls is TlsLevel.VERIFY
    assert security.ca_pem == (folder / "ca.pem").read_bytes()
    assert security.ca_file == str(folder / "ca.pem")


def test_trust_anchors_that_are_none_are_refused(folder: Path) -> None:
    text = f'{VIRTUAL_SERVER}{CONNECTOR}security = {{ tls = "verify", ca_file = "key.pem" }}'
    assert "holds no PEM certificate" in the_issue(loaded(text, folder).issues).message
