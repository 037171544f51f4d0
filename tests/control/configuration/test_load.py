"""From a text to the organization: the whole scenario, defaults that depend on others, and no text that raises."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridgehead.control.configuration.issue import EXCERPT_MAX
from bridgehead.control.configuration.load import DEFAULT_NAME, FILE_BYTES_MAX, load, load_text
from bridgehead.control.configuration.model import ConfigurationFile
from bridgehead.control.configuration.report import ISSUES_MAX
from bridgehead.core.organization import (
    Listener,
    NoMatch,
)
from tests.control.configuration.examples import (
    MACHINE,
    SMTP_CONNECTOR,
    configuration,
    loaded,
    the_issue,
)


def test_the_scenario_of_the_smtp_connector_is_warned_of_its_leak_alone() -> None:
    issue = the_issue(loaded(SMTP_CONNECTOR).issues)
    assert issue.message.startswith('connector "Partner": mail to "partner.example" that its restrictions refuse')


def test_no_file_at_all_is_a_working_server_on_loopback() -> None:
    result = load(None, MACHINE)
    assert result.issues == ()
    assert result.configuration is not None
    organization, node = result.configuration.organization, result.configuration.node
    virtual_server = organization.virtual_servers[0]
    assert virtual_server.key == "LOCAL/Default SMTP Virtual Server"
    assert virtual_server.listeners == (Listener("127.0.0.1", 2525),)
    assert virtual_server.fqdn == "mail.contoso.com"
    assert virtual_server.relay.clients.networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert organization.no_match is NoMatch.NATIVE_DNS
    assert organization.postmaster == ""
    assert (node.server, node.workers, node.console) == ("LOCAL", 4, "127.0.0.1:8025")
    assert (node.drain_seconds, node.min_free_bytes) == (15.0, 256 * 1024 * 1024)


def test_generation_changes_with_the_file_and_with_nothing_else() -> None:
    first, again, other = (configuration(text).organization.generation for text in ("", "", "# x"))
    assert first == again != other
    assert len(first) == 8


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bridgehead.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMTP_CONNECTOR.encode())
    assert load(file, MACHINE).errors == ()


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        (b"[node]\nuser = \xff", (2, 8), "the file is not UTF-8 text"),
        (b"[node]\nuser = ", (2, 8), "not valid TOML: Invalid value"),
        (b"[node]\nuser = 'x", (2, 10), "not valid TOML"),
        (b"[node]\n[node]", (2, 6), "not valid TOML: Cannot declare"),
        (b"a = 1\na = 2", (2, 6), "not valid TOML: Cannot overwrite a value"),
        (b"a = " + b"9" * 5000, (0, 0), "not valid TOML"),
        (b"a = " + b"[" * 100_000, (0, 0), "nested too deeply"),
        (b"x" * (FILE_BYTES_MAX + 1), (0, 0), "larger than 16 MiB"),
    ],
    ids=["octet", "value", "string", "table", "key", "number", "depth", "size"],
)  # fmt: skip
def test_a_text_that_is_no_toml_is_the_one_error(
    tmp_path: Path, content: bytes, place: tuple[int, int], says: str
) -> None:
    file = tmp_path / "bridgehead.toml"
    file.write_bytes(content)
    result = load(file, MACHINE)
    issue = the_issue(result.issues)
    assert result.configuration is None
    assert (issue.line, issue.column) == place
    assert says in issue.message


@pytest.mark.parametrize(
    ("name", "says"), [("none.toml", "No such file"), (".", "Is a directory"), ("\0", "not a file")]
)
def test_a_file_that_cannot_be_read_is_the_one_error(tmp_path: Path, name: str, says: str) -> None:
    issue = the_issue(load(tmp_path / name, MACHINE).issues)
    assert issue.line == 0
    assert says in issue.message


def test_errors_without_number_do_not_fill_memory() -> None:
    text = "".join(f"x{number} = 1\n" for number in range(ISSUES_MAX + 10))
    assert len(loaded(text).issues) == ISSUES_MAX


def test_issues_name_the_built_in_defaults_where_there_is_no_file() -> None:
    assert the_issue(load_text("x = ", None, MACHINE).issues).file == DEFAULT_NAME


@settings(max_examples=300)
@given(st.text(max_size=200) | st.text("[]{}\"'=.,#\n ab0\\", max_size=60))
@example("[[a.b]]\n[a.b.c]\n")
@example("[[connector]]\n[[connector]]\nconnector.connector = 1")
def test_no_text_makes_load_raise(text: str) -> None:
    result = loaded(text)
    assert (result.configuration is None) == bool(result.errors)
    assert all(len(issue.excerpt) <= EXCERPT_MAX for issue in result.issues)


def _keys(schema: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for definition in [schema, *schema.get("$defs", {}).values()]:
        found += definition.get("properties", {})
    return sorted(set(found))


words = st.sampled_from(
    [
        "",
        "*",
        "SMTP:*;1",
        "[192.0.2.1]",
        "dns",
        "smart-hosts",
        "basic",
        "LOCAL",
        "a.example",
        "/dev/null",
        "x\0",
        "\n",
    ]
)
scalars = st.one_of(st.booleans(), st.integers(-1, 1000), st.floats(), words, st.text(max_size=8), st.dates())
keys = st.sampled_from(_keys(ConfigurationFile.model_json_schema())) | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6), max_leaves=12
)
tables = st.dictionaries(st.sampled_from(list(ConfigurationFile.model_fields)), values, max_size=5)


@settings(max_examples=150, deadline=None)
@given(tables)
@example({"connector": [{"name": "x", "security": {"password": {"file": "\0", "credential": "../x"}}}]})
@example({"virtual_server": [{"name": "x", "listen": [{"address": "0.0.0.0:1"}], "tls": {"key": "\0"}}]})
@example({"accepted_domain": [{"domain": "a.b", "recipients": {"file": "\0"}, "deliver": "maildir:\0"}]})
def test_no_document_makes_load_raise(document: dict[str, Any]) -> None:
    result = loaded(tomlkit.dumps(document))
    assert (result.configuration is None) == bool(result.errors)
