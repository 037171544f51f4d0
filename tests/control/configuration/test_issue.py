"""How issues look on a terminal and as JSON."""

from __future__ import annotations

import json

from bridgehead.control.configuration.issue import render_json, render_text
from tests.control.configuration.examples import VIRTUAL_SERVER, loaded

TEXT = VIRTUAL_SERVER + '[[connector]]\nname = "Internet via ISP"\naddress_spaces = ["*"]\n\tenabled = 1\n'


def test_text_shows_place_sentence_line_and_caret() -> None:
    assert render_text(loaded(TEXT).issues) == (
        '/etc/bridgehead/bridgehead.toml:8:12: error: connector "Internet via ISP": '
        "enabled is 1; expected true or false\n"
        "    \tenabled = 1\n"
        "    \t          ^\n"
    )


def test_unknown_key_names_the_valid_ones_and_the_nearest() -> None:
    issue = loaded(TEXT.replace("enabled", "smart_host")).issues[0]
    assert str(issue).startswith(
        '/etc/bridgehead/bridgehead.toml:8:2: error: connector "Internet via ISP": '
        'unknown key "smart_host"; expected one of name, '
    )
    assert str(issue).endswith('; did you mean "smart_hosts"?')


def test_json_holds_every_field() -> None:
    (issue,) = json.loads(json.dumps(render_json(loaded(TEXT).issues)))
    assert issue["severity"] == "error"
    assert (issue["line"], issue["column"], issue["path"]) == (8, 12, "connector[0].enabled")
    assert (issue["found"], issue["expected"], issue["suggestion"]) == ("1", "true or false", "")


def test_lines_that_would_garble_the_picture_are_not_shown() -> None:
    wide = loaded(TEXT.replace("enabled = 1", f"enabled = 1 # {'x' * 200}")).issues
    assert render_text(wide).count("\n") == 1


def test_issue_without_a_place_names_the_file_alone() -> None:
    (issue,) = loaded("[[accepted_domain]]\ndomain = 'a.example'\ndeliver = 'lmtp:/run/x'").issues
    assert str(issue).startswith("/etc/bridgehead/bridgehead.toml: warning: organization: postmaster is not set")
