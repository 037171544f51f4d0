"""List files and secrets: what is read, what is refused, and that no secret shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridgehead.control.accounts import make_account
from bridgehead.control.configuration.issue import render_json, render_text
from bridgehead.core.organization import Secret
from tests.control.configuration.examples import CONNECTOR, MACHINE, VIRTUAL_SERVER, configuration, loaded, the_issue

SECRET = "correct horse"


def _with_password(password: str) -> str:
    security = f'authentication = "basic"\nusername = "u"\ntls = "verify"\npassword = {password}'
    return f"{VIRTUAL_SERVER}{CONNECTOR}[connector.security]\n{security}"


def _secret_file(folder: Path, content: bytes, mode: int = 0o600) -> None:
    file = folder / "isp.secret"
    file.write_bytes(content)
    file.chmod(mode)


@pytest.mark.parametrize("content", [b"correct horse", b"correct horse\n", b"correct horse\r\n"])
def test_secret_of_a_file_loses_one_line_end(tmp_path: Path, content: bytes) -> None:
    _secret_file(tmp_path, content, 0o640)
    password = configuration(_with_password('{ file = "isp.secret" }'), tmp_path).organization.connectors[0].security
    assert password.password == Secret(f"file {tmp_path}/isp.secret", SECRET)


def test_secret_of_systemd_is_read(tmp_path: Path) -> None:
    _secret_file(tmp_path, b"correct horse\n", 0o444)
    machine = replace(MACHINE, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    loaded_secret = configuration(_with_password('{ credential = "isp.secret" }'), machine=machine)
    assert loaded_secret.organization.connectors[0].security.password == Secret("credential isp.secret", SECRET)


@pytest.mark.parametrize(
    ("password", "content", "mode", "says"),
    [
        ('{ file = "isp.secret" }', b"x", 0o604, "can be read by everyone on this machine; chmod o-rwx"),
        ('{ file = "none" }', b"x", 0o600, "cannot be read: No such file or directory"),
        ('{ file = "." }', b"x", 0o600, "cannot be read: Is a directory"),
        ('{ file = "isp.secret" }', b"\n", 0o600, "is empty or has more than one line"),
        ('{ file = "isp.secret" }', b"x\n\n", 0o600, "is empty or has more than one line"),
        ('{ file = "isp.secret" }', b"\xff", 0o600, "is not UTF-8"),
        ('{ env = "NOT_SET" }', b"x", 0o600, "environment variable NOT_SET is not set"),
        ('{ credential = "isp" }', b"x", 0o600, "$CREDENTIALS_DIRECTORY is not set"),
        ('{ env = "A", file = "isp.secret" }', b"x", 0o600, "more than one source"),
        ("{}", b"x", 0o600, "basic authentication needs a password"),
    ],
)
def test_secret_that_cannot_be_had_is_an_error(
    tmp_path: Path, password: str, content: bytes, mode: int, says: str
) -> None:
    _secret_file(tmp_path, content, mode)
    assert says in the_issue(loaded(_with_password(password), tmp_path).errors).message


def test_credential_may_not_leave_its_folder(tmp_path: Path) -> None:
    machine = replace(MACHINE, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (
        "not a name" in the_issue(loaded(_with_password('{ credential = "../x" }'), machine=machine).errors).message
    )


@pytest.mark.parametrize(
    "text",
    [
        _with_password(f'"{SECRET}"'),
        _with_password(f'{{ value = "{SECRET}" }}'),
        _with_password(f'["{SECRET}"]'),
        _with_password(f'{{ env = "X" }}\npasswort = "{SECRET}"'),
        VIRTUAL_SERVER + CONNECTOR + f'password = "{SECRET}"',
        VIRTUAL_SERVER + CONNECTOR + f'security.pasword = "{SECRET}"',
        VIRTUAL_SERVER + CONNECTOR + f'security = {{ pass = "{SECRET}" }}',
        f'password = "{SECRET}',
    ],
)
def test_no_issue_shows_a_secret(text: str) -> None:
    issues = loaded(text).issues
    assert issues
    assert SECRET not in render_text(issues)
    assert SECRET not in str(render_json(issues))


def test_secret_does_not_show_in_the_organization(tmp_path: Path) -> None:
    _secret_file(tmp_path, SECRET.encode())
    assert SECRET not in repr(configuration(_with_password('{ file = "isp.secret" }'), tmp_path))


DOMAIN = (
    '[organization]\npostmaster = "p@a.example"\n[[accepted_domain]]\ndomain = "a.example"\ndeliver = "lmtp:/run/x"\n'
)


def test_recipients_are_read_case_blind_and_without_comments(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text('# all\n\nBob@A.Example # his\n@B\u00fcro.example.\r\n"x#y"@a.example\n')
    domain = configuration(DOMAIN + 'recipients = { file = "r.txt" }', tmp_path).organization.accepted_domains[0]
    assert domain.recipients == frozenset({"bob@a.example", "@xn--bro-hoa.example", "x#y@a.example"})
    assert domain.recipients_file == str(tmp_path / "r.txt")


def test_wrong_recipients_are_reported_with_the_line_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("bob@a.example\n\nbob\n@\nx y@a.example\n")
    errors = loaded(DOMAIN + 'recipients = { file = "r.txt" }', tmp_path).errors
    assert [(issue.file, issue.line) for issue in errors] == [(str(tmp_path / "r.txt"), line) for line in (3, 4, 5)]
    assert "the line is no recipient" in errors[0].message
    assert "bob" not in render_text(errors)


@pytest.mark.parametrize(("content", "says"), [(None, "No such file"), (b"a@b.example\n\xff", "is not UTF-8")])
def test_list_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "r.txt").write_bytes(content)
    assert says in the_issue(loaded(DOMAIN + 'recipients = { file = "r.txt" }', tmp_path).errors).message


def test_generation_changes_with_a_list(tmp_path: Path) -> None:
    text = DOMAIN + 'recipients = { file = "r.txt" }'
    generations = set()
    for content in ("a@a.example", "b@a.example", "b@a.example"):
        (tmp_path / "r.txt").write_text(content)
        generations.add(configuration(text, tmp_path).organization.generation)
    assert len(generations) == 2


AUTHENTICATION = VIRTUAL_SERVER.replace("192.0.2.1", "127.0.0.1") + (
    'authentication = { users = { file = "users.txt" }, without_tls = true }'
)


def test_users_are_read(tmp_path: Path) -> None:
    account = make_account("app", "xyzzy")
    (tmp_path / "users.txt").write_text(f"# scanners\n{account}\n")
    authentication = configuration(AUTHENTICATION, tmp_path).organization.virtual_servers[0].authentication
    assert authentication is not None
    assert authentication.users == {"app": account.password_hash}
    assert authentication.users_file == str(tmp_path / "users.txt")


def test_wrong_users_are_reported_without_what_they_hold(tmp_path: Path) -> None:
    account = make_account("app", "xyzzy")
    (tmp_path / "users.txt").write_text(f"{account}\n{account}\napp2:{SECRET}\n{SECRET}\n")
    errors = loaded(AUTHENTICATION, tmp_path).errors
    assert [issue.line for issue in errors] == [2, 3, 4]
    assert "listed twice" in errors[0].message
    assert "no argon2 hash" in errors[1].message
    assert "no account" in errors[2].message
    assert SECRET not in render_text(errors)
