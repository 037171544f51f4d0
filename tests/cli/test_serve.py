"""`bridgehead serve`: what its command line hands to the server. How it serves stands in tests of `process`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.cli.invocation import Exit
from tests.cli.calling import called
from tests.cli.contoso import HEAD, write_file


@pytest.mark.parametrize("is_before", [True, False], ids=["options before the verb", "options after the verb"])
def test_serve_hands_over_the_file_and_the_form_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_before: bool
) -> None:
    handed: list[tuple[Path | None, bool]] = []

    def serve(config: Path | None, *, json_logs: bool) -> int:
        handed.append((config, json_logs))
        return 73

    monkeypatch.setattr("bridgehead.process.service.serve", serve)
    options = ("--config", str(tmp_path / "c.toml"), "--json")
    came = called(*options, "serve") if is_before else called("serve", *options)
    assert (handed, came.code) == ([(tmp_path / "c.toml", True)], Exit.STATE)


def test_serve_refuses_a_file_with_errors_before_it_touches_anything(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, "colour = 1\n")
    came = called("serve", "--config", path)
    assert (came.code, came.out) == (2, "")
    assert 'unknown key "colour"' in came.err
    assert list((tmp_path / "state").iterdir()) == []
